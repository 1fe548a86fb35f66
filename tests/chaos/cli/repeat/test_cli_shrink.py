"""`raft-chaos shrink`: exit codes, the report and the document, the file, and errors before any work."""

from __future__ import annotations

import json
import shutil
import signal
import time
from pathlib import Path
from typing import NoReturn

import pytest

from builders.commands import Command, only_run, raft_chaos
from builders.schedules import short
from raft_chaos.chaos.processes import interrupts
from raft_chaos.chaos.reproduction.file import load
from raft_chaos.chaos.schedule.file import save

TIMING = ["--election-timeout", "30-60", "--heartbeat", "10"]
SIZE = ["--nodes", "5", "--warmup", "0.5", "--duration", "2.5", "--liveness", "0.2", "--rate", "20", "--clients", "2"]
MUTANT, INVARIANT = "vote_not_persisted", "one_vote_per_term"


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in which a node votes twice."""
    out = tmp_path_factory.mktemp("wrong")
    done = raft_chaos(
        "run", "--world", "sim", "--seed", "1", "--mutant", MUTANT, *TIMING, *SIZE, "-q", "--out", str(out)
    )
    assert done.returncode == 1, done.stderr
    return only_run(out).path


def of_another_system(run: Path, folder: Path) -> Path:
    """The run as if its nodes had been started by a command."""
    shutil.copytree(run, folder / "altered")
    file = folder / "altered" / "run.json"
    document = json.loads(file.read_text())
    document["config"]["command"] = "my-server {node}"
    del document["sha256"]
    file.write_text(json.dumps(document))
    return folder / "altered"


# ---- a failure ---------------------------------------------------------------------------------------------------


def test_a_failure_becomes_a_small_file(wrong: Path, tmp_path: Path, command: Command) -> None:
    file = tmp_path / "small.json"
    code, stdout, stderr = command("shrink", wrong, "--jobs", "1", "--no-anchors", "--out", file)
    assert (code, stderr) == (0, "")
    lines = stdout.splitlines()
    assert lines[0].startswith(f"{INVARIANT}: n")
    table = lines[lines.index("", 1) + 3 :]  # below its heading
    rows = {words[0]: words[1:] for line in table[: table.index("")] if (words := line.split())}
    assert set(rows) == {"faults", "operations", "clients", "nodes", "terms", "steps"}
    assert rows["nodes"] == ["5", "3"] and rows["operations"][1] == "0"
    assert any(line.endswith("replays; minimal: no single part can be removed") for line in lines)
    assert lines[-1].endswith(f"repro {file}")
    made = load(file)
    assert (made.mutant, made.expected.invariant, made.origin.world, made.origin.seed) == (MUTANT, INVARIANT, "sim", 1)
    assert made.execution is not None and made.scenario is not None
    assert (len(made.execution.steps), len(made.scenario.schedule.faults)) == (int(rows["steps"][1]), 1)
    assert command("repro", file)[0] == 1


@pytest.mark.slow
def test_the_document_says_the_same(wrong: Path, command: Command) -> None:
    code, stdout, stderr = command("shrink", wrong, "--json", "--jobs", "1", "--invariant", INVARIANT)
    document = json.loads(stdout)
    assert (code, stderr) == (0, "")
    assert document["file"] == str(wrong / "reproduction.json") and Path(document["file"]).exists()
    assert (document["invariant"], document["mutant"], document["minimal"]) == (INVARIANT, MUTANT, True)
    assert document["has"] == ["execution", "scenario"]
    assert set(document["before"]) == {"faults", "operations", "clients", "nodes", "terms", "steps"}
    assert all(document["after"][what] <= document["before"][what] for what in document["before"])
    assert document["anchors"]["after"] >= document["anchors"]["before"] > 0


# ---- nothing to shrink -------------------------------------------------------------------------------------------


def test_a_run_without_the_violation_cannot_be_shrunk(wrong: Path, tmp_path: Path, command: Command) -> None:
    save(short(every_us=0), tmp_path / "calm.jsonl")
    calm = ["--schedule", tmp_path / "calm.jsonl", "-q", "--out", tmp_path / "out"]
    assert command("run", "--world", "sim", *TIMING, *calm)[0] == 2, "vacuous, and nothing is violated"
    code, stdout, stderr = command("shrink", only_run(tmp_path / "out").path)
    assert (code, stdout) == (2, "") and stderr.endswith(": no invariant is violated\n")
    code, stdout, stderr = command("shrink", wrong, "--invariant", "log_matching")
    assert (code, stdout) == (2, "") and stderr.endswith(f": log_matching is not violated; violated: {INVARIANT}\n")


def test_without_a_budget_nothing_is_reproduced(wrong: Path, tmp_path: Path, command: Command) -> None:
    code, stdout, stderr = command("shrink", wrong, "--budget", "0", "--out", tmp_path / "x.json")
    assert (code, stdout) == (2, "")
    assert stderr.startswith(f"raft-chaos: {wrong}: the budget ended while it was judged again; give a longer one")
    assert not (tmp_path / "x.json").exists()


# ---- the steps before the search -----------------------------------------------------------------------------------

LONG_S = 60.0
GIVE = "; give a longer one"
FIRST_STEPS = {
    "raft_chaos.chaos.shrink.from_run.undamaged": "the budget ended while it was judged again" + GIVE,
    "raft_chaos.chaos.shrink.from_run.as_sim": "the budget ended while it was executed again" + GIVE,
    "raft_chaos.chaos.shrink.failure.record": "not reproduced: the budget ended before the failure was run again"
    + GIVE,
}
"""Each step before the search, and how `shrink` says that the budget ended in it."""


def lasts_long(*_: object, **__: object) -> NoReturn:
    """A step that takes long, and takes every Exception for a node's own."""
    until_s = time.monotonic() + LONG_S
    while time.monotonic() < until_s:
        try:
            time.sleep(0.01)
        except Exception:
            continue
    raise AssertionError("nothing ended it")


