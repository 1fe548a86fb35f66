"""Selfcheck: correct runs are equal in all processes, and each sabotage is found in the comparison that shows it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from builders.schedules import TIMING
from builders.storms import swarm_config
from raft_chaos.chaos.campaign.selfcheck import MOST_UNEQUAL, Checked, Selfcheck, SelfcheckError
from raft_chaos.chaos.campaign.selfcheck_worker import Answer
from raft_chaos.chaos.faults.partition import Partition
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.mutants import SABOTAGES
from raft_chaos.chaos.run.settings import Settings
from raft_chaos.invariants.rundir import RunDir
from raft_chaos.invariants.trace import trace_sha256

pytestmark = pytest.mark.live

MANY = 1_000_000
"""More seeds than a test runs."""

FOUND_BY: dict[str, list[str]] = {"same world": [], "lockstep": []}
for _sabotage in SABOTAGES.values():
    FOUND_BY[_sabotage.shows].append(_sabotage.id)


def settings(mutant: str | None = None, nodes: int = 3) -> Settings:
    """A swarm of all faults, in runs of less than two virtual seconds."""
    return Settings(world="sim", schedule=swarm_config(nodes, 1.6), timing=TIMING, mutant=mutant)


@pytest.fixture(scope="module")
def in_sim() -> Iterator[Selfcheck]:
    with Selfcheck(jobs=1) as one:
        yield one


@pytest.fixture(scope="module")
def in_lockstep() -> Iterator[Selfcheck]:
    with Selfcheck(lockstep=True, jobs=1) as one:
        yield one


def happened(checked: list[Checked]) -> dict[str, int]:
    """Totals of everything in which worlds and processes could differ."""
    names = ("elections", "truncations", "restarts", "lost_writes", "torn_writes")
    of_links = ("frames_lost", "frames_duplicated", "frames_reordered", "frames_stale")
    return {name: sum(int(one.answers[0].stats[name]) for one in checked) for name in (*names, *of_links)}


# ---- what is equal -------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_seeds_are_equal_in_two_processes_and_much_happens_in_them(in_sim: Selfcheck, tmp_path: Path) -> None:
    checked = list(in_sim.check(settings(), range(1, 11), tmp_path / "out"))
    assert [(one.seed, one.outcome) for one in checked] == [(seed, "equal") for seed in range(1, 11)]
    assert len({one.answers[0].trace_sha256 for one in checked}) == 10
    assert all(total > 0 for total in happened(checked).values()), happened(checked)
    actions = [fault.action for seed in range(1, 11) for fault in settings().make_schedule(seed).faults]
    assert any(isinstance(action, Partition) for action in actions)
    assert any(isinstance(action, Kill) and action.failpoint for action in actions)
    assert not (tmp_path / "out").exists(), "nothing is left of what is equal"


@pytest.mark.slow
def test_the_seeds_are_equal_with_real_processes(in_lockstep: Selfcheck, tmp_path: Path) -> None:
    checked = list(in_lockstep.check(settings(), [2, 6, 2], tmp_path / "out"))
    assert [(one.seed, one.outcome) for one in checked] == [(2, "equal"), (6, "equal")], "each once"
    assert [answer.side for answer in checked[0].answers] == ["sim-1", "sim-2", "lockstep-3"]
    assert all(total > 0 for total in happened(checked).values()), happened(checked)
    recorded = [Path(answer.run) for one in checked for answer in one.answers if answer.run is not None]
    assert len(recorded) == 2, "real files are made"
    assert not any(run.exists() for run in (*recorded, tmp_path / "out")), "and nothing is left of them"


# ---- what is different ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sabotage", FOUND_BY["same world"])
def test_nondeterminism_is_found_in_sim(sabotage: str, in_sim: Selfcheck, tmp_path: Path) -> None:
    (found,) = in_sim.check(settings(sabotage, nodes=5), [2], tmp_path)
    assert found.outcome == "different" and found.parted is not None
    (records,) = tmp_path.iterdir()
    assert sorted(run.name for run in records.iterdir()) == ["2-sim-1", "2-sim-2"]
    difference = found.difference()
    assert difference is not None and difference.left is not None and difference.right is not None
    for answer in found.parted:
        run = RunDir(Path(answer.run or ""))
        info = run.load_info()
        assert info.state == "finished" and info.repro.endswith("run --seed 2 --world sim")
        assert trace_sha256(run) == info.trace_sha256 == answer.trace_sha256


@pytest.mark.slow
@pytest.mark.parametrize("sabotage", FOUND_BY["lockstep"])
def test_faults_of_real_files_and_links_are_found_only_in_lockstep(
    sabotage: str, in_sim: Selfcheck, in_lockstep: Selfcheck, tmp_path: Path
) -> None:
    (unseen,) = in_sim.check(settings(sabotage), [2], tmp_path / "sim")
    assert unseen.outcome == "equal"
    (found,) = in_lockstep.check(settings(sabotage), [2], tmp_path / "lockstep")
    assert found.outcome == "different" and found.parted is not None
    (records,) = (tmp_path / "lockstep").iterdir()
    assert sorted(run.name for run in records.iterdir()) == ["2-lockstep-3", "2-sim-1"]
    simulated, real = found.parted
    assert simulated.trace_sha256 == unseen.answers[0].trace_sha256
    difference = found.difference()
    assert difference is not None and difference.common > 0
    if real.diverged:
        assert difference.right is None, "the record goes on until the world diverged"
    else:
        assert trace_sha256(RunDir(Path(real.run or ""))) == real.trace_sha256 != simulated.trace_sha256


def test_a_difference_that_does_not_repeat_still_counts(in_sim: Selfcheck, tmp_path: Path) -> None:
    (found,) = in_sim.check(settings("wall_clock"), [2], tmp_path)
    assert found.parted is not None
    again = Checked(2, found.answers, (found.parted[0], found.parted[0]))
    assert (again.outcome, again.difference()) == ("different", None)


def test_it_stops_when_more_seeds_would_add_nothing(in_sim: Selfcheck, tmp_path: Path) -> None:
    checked = list(in_sim.check(settings("no such mutant"), range(1, MANY), tmp_path / "out"))
    assert MOST_UNEQUAL <= len(checked) <= MOST_UNEQUAL + 2, "those under way come to their end"
    assert {one.outcome for one in checked} == {"failed"}
    assert {answer.failed for one in checked for answer in one.answers} == {"KeyError: 'no such mutant'"}
    assert not (tmp_path / "out").exists()


def test_a_failure_of_one_side_is_not_a_difference() -> None:
    right, wrong = Answer("sim-1", "ab"), Answer("sim-2", failed="MemoryError: ")
    assert Checked(1, [right, wrong]).outcome == "failed"
    assert Checked(1, [right, Answer("sim-2", "cd")], (right, wrong)).outcome == "failed"


# ---- what goes wrong -----------------------------------------------------------------------------------------------


def workers() -> set[int]:
    """The worker processes that this process has now."""
    children = psutil.Process().children()
    return {child.pid for child in children if any("spawn_main" in word for word in child.cmdline())}


def test_a_dead_worker_ends_the_selfcheck_and_its_seeds_are_named(in_sim: Selfcheck, tmp_path: Path) -> None:
    list(in_sim.check(settings(), [1], tmp_path))
    others = workers()
    with (
        pytest.raises(SelfcheckError, match=r"^a worker process died while these seeds were under way: \d+\.\.\d+$"),
        Selfcheck(jobs=1) as one,
    ):
        for number, _ in enumerate(one.check(settings(), range(1, MANY), tmp_path)):
            if number == 3:
                psutil.Process(min(workers() - others)).kill()
    assert workers() == others, "and leaves nobody behind"


def test_runs_that_cannot_be_saved_are_reported(in_sim: Selfcheck, tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(
        SelfcheckError, match=r"^seed 2 is not equal, and its runs cannot be saved in .*/out/selfcheck-"
    ):
        list(in_sim.check(settings("wall_clock"), [2], tmp_path / "out"))


def test_no_process_and_no_file_is_left_at_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("PYTHONHASHSEED", "17")
    before = workers()
    with Selfcheck(jobs=2) as one:
        assert [checked.outcome for checked in one.check(settings(), [1, 2], tmp_path / "out")] == ["equal"] * 2
        assert len(workers() - before) == 4 and len(list(tmp_path.iterdir())) == 1
    assert workers() == before and not list(tmp_path.iterdir())
    assert os.environ["PYTHONHASHSEED"] == "17", "and this process is as it was"
