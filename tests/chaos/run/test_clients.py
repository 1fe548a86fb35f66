"""Clients: which node they ask, how they handle each answer and a missing one, and when their operations begin."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from builders.schedules import LONGEST_US, NODES
from builders.workload import ROUND_TRIP_US, Workload
from raft_chaos.chaos.run.clients import OPERATION_TIMEOUT_US, RETRY_US
from raft_chaos.chaos.run.sim.door import LATENCY_US
from raft_chaos.chaos.schedule.data import Operation, SimModel

FAR_US = 10**9


# ---- one operation -----------------------------------------------------------------------------------------------


def test_an_operation_is_answered_by_the_leader() -> None:
    work = Workload()
    began_us = work.now_us
    work.perform(work.leader)
    end = work.until_ended()
    assert (end.type, end.process, end.op, end.term) == ("ok", 0, "c0/0", 1)
    assert end.index == 2
    assert [op.type for op in work.ops] == ["invoke", "ok"] and work.done == ["c0/0"]
    assert work.ops[0].t_us == began_us
    assert 2 * LATENCY_US[0] < end.t_us - began_us
    ((arrived_us, _, command),) = work.commands
    assert LATENCY_US[0] <= arrived_us - began_us <= LATENCY_US[1]
    assert (command.op, command.key, command.value, command.client, command.serial) == ("append", "k", "v", "c0.0", 1)
    assert work.list_value() == ["v"]


def test_a_node_that_knows_no_leader_is_asked_in_turn_with_the_others() -> None:
    work = Workload()
    for node in (work.leader, work.other):
        work.nodes.cluster.kill(node, 0)
    work.nodes.go(3 * LONGEST_US)  # the remaining node stands for election, and is not elected
    work.perform(work.follower)
    end = work.until_ended()
    assert (end.type, end.error) in [("fail", "no leader known"), ("fail", "cannot connect: Connection refused")]
    turns = NODES * 30
    assert work.asked() == turns[NODES.index(work.follower) :][: len(work.asked())]
    assert OPERATION_TIMEOUT_US // (RETRY_US + ROUND_TRIP_US) <= len(work.asked()) <= OPERATION_TIMEOUT_US // RETRY_US


def test_an_operation_that_no_node_took_fails() -> None:
    work = Workload()
    for node in NODES:
        work.nodes.cluster.kill(node, 0)
    began_us = work.now_us
    work.perform("n2")
    end = work.until_ended()
    assert (end.type, end.error) == ("fail", "cannot connect: Connection refused")
    assert end.t_us == began_us + OPERATION_TIMEOUT_US
    assert end.process == 0
    work.perform("n2")
    assert work.ops[-1].process == 0, "the client goes on as the same process"


def test_an_unknown_outcome_does_not_affect_the_next_operation() -> None:
    work = Workload()
    for node in (work.other, work.follower):
        work.nodes.cluster.kill(node, 0)
    work.perform(work.leader)
    work.nodes.go(ROUND_TRIP_US)
    work.nodes.cluster.kill(work.leader, 0)
    assert work.until_ended().type == "info"
    work.perform(work.leader)
    assert work.until_ended(2).type == "fail"


def test_a_command_without_a_majority_is_unknown() -> None:
    work = Workload()
    work.nodes.cluster.kill(work.other, 0)
    work.nodes.cluster.kill(work.follower, 0)
    work.perform(work.leader)
    end = work.until_ended()
    assert (end.type, end.error) == ("info", "no answer in time")
    assert (end.index, end.term, end.value) == (None, None, None)


# ---- processes and serials ---------------------------------------------------------------------------------------


def test_the_client_gets_a_new_process_and_session_after_an_unknown_outcome() -> None:
    work = Workload(clients=3)
    work.perform(work.leader, client=1)
    work.until_ended()
    for node in NODES:
        work.nodes.cluster.pause(node)
    work.perform(work.leader, client=1)
    assert work.until_ended(2).type == "info"
    for node in NODES:
        work.nodes.cluster.resume(node)
    work.nodes.go(LONGEST_US)
    work.perform(work.nodes.leader(), client=1)
    work.until_ended(3)
    assert [(op.type, op.process) for op in work.ops] == [
        *[("invoke", 1), ("ok", 1)],
        *[("invoke", 1), ("info", 1)],
        *[("invoke", 4), ("ok", 4)],
    ]
    sessions = {(command.client, command.serial) for _, _, command in work.commands}
    assert sessions == {("c1.1", 1), ("c1.1", 2), ("c1.4", 1)}


def test_a_command_that_is_sent_again_is_applied_once() -> None:
    """The leader is killed when its followers have the entry, and before its answer can leave."""
    work = Workload(model=SimModel(sync_min_us=10, sync_max_us=10))
    answers: list[str] = []
    cluster = work.nodes.cluster
    cluster.arm(work.leader, "before_answer", lambda: (cluster.kill(work.leader, 0), answers.append("reached"))[1])
    work.perform(work.leader)
    work.nodes.until(lambda: answers)
    end = work.until_ended()
    assert end.type == "ok"
    arrived = [command for _, _, command in work.commands]
    assert len(arrived) > 1 and len({(c.client, c.serial) for c in arrived}) == 1
    cluster.start(work.leader)
    work.nodes.go(LONGEST_US)
    assert work.list_value() == ["v"]


# ---- many operations ---------------------------------------------------------------------------------------------


def planned(at_us: Sequence[int]) -> list[Operation]:
    return [
        Operation(id=f"c0/{n}", client="c0", at_us=at, f="append", key="k", value=f"{n}") for n, at in enumerate(at_us)
    ]


def test_one_operation_is_open_at_a_time_and_none_begins_before_its_time() -> None:
    work = Workload()
    work.clients[0].believed = work.leader
    now_us, ended = work.now_us, []
    plan = planned([now_us, now_us, now_us + 1, now_us + 50_000])
    work.spawn(work.clients[0].run(plan, FAR_US), lambda: ended.append(work.now_us))
    work.nodes.until(lambda: ended)
    assert [op.type for op in work.ops] == ["invoke", "ok"] * 4
    begins, ends = [op.t_us for op in work.ops[::2]], [op.t_us for op in work.ops[1::2]]
    assert begins == [now_us, ends[0], ends[1], now_us + 50_000]
    assert ended == [ends[-1]]
    assert work.list_value() == ["0", "1", "2", "3"]


def test_no_operation_begins_after_the_end() -> None:
    work = Workload()
    work.clients[0].believed = work.leader
    now_us, ended = work.now_us, []
    plan = planned([now_us, now_us + 20_000, now_us + 20_001])
    work.spawn(work.clients[0].run(plan, now_us + 20_000), lambda: ended.append(work.now_us))
    work.nodes.go(OPERATION_TIMEOUT_US)
    assert [op.op for op in work.ends()] == ["c0/0", "c0/1"]
    assert ended == [work.ends()[-1].t_us]


def test_an_operation_never_begins_if_the_one_before_outlasts_the_end() -> None:
    """The first takes until its time is up; the second's own moment was before the end, but the end came first."""
    work = Workload()
    for node in NODES:
        work.nodes.cluster.kill(node, 0)
    now_us, ended = work.now_us, []
    work.spawn(work.clients[0].run(planned([now_us, now_us + 10]), now_us + 100), lambda: ended.append(work.now_us))
    work.nodes.go(2 * OPERATION_TIMEOUT_US)
    assert [op.type for op in work.ops] == ["invoke", "fail"] and len(ended) == 1


