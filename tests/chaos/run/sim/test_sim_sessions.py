"""Sessions that expire in a run: clients are told so and begin new ones, and nothing is applied twice."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from builders.schedules import TIMING, schedule
from builders.storms import stormy
from raft_chaos.chaos.execution.recording import record
from raft_chaos.chaos.mutants import parts_of
from raft_chaos.chaos.reproduction.reproduce import Lines
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.chaos.run.sim.run import VirtualRun
from raft_chaos.chaos.schedule.data import Schedule
from raft_chaos.invariants.events import AnsweredAgain
from raft_chaos.invariants.history import Op
from raft_chaos.raft.replica.machine import EXPIRED
from raft_chaos.raft.state.features import Features


def with_sessions(plan: Schedule, most: int) -> Schedule:
    return replace(plan, header=replace(plan.header, features=Features(max_sessions=most)))


def run(plan: Schedule) -> tuple[list[Op], list[AnsweredAgain], list[str]]:
    """The operations, the late duplicates, and what was violated."""
    lines = Lines()
    done = VirtualRun(plan, timing=TIMING, driver=MemoryDriver(parts_of(None)), recorder=lines).go()
    ops = [one for one in lines.items if isinstance(one, Op)]
    again = [one for one in lines.items if isinstance(one, AnsweredAgain)]
    return ops, again, [one.invariant for one in done.analysis.invariants if one.outcome == "violated"]


def expired(ops: list[Op]) -> list[Op]:
    return [op for op in ops if op.type in ("fail", "info") and (op.error or "").startswith(EXPIRED)]


def test_a_client_whose_session_was_forgotten_is_told_so_and_begins_another() -> None:
    ops, _, violated = run(with_sessions(schedule(clients=3), 2))
    assert violated == []
    told = expired(ops)
    assert told and all(op.type == "fail" for op in told), "without a fault it is always certain that nothing happened"
    for op in told:
        later = [one for one in ops if one.client == op.client and one.t_us > op.t_us]
        assert all(one.process > op.process for one in later)
    assert sum(op.type == "ok" for op in ops) > 3 * len(told)


def test_no_session_expires_while_there_is_room() -> None:
    ops, _, violated = run(with_sessions(schedule(clients=3), 3))
    assert (expired(ops), violated) == ([], [])


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_under_faults_nothing_is_applied_twice(seed: int) -> None:
    ops, _, violated = run(with_sessions(stormy(seed), 2))
    assert violated == []
    assert expired(ops)


def test_a_late_duplicate_of_a_forgotten_session_is_refused() -> None:
    plan = schedule(clients=3)
    operations = [replace(operation, again=1) for operation in plan.operations]
    _, again, violated = run(with_sessions(replace(plan, operations=operations), 2))
    assert violated == []
    assert any(one.refused and (one.error or "").startswith(EXPIRED) for one in again)
    assert any(not one.refused for one in again)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_client_that_begins_anew_under_its_name_gets_no_answers_of_its_old_session(seed: int) -> None:
    plan = stormy(seed)
    operations = [replace(one, anew=place % 4 == 0, again=place % 3) for place, one in enumerate(plan.operations)]
    _, again, violated = run(replace(plan, operations=operations))
    assert violated == []
    assert again


def test_an_execution_has_the_commands_of_later_sessions() -> None:
    """It can be played: each call says when its session began."""
    _, execution = record(with_sessions(schedule(clients=3), 2), TIMING, parts_of(None))
    sinces = {call.since for call in execution.calls}
    assert 0 in sinces and len(sinces) > 1
