"""The nodes in virtual time: pauses, timers, crashes, failpoints, frames to and from the dead, and nodes that die."""

from __future__ import annotations

from itertools import pairwise

import pytest

from builders.runs import of
from builders.schedules import LONGEST_US, NODES, TIMING
from builders.virtual_cluster import Nodes
from raft_chaos.chaos.schedule.data import SimModel
from raft_chaos.invariants.events import (
    EntryApplied,
    Event,
    HarnessEvent,
    MessageReceived,
    MessageSent,
    NodeExited,
    NodeKilled,
    NodeLaunched,
    NodePaused,
    NodeResumed,
    VoteGranted,
)
from raft_chaos.raft.core import Core
from raft_chaos.raft.replica.command import Command, encode_command
from raft_chaos.raft.replica.result import Result
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.state.messages import AppendEntries
from raft_chaos.raft.storage.log_file import FILE, MAGIC

SLOW_SYNC = SimModel(sync_min_us=5_000, sync_max_us=5_000)
FIXED = SimModel(latency_min_us=500, latency_max_us=500, sync_min_us=1_000, sync_max_us=1_000)


def put(value: str) -> bytes:
    return encode_command(Command("put", "key", value))


def applied(nodes: Nodes, node: str) -> int:
    return nodes.view.nodes[node].applied_index


def harness(nodes: Nodes, kind: type[HarnessEvent], node: str | None = None) -> list[HarnessEvent]:
    return [event for event in of(kind, nodes.trace.harness_events) if node in (None, event.subject)]  # type: ignore[union-attr]


def reported_by(nodes: Nodes, node: str) -> list[Event]:
    return [event for _, event in nodes.trace.reports if event.node == node]


# ---- a healthy cluster -------------------------------------------------------------------------------------------


def test_a_cluster_elects_and_serves() -> None:
    nodes = Nodes()
    leader = nodes.leader()
    assert nodes.submit(leader, "mine", put("v"))
    nodes.until(lambda: nodes.replies)
    assert nodes.replies[0][0] == leader
    reply = nodes.replies[0][1]
    assert (reply.token, reply.result) == ("mine", Result(True))
    nodes.until(lambda: all(applied(nodes, node) == reply.index for node in NODES))
    follower = nodes.followers(leader)[0]
    assert nodes.submit(follower, "other", put("w"))
    assert nodes.refusals == [(follower, leader)]
    assert [event.subject for event in harness(nodes, NodeLaunched)] == NODES
    assert {verdict.outcome for verdict in nodes.judge.verdicts()} <= {"valid", "unknown"}


def test_messages_are_numbered_and_arrive_as_those_that_were_sent() -> None:
    nodes = Nodes()
    nodes.leader()
    nodes.go(LONGEST_US)
    sent = {(e.node, e.inc, e.number): (e.to, e.type) for e in nodes.reports(MessageSent)}
    received = [((e.sender, e.sender_inc, e.number), (e.node, e.type)) for e in nodes.reports(MessageReceived)]
    assert len(received) > 20
    assert all(sent[name] == what for name, what in received)
    assert len(dict(received)) == len(received)


def test_starting_a_running_node_and_killing_a_dead_one_do_nothing() -> None:
    nodes = Nodes()
    assert nodes.cluster.start("n1")
    assert nodes.cluster.incarnation("n1") == 1
    assert nodes.cluster.kill("n1", 0)
    assert nodes.cluster.state("n1") == "down"
    assert not nodes.cluster.kill("n1", 0)
    assert not nodes.cluster.pause("n1")
    assert not nodes.cluster.arm("n1", "before_send", lambda: None)
    assert not nodes.submit("n1", 0, put("v"))
    assert nodes.cluster.start("n1")
    assert nodes.cluster.incarnation("n1") == 2
    assert [event.subject_inc for event in harness(nodes, NodeLaunched, "n1")] == [1, 2]
    assert len(harness(nodes, NodeKilled)) == 1
    assert nodes.broken == ["n1"]


# ---- pauses ------------------------------------------------------------------------------------------------------