def test_a_client_without_operations_is_done() -> None:
    work, ended = Workload(), []
    work.spawn(work.clients[0].run([], FAR_US), lambda: ended.append(work.now_us))
    assert ended == [work.now_us] and not work.ops


@pytest.mark.parametrize("place", [0, 1, 2])
def test_each_client_begins_with_a_different_node(place: int) -> None:
    work = Workload(clients=3)
    one = Operation(id="c/0", client="c", at_us=0, f="get", key="k")
    work.spawn(work.clients[place].run([one], FAR_US))
    work.until_ended()
    assert work.asked()[0] == NODES[place]


# ---- a late duplicate ---------------------------------------------------------------------------------------------


def after_two_appends(again: int) -> Workload:
    """Two answered operations, then a third, before which a command arrives again."""
    work = Workload()
    for number, ago in enumerate((0, 0, again), 1):
        work.perform(work.leader, value=str(number), again=ago)
        work.until_ended(number)
    return work


def test_the_latest_command_that_arrives_again_gets_its_answer_again() -> None:
    work = after_two_appends(1)
    (again,) = work.again
    assert (again.op, again.refused, again.client) == ("c0/1", False, "c0")
    assert again.index == again.first_index is not None
    assert [command.serial for _, _, command in work.commands] == [1, 2, 2, 3]
    assert work.list_value() == ["1", "2", "3"]


def test_an_older_command_that_arrives_again_is_refused_and_leaves_no_trace_in_the_history() -> None:
    work = after_two_appends(2)
    (again,) = work.again
    assert (again.op, again.refused) == ("c0/0", True) and "older than this client's latest" in str(again.error)
    assert [op.op for op in work.ops] == ["c0/0", "c0/0", "c0/1", "c0/1", "c0/2", "c0/2"]
    assert work.list_value() == ["1", "2", "3"]


def test_nothing_arrives_again_before_there_are_so_many_answers_or_if_the_target_knows_no_repeats() -> None:
    assert after_two_appends(3).again == []
    work = Workload()
    work.doors[0].knows_repeats = False
    for number in (1, 2):
        work.perform(work.leader, again=1)
        work.until_ended(number)
    assert work.again == [] and len(work.commands) == 2
