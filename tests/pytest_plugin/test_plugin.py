"""The plugin as a user meets it: in a pytest of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from raft_chaos.api.saved import reproduce
from sessions import Session, session

SMALL = 'world="sim", nodes=3, duration=4, rate=30'

TESTS = f"""
import pytest
import raft
from raft_chaos import HarnessError

chaos = pytest.mark.raft_chaos

@chaos(seeds=2, {SMALL})
def test_valid(raft_run):
    assert raft_run.valid and raft_run.path.is_dir()

@chaos(seeds=[5], {SMALL}, mutant="vote_not_persisted")
def test_violated():
    raise RuntimeError("its body is not reached")

@chaos({SMALL.replace("rate=30", "rate=0.2")})
def test_unknown(raft_run):
    pass

def test_by_hand(raft_sim):
    assert raft_sim.put("x", "1").type == "ok"
    first = raft_sim.leader()
    raft_sim.isolate("leader")
    raft_sim.until(lambda: raft_sim.leader() != first)
    raft_sim.kill(first)
    raft_sim.heal()
    assert raft_sim.get("x").value == "1"

@chaos(mutant="vote_not_persisted")
def test_violated_by_hand(raft_sim):
    raft_sim.leader()
    raft_sim.kill(*raft_sim.nodes)
    raft_sim.heal()

def test_own_failure(raft_sim):
    assert raft_sim.get("nothing").value == "something"

@chaos(wrold="sim")
def test_wrong_option(raft_run):
    pass

def test_harness(raft_sim):
    raise HarnessError("the disk is full")

def test_of_something_else():
    assert raft.MINE
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Session:
    folder = tmp_path_factory.mktemp("user")
    (folder / "raft.py").write_text("MINE = True\n", encoding="utf-8")
    return session(folder, test_it=TESTS)


pytestmark = pytest.mark.slow


def test_each_verdict_has_its_outcome(whole: Session) -> None:
    assert whole.exit_code == 1
    assert whole.outcomes == {
        "test_valid[seed1]": "PASSED",
        "test_valid[seed2]": "PASSED",
        "test_violated[seed5]": "FAILED",
        "test_unknown[seed1]": "FAILED",
        "test_by_hand[seed1]": "PASSED",
        "test_violated_by_hand[seed1]": "FAILED",
        "test_own_failure[seed1]": "FAILED",
        "test_wrong_option[seed1]": "ERROR",
        "test_harness[seed1]": "ERROR",
        "test_of_something_else": "PASSED",
    }
    assert "raft-chaos: chaos tests 9, seeds 1, 2, 5" in whole.text


def test_a_violation_names_its_run_and_its_reproduction_file(whole: Session) -> None:
    said = whole.failure_of("test_violated[seed5]")
    (run,) = [whole.folder / "runs" / name for name in whole.runs if name.endswith("-5")]
    assert "VIOLATED one_vote_per_term" in said and "rule: A server votes for at most one candidate" in said
    assert f"raft-chaos explain {run}" in said and f"reproduction file: {run / 'reproduction.json'}" in said
    assert "raft-chaos run --seed 5 --world sim --nodes 3" in said
    assert "again: pytest test_it.py::test_violated --raft-seed 5" in said
    assert "its body is not reached" not in said
    assert reproduce(run / "reproduction.json").outcome == "reproduced"


def test_other_failures_are_told_in_their_own_words(whole: Session) -> None:
    assert "no invariant is violated, but the run does not show enough" in whole.failure_of("test_unknown[seed1]")
    assert "one_vote_per_term" in whole.failure_of("test_violated_by_hand[seed1]")
    assert "did you mean 'world'?" in whole.failure_of("test_wrong_option[seed1]")
    assert "Traceback" not in whole.failure_of("test_wrong_option[seed1]")
    assert "this says nothing about the system: the disk is full" in whole.failure_of("test_harness[seed1]")
    assert "run directory: " in whole.failure_of("test_own_failure[seed1]")


def test_passed_tests_leave_nothing(whole: Session) -> None:
    assert len(whole.runs) == 5  # violated, unknown, violated by hand, own failure, harness


def test_options_and_settings(tmp_path: Path) -> None:
    ini = "raft_chaos_unknown = skip\n"
    out = tmp_path / "kept"
    done = session(
        tmp_path, "--raft-seeds", "3..4", "--raft-out", str(out), "-k", "valid or unknown", ini=ini, test_it=TESTS,
        raft="MINE = True",
    )  # fmt: skip
    assert done.outcomes["test_valid[seed3]"] == done.outcomes["test_valid[seed4]"] == "PASSED"
    assert "2 skipped" in done.text and done.exit_code == 0
    assert sorted(path.name.split("-")[1] for path in out.iterdir()) == ["3", "3", "4", "4"]


def test_xdist(tmp_path: Path) -> None:
    pytest.importorskip("xdist")
    done = session(tmp_path, "-n2", "-k", "valid or violated or harness", test_it=TESTS, raft="MINE = True")
    assert {name: outcome for name, outcome in done.outcomes.items() if outcome != "PASSED"} == {
        "test_violated[seed5]": "FAILED",
        "test_violated_by_hand[seed1]": "FAILED",
        "test_harness[seed1]": "ERROR",
    }
    assert "reproduction file: " in done.text


REGRESSIONS = Path(__file__).parents[1] / "regressions"


def test_reproduction_files_are_tests(tmp_path: Path) -> None:
    """A file that was found in a mutant fails as long as it names that mutant, and so does a damaged one."""
    folder = tmp_path / "kept" / "of-2026"
    folder.mkdir(parents=True)
    found = (REGRESSIONS / "vote_not_persisted.json").read_bytes()
    (folder / "vote.json").write_bytes(found)
    (folder / "damaged.json").write_bytes(found[:-100])
    (folder / "other.json").write_text('{"kind": "something else"}', encoding="utf-8")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_it.py").write_text("def test_it(): pass\n", encoding="utf-8")
    ini = "testpaths = tests\nraft_chaos_reproductions = kept\n"
    done = session(tmp_path, ini=ini)
    assert "1 failed, 1 passed, 1 error" in done.text
    assert "one_vote_per_term: reproduced in sim" in done.text
    assert f"raft-chaos repro {folder / 'vote.json'}" in done.text
    assert "ReproductionError" in done.text
    assert "1 passed" in session(tmp_path, "tests", ini=ini).text


def test_without_a_chaos_test_nothing_of_ours_is_imported(tmp_path: Path) -> None:
    test = """
        import sys

        def test_it():
            ours = {name for name in sys.modules if name.startswith("raft_chaos")}
            assert ours == {"raft_chaos", "raft_chaos.pytest_plugin", "raft_chaos.pytest_plugin.plugin"}
            assert not {"msgspec", "aiohttp", "psutil", "rich", "typer"} & set(sys.modules)
    """
    done = session(tmp_path, test_it=test)
    assert done.exit_code == 0, done.text
    assert "raft-chaos: " not in done.text


def test_help_lists_the_options() -> None:
    done = subprocess.run([sys.executable, "-m", "pytest", "--help"], capture_output=True, text=True)
    for word in ("--raft-seed=", "--raft-seeds=", "--raft-world=", "--raft-out=", "raft_chaos_reproductions"):
        assert word in done.stdout
