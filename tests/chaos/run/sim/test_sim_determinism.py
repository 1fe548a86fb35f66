"""One seed gives one trace, and removing an entry of a schedule shifts nothing before it. See also test_sabotage."""

from __future__ import annotations

from pathlib import Path

import pytest

from builders.runs import in_sim, recorded_run
from builders.schedules import NODES, SAFETY_US, TWO_LEADERS, fault, short
from builders.storms import stormy
from raft_chaos.chaos.faults.action import Action
from raft_chaos.chaos.faults.clock import Clock
from raft_chaos.chaos.faults.disk import SlowSync
from raft_chaos.chaos.faults.network import Network
from raft_chaos.chaos.schedule.data import Fault, Schedule
from raft_chaos.invariants.events import (
    CommitAdvanced,
    EntryAppended,
    LogTruncated,
    RoleChanged,
    VoteGranted,
)
from raft_chaos.invariants.history import Op
from raft_chaos.invariants.rundir import RunDir, TraceItem

SEEDS = (1, 2)
HELD = (RoleChanged, VoteGranted, EntryAppended, LogTruncated, CommitAdvanced)


def without(plan: Schedule, gone: Fault) -> Schedule:
    return Schedule(plan.header, [one for one in plan.faults if one is not gone], plan.operations)


def trace(plan: Schedule, folder: Path) -> list[TraceItem]:
    folder.mkdir()
    return list(recorded_run(plan, folder).trace())


def common(one: list[TraceItem], other: list[TraceItem]) -> int:
    """How many lines the two begin with in common."""
    pairs = zip(one, other, strict=False)
    return next((place for place, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


# ---- the same run ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_a_schedule_makes_the_same_trace_again(seed: int) -> None:
    first = in_sim(stormy(seed))
    in_sim(stormy(seed + 1))  # nothing is left of another run
    again = in_sim(stormy(seed))
    assert again.trace_sha256 == first.trace_sha256
    assert {**again.analysis.stats, "wall_s": 0} == {**first.analysis.stats, "wall_s": 0}
    assert again.analysis.invariants == first.analysis.invariants


def test_every_seed_makes_a_different_trace() -> None:
    assert len({in_sim(short(*TWO_LEADERS, seed=seed)).trace_sha256 for seed in range(5)}) == 5


@pytest.mark.parametrize("seed", SEEDS)
def test_a_run_is_the_same_recorded_or_not(seed: int, tmp_path: Path) -> None:
    assert recorded_run(stormy(seed), tmp_path).load_info().trace_sha256 == in_sim(stormy(seed)).trace_sha256


def test_the_trace_does_not_depend_on_the_folder(tmp_path: Path) -> None:
    left, right = tmp_path / "left", tmp_path / "a much longer name than that of the other"
    assert trace(stormy(1), left) == trace(stormy(1), right)
    assert RunDir(left / "run").order.read_bytes() == RunDir(right / "run").order.read_bytes()


# ---- a schedule with an entry less -------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_removing_a_fault_changes_nothing_before_it(seed: int, tmp_path: Path) -> None:
    plan = stormy(seed)
    whole = trace(plan, tmp_path / "whole")
    timed = [one for one in plan.faults if one.when.at_us is not None]
    for number, one in enumerate(timed[::2]):
        less = trace(without(plan, one), tmp_path / str(number))
        before = _told_before(one.when.at_us or 0, whole)
        assert before > 100
        assert common(whole, less) >= before, one


def _told_before(at_us: int, items: list[TraceItem]) -> int:
    """How many lines were certainly written before this time. Some events wait for the disk and come later."""
    place = next(place for place, item in enumerate(items) if item.event.t_us >= at_us)
    while isinstance(items[place - 1].event, HELD):
        place -= 1
    return place


def test_removing_an_operation_changes_nothing_before_it(tmp_path: Path) -> None:
    plan = short(*TWO_LEADERS)
    whole = trace(plan, tmp_path / "whole")
    gone = plan.operations[len(plan.operations) // 2]
    less = Schedule(plan.header, plan.faults, [one for one in plan.operations if one is not gone])
    same = common(whole, trace(less, tmp_path / "less"))
    assert isinstance(whole[same].event, Op) and whole[same].event.op == gone.id


IDLE: list[Action] = [
    Network(NODES),
    Network(NODES, loss=1e-18, duplicate=1e-18, reorder=1e-18),
    Clock(NODES, 0, 0),
    SlowSync(NODES, 0, 0),
]
"""Faults that do nothing; but their draws are made, and the code that they go through is another."""


@pytest.mark.parametrize("action", IDLE, ids=lambda action: str(action)[:40])
def test_a_fault_without_effect_changes_nothing(action: Action, tmp_path: Path) -> None:
    idle = fault("idle", SAFETY_US[0] + 1, action, 400_000)
    with_it = trace(short(*TWO_LEADERS, idle), tmp_path / "with")
    rest = [item for item in with_it if getattr(item.event, "fault", None) != "idle"]
    assert len(rest) == len(with_it) - 2, "that it set in, and that it was healed"
    assert rest == trace(short(*TWO_LEADERS), tmp_path / "without")
