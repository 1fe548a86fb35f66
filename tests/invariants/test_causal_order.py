"""Events that were recorded out of causal order, by some microseconds, are put back into it."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from raft_chaos.invariants import events, history
from raft_chaos.invariants.causal_order import causal_order
from raft_chaos.invariants.events import (
    HARNESS,
    AnyEvent,
    FaultHealed,
    FaultInjected,
    LogTruncated,
    MessageReceived,
    MessageSent,
    NodeExited,
    NodeKilled,
    NodeLaunched,
    NodePaused,
    NodeResumed,
    NodeSampled,
    Started,
)
from raft_chaos.invariants.history import Op
from raft_chaos.invariants.rundir import RunDir

Item = AnyEvent | Op


def killed(t_us: int, node: str, inc: int = 1) -> NodeKilled:
    return NodeKilled(node=HARNESS, inc=1, t_us=t_us, subject=node, subject_inc=inc)


def paused(t_us: int, node: str) -> NodePaused:
    return NodePaused(node=HARNESS, inc=1, t_us=t_us, subject=node, subject_inc=1)


def resumed(t_us: int, node: str) -> NodeResumed:
    return NodeResumed(node=HARNESS, inc=1, t_us=t_us, subject=node, subject_inc=1)


def launched(t_us: int, node: str, inc: int) -> NodeLaunched:
    return NodeLaunched(node=HARNESS, inc=1, t_us=t_us, subject=node, subject_inc=inc)


def exited(t_us: int, node: str, inc: int = 1) -> NodeExited:
    return NodeExited(node=HARNESS, inc=1, t_us=t_us, subject=node, subject_inc=inc, exit_code=1)


def sampled(t_us: int, node: str) -> NodeSampled:
    return NodeSampled(
        node=HARNESS,
        inc=1,
        t_us=t_us,
        subject=node,
        subject_inc=1,
        cpu_percent=0.0,
        rss_bytes=0,
        open_files=0,
        threads=1,
    )


def injected(t_us: int, fault: str, type: str, *nodes: str) -> FaultInjected:
    return FaultInjected(node=HARNESS, inc=1, t_us=t_us, fault=fault, type=type, targets=nodes)


def healed(t_us: int, fault: str, type: str) -> FaultHealed:
    return FaultHealed(node=HARNESS, inc=1, t_us=t_us, fault=fault, type=type, effective=True)


def started(t_us: int, node: str, inc: int = 1) -> Started:
    return Started(node=node, inc=inc, t_us=t_us, term=0, voted_for=None, last_index=0, digest="")


def cut(t_us: int, node: str, inc: int = 1) -> LogTruncated:
    return LogTruncated(node=node, inc=inc, t_us=t_us, from_index=1)


def sent(t_us: int, node: str, to: str, number: int = 1) -> MessageSent:
    return MessageSent(node=node, inc=1, t_us=t_us, to=to, number=number, type="RequestVote")


def received(t_us: int, node: str, sender: str, number: int = 1) -> MessageReceived:
    return MessageReceived(node=node, inc=1, t_us=t_us, sender=sender, sender_inc=1, number=number, type="RequestVote")


def invoked(t_us: int, client: str = "c0") -> Op:
    return Op(type="invoke", process=0, client=client, op=f"{client}/{t_us}", f="get", key="k", t_us=t_us)


def in_order(items: list[Item]) -> list[Item]:
    return [items[place] for place in causal_order(items)]


# ---- each kind of cause ------------------------------------------------------------------------------------------


def test_a_fault_is_injected_before_its_kill() -> None:
    kill, fault = killed(599, "n4"), injected(642, "f1", "kill", "n4")
    before, between, after = cut(500, "n1"), cut(610, "n1"), cut(700, "n1")
    assert in_order([before, kill, between, fault, after]) == [before, fault, kill, between, after]


def test_a_fault_that_hits_several_nodes_comes_before_all_of_them() -> None:
    kills: list[Item] = [killed(10, "n1"), sampled(11, "n3"), killed(12, "n2")]
    fault = injected(13, "f1", "kill", "n1", "n2")
    assert in_order([*kills, fault]) == [fault, *kills]


def test_a_fault_is_injected_before_its_pause() -> None:
    pause, fault = paused(10, "n1"), injected(14, "f1", "pause", "n1", "n2")
    resume, heal = resumed(90, "n1"), healed(91, "f1", "pause")
    assert in_order([pause, fault, resume, heal]) == [fault, pause, resume, heal]


def test_each_of_two_faults_comes_before_its_own_kill() -> None:
    items: list[Item] = [
        killed(10, "n1"),
        killed(12, "n2"),
        injected(13, "f1", "kill", "n1"),
        injected(15, "f2", "kill", "n2"),
    ]
    one, two, first, second = items
    assert in_order(items) == [first, one, second, two]


@pytest.mark.parametrize(
    "earlier",
    [
        [killed(10, "n1"), injected(11, "f1", "kill", "n1")],  # another fault's
        [killed(10, "n1"), launched(30, "n1", 2)],  # over already
        [paused(10, "n1")],  # of another kind
        [killed(10, "n2")],  # of another node
        [],
    ],
)
def test_a_fault_is_not_moved_before_a_kill_or_pause_of_another(earlier: list[Item]) -> None:
    late = injected(40, "f9", "kill", "n1")
    assert in_order([*earlier, late])[-1] == late


def test_a_fault_that_strikes_later_stays_where_it_is() -> None:
    items: list[Item] = [injected(10, "f1", "kill", "n1"), cut(20, "n1"), killed(21, "n1")]
    assert in_order(items) == items


def test_a_message_is_received_after_it_was_sent_and_what_came_before_the_sending() -> None:
    early, receipt, after = cut(1, "n2"), received(10, "n2", "n1"), cut(12, "n2")
    vote, sending = cut(11, "n1"), sent(13, "n1", "n2")
    assert in_order([early, receipt, vote, after, sending]) == [early, vote, sending, receipt, after]


def test_a_message_whose_sending_nobody_reported_stays_where_it_is() -> None:
    items: list[Item] = [received(1, "n2", "n1"), sent(2, "n1", "n2", number=2), received(3, "n2", "n1", number=2)]
    assert in_order(items) == items


def test_a_node_is_gone_after_its_last_line() -> None:
    for gone in (killed(10, "n1"), exited(10, "n1")):
        last = cut(11, "n1")
        assert in_order([gone, last]) == [last, gone]


def test_a_node_starts_again_after_the_one_before_is_gone() -> None:
    for gone in (killed(20, "n1"), exited(20, "n1")):
        last, again = cut(21, "n1"), started(19, "n1", inc=2)
        assert in_order([last, again, gone]) == [last, gone, again]


def test_a_cause_brings_its_own_causes_along() -> None:
    kill, fault = killed(20, "n1"), injected(22, "f1", "kill", "n1")
    again, request = started(19, "n1", inc=2), cut(23, "n1", inc=2)
    assert in_order([again, kill, fault, request]) == [fault, kill, again, request]


# ---- what is never done ------------------------------------------------------------------------------------------


def test_events_that_are_in_order_stay_as_they_are() -> None:
    items: list[Item] = [
        started(0, "n1"),
        started(0, "n2"),
        invoked(5),
        injected(6, "f1", "kill", "n1"),
        killed(6, "n1"),
        sent(6, "n2", "n3"),
        started(6, "n1", inc=2),
        invoked(5, "c1"),
        received(6, "n3", "n2"),
    ]
    assert causal_order(items) == list(range(len(items)))
    assert causal_order([]) == []


def test_files_that_contradict_themselves_keep_all_their_events() -> None:
    items: list[Item] = [
        received(1, "n1", "n2"),
        sent(2, "n1", "n2"),
        received(1, "n2", "n1"),
        sent(2, "n2", "n1"),
    ]
    assert sorted(causal_order(items)) == [0, 1, 2, 3]


@pytest.mark.parametrize("seed", range(20))
def test_the_order_of_messages_and_of_each_node_holds_for_any_clocks(seed: int) -> None:
    """Three nodes exchange messages; what they wrote is interleaved at random."""
    random = Random(seed)
    streams: dict[str, list[Item]] = {"n1": [], "n2": [], "n3": []}
    for number in range(60):
        one, other = random.sample(sorted(streams), 2)
        streams[one].append(sent(number, one, other, number))
        if random.random() < 0.8:
            streams[other].append(received(number, other, one, number))
    owners = [name for name, stream in streams.items() for _ in stream]
    random.shuffle(owners)
    rest = {name: iter(stream) for name, stream in streams.items()}
    ordered = in_order([next(rest[name]) for name in owners])
    for name, stream in streams.items():
        assert [item for item in ordered if not isinstance(item, Op) and item.node == name] == stream
    for place, item in enumerate(ordered):
        if isinstance(item, MessageReceived):
            assert sent(item.number, item.sender, item.node, item.number) in ordered[:place]


# ---- in a saved run ----------------------------------------------------------------------------------------------


def test_the_trace_of_a_live_run_has_causes_first_and_that_of_a_scheduler_its_own_order(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    kill, fault = killed(599, "n1"), injected(642, "f1", "kill", "n1")
    first, again, read = started(1, "n1"), started(700, "n1", inc=2), invoked(600)
    run.harness.write_bytes(events.encode(kill) + events.encode(fault))
    run.history.write_bytes(history.encode(read))
    for event in (first, again):
        run.node_events("n1", event.inc).parent.mkdir(parents=True, exist_ok=True)
        run.node_events("n1", event.inc).write_bytes(events.encode(event))
    assert [item.event for item in run.trace()] == [first, fault, kill, read, again]
    run.order.write_text("n1/1 1\nharness 2\nhistory 1\nn1/2 1\n")
    assert [item.event for item in run.trace()] == [first, kill, fault, read, again]