def test_a_paused_node_is_silent_and_gets_its_inputs_in_order_on_resume() -> None:
    nodes = Nodes(model=FIXED)
    leader = nodes.leader()
    paused = nodes.followers(leader)[0]
    nodes.go(LONGEST_US)
    assert nodes.cluster.pause(paused) and not nodes.cluster.pause(paused)
    paused_us, said = nodes.scheduler.now_us, len(reported_by(nodes, paused))
    for number in range(5):
        nodes.submit(leader, number, put(f"{number}"))
        nodes.go(LONGEST_US // 5)
    nodes.submit(paused, "refuse me", put("x"))
    assert nodes.cluster.state(paused) == "paused" and len(reported_by(nodes, paused)) == said
    assert len(nodes.replies) == 5, "a majority goes on"

    nodes.cluster.resume(paused)
    resumed_us = nodes.scheduler.now_us
    assert nodes.refusals == [(paused, leader)]
    at_once = [e.number for e in nodes.reports(MessageReceived, paused) if e.t_us == resumed_us]
    arrived = [
        e.number
        for e in nodes.reports(MessageSent, leader)
        if e.to == paused and paused_us < e.t_us + 500 <= resumed_us  # 500 µs is what each frame takes
    ]
    assert at_once == arrived and len(arrived) > 5
    assert [e.t_us for e in harness(nodes, NodePaused)] == [paused_us]
    assert [e.t_us for e in harness(nodes, NodeResumed)] == [resumed_us]
    nodes.until(lambda: applied(nodes, paused) == applied(nodes, leader))


def test_an_overdue_timer_fires_after_a_pause() -> None:
    """The timer came due during the pause; no other node is alive, so nothing else would ever wake the node."""
    nodes = Nodes()
    nodes.cluster.kill("n2", 0)
    nodes.cluster.kill("n3", 0)
    nodes.cluster.pause("n1")
    nodes.go(5 * LONGEST_US)
    assert not nodes.reports(VoteGranted, "n1")
    nodes.cluster.resume("n1")
    nodes.go(3_000)
    assert nodes.reports(VoteGranted, "n1"), "at once, for it is overdue"
    terms = len(nodes.reports(VoteGranted, "n1"))
    nodes.go(5 * LONGEST_US)
    assert len(nodes.reports(VoteGranted, "n1")) >= terms + 3, "and again and again"


def test_a_sync_that_ends_during_a_pause_is_delivered_on_resume() -> None:
    nodes = Nodes(nodes=["n1"], model=SLOW_SYNC)
    nodes.go(nodes.cluster.deadline_us("n1"))
    nodes.cluster.pause("n1")
    nodes.go(20_000)
    assert not nodes.reports(VoteGranted)
    nodes.cluster.resume("n1")
    assert nodes.reports(VoteGranted), "its vote is durable"


def test_inputs_that_wait_for_a_paused_node_are_lost_when_it_is_killed() -> None:
    nodes = Nodes()
    leader = nodes.leader()
    paused = nodes.followers(leader)[0]
    nodes.cluster.pause(paused)
    nodes.submit(leader, 0, put("v"))
    nodes.submit(paused, 1, put("w"))
    nodes.go(LONGEST_US // 2)
    assert nodes.cluster.kill(paused, 0)
    assert nodes.broken == [paused]
    nodes.cluster.resume(paused)
    assert nodes.cluster.state(paused) == "down"
    said = len(reported_by(nodes, paused))
    nodes.go(LONGEST_US)
    assert len(reported_by(nodes, paused)) == said
    assert not nodes.refusals
    nodes.cluster.start(paused)
    nodes.cluster.resume(paused)
    assert not harness(nodes, NodeResumed)
    nodes.cluster.pause(paused)
    before = len(nodes.reports(MessageReceived, paused))
    nodes.cluster.resume(paused)
    assert len(nodes.reports(MessageReceived, paused)) == before and not nodes.refusals, "nor its next incarnation"
    nodes.until(lambda: applied(nodes, paused) == applied(nodes, leader) > 1)


def test_a_node_that_dies_on_resume_gets_no_more_inputs() -> None:
    class Fragile(Core):
        def _on_append_entries(self, source: str, m: AppendEntries) -> None:
            if m.entries and self.commit_index >= 3:
                raise RuntimeError("one entry too many")
            super()._on_append_entries(source, m)

    nodes = Nodes(Parts(core=Fragile))
    leader = nodes.leader()
    for number in range(2):
        nodes.submit(leader, number, put("v"))
        nodes.go(TIMING.heartbeat_us * 2)
    paused, other = nodes.followers(leader)
    nodes.cluster.kill(other, 0)
    nodes.cluster.pause(paused)
    for number in range(3):
        nodes.submit(leader, number, put("v"))
        nodes.go(TIMING.heartbeat_us)
    said = len(reported_by(nodes, paused))
    nodes.cluster.resume(paused)
    assert nodes.cluster.state(paused) == "exited"
    (exited,) = harness(nodes, NodeExited)
    assert exited.subject == paused  # type: ignore[union-attr]
    assert exited.log_tail.startswith("RuntimeError: one entry too many (")  # type: ignore[union-attr]
    assert len(reported_by(nodes, paused)) - said < 3


# ---- timers and clocks -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at_us", [0, 20_000, 3 * LONGEST_US])
def test_a_cluster_elects_after_all_clocks_have_jumped_over_their_timeouts(at_us: int) -> None:
    """All timers are overdue at one moment. They are due now, not at a time that has passed."""
    nodes = Nodes()
    nodes.go(at_us)
    terms = len(nodes.view.leaders)
    for node in NODES:
        nodes.cluster.change_clock(node, 0, 10 * LONGEST_US)
    jumped_us = nodes.scheduler.now_us
    nodes.go(5_000)
    assert [event for event in nodes.reports(VoteGranted) if jumped_us <= event.t_us <= jumped_us + 5_000]
    nodes.until(lambda: len(nodes.view.leaders) > terms)
    leader = nodes.until(lambda: nodes.view.leader)
    nodes.submit(leader, "after", put("v"))
    nodes.until(lambda: nodes.replies)


def test_a_timer_that_a_jump_skipped_fires_repeatedly() -> None:
    nodes = Nodes(nodes=["n1", "n2", "n3"])
    nodes.cluster.kill("n2", 0)
    nodes.cluster.kill("n3", 0)
    nodes.cluster.change_clock("n1", 0, LONGEST_US)
    nodes.go(5 * LONGEST_US)
    votes = [event.t_us for event in nodes.reports(VoteGranted, "n1")]
    assert votes[0] == 0 and len(votes) >= 4
    gaps = [later - earlier for earlier, later in pairwise(votes)]
    assert all(TIMING.election_timeout_min_us <= gap <= LONGEST_US + 5_000 for gap in gaps)


@pytest.mark.parametrize("rate_ppm", [-500_000, 1_000_000])
def test_the_node_with_the_fastest_clock_is_the_first_candidate(rate_ppm: int) -> None:
    """At twice the speed the longest timeout is over before the shortest by a right clock; half speed is the mirror."""
    nodes = Nodes()
    for node in NODES if rate_ppm < 0 else ["n2"]:
        if rate_ppm > 0 or node != "n2":
            nodes.cluster.change_clock(node, rate_ppm, 0)
    nodes.until(lambda: nodes.reports(VoteGranted))
    first = nodes.reports(VoteGranted)[0]
    assert (first.node, first.candidate) == ("n2", "n2")
    assert first.t_us <= (LONGEST_US if rate_ppm < 0 else LONGEST_US // 2)


def test_slowing_a_clock_delays_a_timer_that_is_already_set() -> None:
    nodes = Nodes()
    due_us = {node: nodes.cluster.deadline_us(node) for node in NODES}
    for node in NODES:
        nodes.cluster.change_clock(node, -500_000, 0)
    nodes.until(lambda: nodes.reports(VoteGranted))
    first = nodes.reports(VoteGranted)[0]
    assert first.t_us == 2 * min(due_us.values())


# ---- frames to and from the dead ---------------------------------------------------------------------------------


def test_a_frame_to_a_dead_node_is_lost_even_if_it_is_up_again_before_a_later_one() -> None:
    nodes = Nodes(model=FIXED)
    leader = nodes.leader()
    nodes.go(LONGEST_US)
    dead = nodes.followers(leader)[0]
    nodes.cluster.kill(dead, 0)
    killed_us = nodes.scheduler.now_us
    nodes.go(LONGEST_US)
    assert nodes.cluster.lost_to_the_dead > 0
    lost = nodes.cluster.lost_to_the_dead
    heard_of = {e.number for e in nodes.reports(MessageReceived, dead)}
    sent = [
        e.number
        for e in nodes.reports(MessageSent, leader)
        if e.to == dead and killed_us - 500 < e.t_us < nodes.scheduler.now_us - 500 and e.number not in heard_of
    ]
    assert lost == len(sent)
    nodes.cluster.start(dead)
    nodes.go(LONGEST_US)
    assert nodes.cluster.lost_to_the_dead == lost
    assert not set(sent) & {e.number for e in nodes.reports(MessageReceived, dead) if e.sender == leader}


def test_a_frame_of_a_dead_node_still_arrives_and_names_the_incarnation_that_sent_it() -> None:
    nodes = Nodes(model=SimModel(latency_min_us=3_000, latency_max_us=3_000))
    leader = nodes.leader()
    count = len(nodes.reports(MessageSent, leader))
    nodes.until(lambda: len(nodes.reports(MessageSent, leader)) > count)
    nodes.cluster.kill(leader, 0)
    nodes.cluster.start(leader)
    sent = nodes.reports(MessageSent, leader)[count:]
    nodes.go(4_000)
    for message in sent:
        arrived = [
            e
            for e in nodes.reports(MessageReceived, message.to)
            if (e.sender, e.sender_inc, e.number) == (leader, 1, message.number)
        ]
        assert len(arrived) == 1 and arrived[0].t_us == message.t_us + 3_000
    assert nodes.cluster.incarnation(leader) == 2


def test_an_incarnation_does_not_get_syncs_and_timers_of_the_one_before() -> None:
    """The first write of n1 is under way when it is killed. Its "persisted" would be of a write that never ended."""
    nodes = Nodes(model=SLOW_SYNC)
    due_us = nodes.cluster.deadline_us("n1")
    nodes.go(due_us)
    assert nodes.driver.disk("n1").read(FILE) == MAGIC, "a vote is on its way to the disk"
    nodes.cluster.kill("n1", 0)
    nodes.cluster.start("n1")
    restarted_us = nodes.scheduler.now_us
    nodes.cluster.kill("n2", 0)
    nodes.cluster.kill("n3", 0)
    nodes.go(6 * LONGEST_US)
    votes = [event.t_us for event in nodes.reports(VoteGranted, "n1")]
    assert votes and votes[0] >= restarted_us + TIMING.election_timeout_min_us
    assert all(later - earlier >= TIMING.election_timeout_min_us for earlier, later in pairwise(votes))


def test_a_write_is_not_durable_when_the_sync_of_an_earlier_incarnation_ends() -> None:
    """n1 dies with a vote on its way to the disk, and votes again before that would have been durable."""
    nodes = Nodes(nodes=["n1"], model=SimModel(sync_min_us=100_000, sync_max_us=100_000))
    nodes.go(nodes.cluster.deadline_us("n1"))
    nodes.cluster.kill("n1", 0)
    nodes.cluster.start("n1")
    votes_us = nodes.cluster.deadline_us("n1")
    assert votes_us < nodes.scheduler.now_us + 100_000
    nodes.until(lambda: nodes.reports(VoteGranted))
    assert nodes.scheduler.now_us == votes_us + 100_000


def test_a_cluster_of_one_serves() -> None:
    nodes = Nodes(nodes=["n1"])
    nodes.leader()
    nodes.submit("n1", "mine", put("v"))
    nodes.until(lambda: nodes.replies)
    assert nodes.reports(EntryApplied, "n1")