@pytest.mark.slow
@pytest.mark.parametrize("step", FIRST_STEPS)
def test_the_budget_bounds_the_steps_before_the_search(
    step: str, wrong: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step, lasts_long)
    files = {file: file.read_bytes() for file in sorted(wrong.rglob("*")) if file.is_file()}
    code, stdout, stderr = command("shrink", wrong, "--budget", "5s", "--jobs", "1", "--out", tmp_path / "x.json")
    assert (code, stdout) == (2, "")
    assert stderr == f"raft-chaos: {wrong}: {FIRST_STEPS[step]}; no file was written, and the run is as it was\n"
    assert files == {file: file.read_bytes() for file in sorted(wrong.rglob("*")) if file.is_file()}


@pytest.mark.parametrize("step", FIRST_STEPS)
def test_ctrl_c_ends_the_steps_before_the_search(
    step: str, wrong: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> NoReturn:
        signal.raise_signal(signal.SIGINT)
        lasts_long()

    monkeypatch.setattr(step, interrupted)
    monkeypatch.setattr(interrupts, "_received", None)
    began_s = time.monotonic()
    code, stdout, _ = command("shrink", wrong, "--budget", "30s", "--jobs", "1", "--out", tmp_path / "x.json")
    assert (code, stdout) == (130, "")
    assert time.monotonic() - began_s < LONG_S / 4
    assert not (tmp_path / "x.json").exists()


# ---- wrong arguments ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("budget", ["", "x", "-1", "5d", "1e3", "1 m"])
def test_a_budget_is_a_time(budget: str, wrong: Path, command: Command) -> None:
    code, stdout, stderr = command("shrink", wrong, "--budget", budget)
    assert (code, stdout) == (254, "")
    assert stderr == f"raft-chaos: --budget: expected a time such as 60s or 5m, got {budget!r}\n"


def test_an_unwritable_file_is_an_error_before_the_work(wrong: Path, tmp_path: Path, command: Command) -> None:
    for file in (tmp_path, tmp_path / "none" / "x.json", wrong / "run.json" / "x.json"):
        code, stdout, stderr = command("shrink", wrong, "--out", file)
        assert (code, stdout) == (254, "")
        assert stderr == f"raft-chaos: --out: cannot write {file}; expected a file in an existing folder\n"


def test_a_folder_that_is_no_run_and_a_run_of_a_system_that_is_not_there_are_refused(
    wrong: Path, tmp_path: Path, command: Command
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    for run in (empty, tmp_path / "none", wrong / "run.json"):
        code, stdout, stderr = command("shrink", run)
        assert (code, stdout, stderr.count("\n")) == (254, "", 1) and str(run) in stderr
    code, stdout, stderr = command("shrink", of_another_system(wrong, tmp_path))
    assert (code, stdout) == (254, "")
    assert "is a run of another system, which cannot be run here: there is no program 'my-server'" in stderr
