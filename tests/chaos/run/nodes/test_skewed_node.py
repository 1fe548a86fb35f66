"""How a node lives by its own clock, in virtual time."""

from __future__ import annotations

from itertools import pairwise

import pytest
from msgspec.structs import replace

from builders.schedules import LONGEST_US, NODES, TIMING
from builders.stepped import config
from builders.virtual_cluster import Nodes
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.chaos.run.nodes.stepped_node import SteppedNode
from raft_chaos.chaos.schedule.data import SimModel
from raft_chaos.invariants.events import (
    CommitAdvanced,
    EntryApplied,
    MessageReceived,
    MessageSent,
    RoleChanged,
    VoteGranted,
)
from raft_chaos.raft.server.node_clock import RIGHT, Segment
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.state.messages import AppendEntries


def started(clock: Segment = RIGHT, now_us: int = 0) -> SteppedNode:
    return MemoryDriver(Parts()).start(replace(config("n1", ("n2", "n3")), clock=clock), now_us)


def test_a_node_whose_clock_runs_fast_or_slow_times_out_earlier_or_later() -> None:
    right_us = started().first.deadline_us
    assert TIMING.election_timeout_min_us <= right_us <= TIMING.election_timeout_max_us
    assert started((0, 0, 1_000_000)).first.deadline_us == -(-right_us // 2)
    assert started((0, 0, -500_000)).first.deadline_us == 2 * right_us


def test_a_clock_that_changes_moves_the_deadline() -> None:
    right_us = started().first.deadline_us
    assert started().change_clock(10_000, 0, 5_000) == right_us - 5_000
    assert started().change_clock(10_000, 1_000_000, 0) == 10_000 + -(-(right_us - 10_000) // 2)
    assert started().change_clock(10_000, -500_000, 0) == 10_000 + 2 * (right_us - 10_000)
    assert started().change_clock(10_000, 0, 2 * LONGEST_US) == 10_000, "it is over: now"
    assert started().change_clock(10_000, 0, -5_000) == right_us + 5_000
    assert started().change_clock(10_000, 0, -60_000_000) == right_us + 60_000_000, "a time before the run began"


def test_a_timer_fires_by_a_skewed_clock() -> None:
    """A deadline in the run's time must be one at which the node's own clock shows its deadline."""
    for number in range(50):
        node = started()
        due_us = node.change_clock(1_000 + number, 333_333 - 20_001 * number, 7 * number)
        assert node.tick(due_us - 1, None).write_lsn == 0, "not yet"
        assert node.tick(due_us, None).write_lsn > 0, "it stands for election"


@pytest.mark.parametrize("rate_ppm", [-500_000, 333_333, 1_000_000])
def test_a_restart_keeps_the_skew_of_the_clock(rate_ppm: int) -> None:
    nodes = Nodes(nodes=["n1"])
    nodes.go(5_000)
    nodes.cluster.kill("n1", 0)
    nodes.cluster.change_clock("n1", rate_ppm, 40_000)  # while it is down
    nodes.go(5_000)
    nodes.cluster.start("n1")
    began_us = nodes.scheduler.now_us
    nodes.until(lambda: nodes.reports(VoteGranted))
    (vote,) = nodes.reports(VoteGranted)
    took_us = (vote.t_us - began_us) * (1_000_000 + rate_ppm) // 1_000_000
    assert TIMING.election_timeout_min_us - 2 <= took_us <= TIMING.election_timeout_max_us + 2


def test_events_carry_the_time_of_the_run_with_skewed_clocks() -> None:
    nodes = Nodes(model=SimModel(100, 900, 1_000, 1_000))
    changes = [(900_000, 0), (-400_000, 70_000), (77_777, -1_000_003), (0, -20_000), (0, 30_000)]
    for round_number, (rate_ppm, jump_us) in enumerate(changes):
        for place, node in enumerate(NODES):
            nodes.cluster.change_clock(node, rate_ppm - 7_919 * place * round_number, jump_us * (place + 1))
        nodes.go(3 * LONGEST_US)
        leader = nodes.leader()
        nodes.submit(leader, 0, b"")
        nodes.go(LONGEST_US)
    at_once = (MessageSent, MessageReceived, EntryApplied)
    assert {kind for kind in at_once if nodes.reports(kind)} == set(at_once)
    for now_us, event in nodes.trace.reports:
        if isinstance(event, at_once):
            assert event.t_us == now_us, event
        else:  # what is reported once it is durable was made a write or two before
            assert now_us - 2_001 <= event.t_us <= now_us, event
    made_earlier = [event for now_us, event in nodes.trace.reports if event.t_us < now_us - 500]
    assert {VoteGranted, RoleChanged} <= {type(event) for event in made_earlier}
    for node in NODES:
        times = [event.t_us for event in nodes.reports(at_once, node)]  # type: ignore[arg-type]
        assert all(one <= other for one, other in pairwise(times))
    assert nodes.reports(CommitAdvanced)


def test_an_event_that_waits_for_a_write_keeps_its_time_while_the_clock_goes_there_and_back() -> None:
    """The clock shows each time twice here, so it cannot say when the vote was granted."""
    node = started()
    due_us = node.first.deadline_us
    report = node.tick(due_us, None)
    node.change_clock(due_us + 100, 0, -due_us)
    node.change_clock(due_us + 200, 0, due_us)
    node.change_clock(due_us + 300, 700_000, -700)
    persisted = node.persisted(report.write_lsn, due_us + 1_000, None)
    (vote,) = [event for event in persisted.events if isinstance(event, VoteGranted)]
    assert vote.t_us == due_us


def test_a_timer_set_before_its_clock_goes_back_fires_late_by_as_much() -> None:
    nodes = Nodes(nodes=["n1"])
    due_us = nodes.cluster.deadline_us("n1")
    nodes.go(1_000)
    assert nodes.cluster.change_clock("n1", 0, -3 * LONGEST_US) == (0, -3 * LONGEST_US)
    nodes.until(lambda: nodes.reports(VoteGranted))
    assert nodes.reports(VoteGranted)[0].t_us == due_us + 3 * LONGEST_US


def test_a_node_handles_a_frame_at_its_own_local_time() -> None:
    """A heartbeat resets the election timer in local time: at twice the speed it buys half as long."""
    node = started((0, 0, 1_000_000))
    report = node.receive("n2", 1, 1, AppendEntries(1, 0, 0, 0, []), 10_000, None)
    waits_us = report.deadline_us - 10_000
    assert TIMING.election_timeout_min_us // 2 <= waits_us <= TIMING.election_timeout_max_us // 2 + 1
