"""A node's own clock in virtual time, and how a node lives by it."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from builders.schedules import LONGEST_US, NODES, TIMING
from builders.stepped import config
from builders.virtual_cluster import Nodes
from raft_chaos.chaos.faults.clock import JUMP_US_MAX, RATE_PPM
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.chaos.run.nodes.node_clock import MILLION, NodeClock, Segment
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
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.state.messages import AppendEntries

Change = tuple[int, int, int]
"""How long after the one before (µs), to which rate, and how far it jumps."""

CHANGES = st.lists(
    st.tuples(st.integers(0, 5_000_000), st.integers(*RATE_PPM), st.just(0) | st.integers(0, JUMP_US_MAX)),
    min_size=1,
    max_size=6,
)


def skewed(changes: list[Change]) -> tuple[NodeClock, list[int]]:
    """The clock, and the moments of its changes."""
    clock, now_us, moments = NodeClock(), 0, []
    for after_us, rate_ppm, jump_us in changes:
        now_us += after_us
        clock.change(now_us, rate_ppm, jump_us)
        moments.append(now_us)
    return clock, moments


def shown(clock: NodeClock, run_us: int) -> int:
    """What the clock showed then, at any moment of its life."""
    from_us, local_us, rate_ppm = next(segment for segment in reversed(clock.segments) if segment[0] <= run_us)
    return local_us + (run_us - from_us) * (MILLION + rate_ppm) // MILLION


# ---- the clock alone ---------------------------------------------------------------------------------------------


def test_an_unchanged_clock_shows_the_time_of_the_run() -> None:
    clock = NodeClock()
    assert clock.is_right
    assert [(clock.local(at), clock.run(at)) for at in (0, 1, 10**12)] == [(at, at) for at in (0, 1, 10**12)]


@given(CHANGES)
def test_a_clock_never_goes_back(changes: list[Change]) -> None:
    clock, now_us, last_us = NodeClock(), 0, 0
    for after_us, rate_ppm, jump_us in changes:
        for at_us in (now_us, now_us + after_us // 3, now_us + after_us):
            assert clock.local(at_us) >= last_us
            last_us = clock.local(at_us)
        now_us += after_us
        clock.change(now_us, rate_ppm, jump_us)
        assert clock.local(now_us) == last_us + jump_us
        last_us = clock.local(now_us)
        assert not clock.is_right
        assert all(type(number) is int for segment in clock.segments for number in segment)


@given(CHANGES, st.integers(0, 40_000_000))
def test_a_local_time_converts_to_the_first_moment_that_shows_it(changes: list[Change], local_us: int) -> None:
    clock, _ = skewed(changes)
    run_us = clock.run(local_us)
    assert type(run_us) is int
    assert shown(clock, run_us) >= local_us
    assert run_us == 0 or shown(clock, run_us - 1) < local_us


@given(CHANGES, st.integers(0, 10_000_000))
def test_converting_to_local_time_and_back_gives_the_same_moment(changes: list[Change], after_us: int) -> None:
    """To the microsecond, or at half speed to the first of two that show the same."""
    clock, moments = skewed(changes)
    at_us = moments[-1] + after_us
    assert clock.local(at_us) == shown(clock, at_us)
    assert at_us - 1 <= clock.run(clock.local(at_us)) <= at_us


def test_examples_of_a_jump_and_a_rate() -> None:
    clock = NodeClock()
    clock.change(1_000, 500_000, 200)
    assert [clock.local(at) for at in (1_000, 1_001, 1_002, 2_000)] == [1_200, 1_201, 1_203, 2_700]
    assert [clock.run(at) for at in (1_100, 1_200, 1_201, 1_202, 1_203)] == [1_000, 1_000, 1_001, 1_002, 1_002]
    clock.change(2_000, -500_000, 0)
    assert [clock.local(at) for at in (2_000, 2_001, 2_002)] == [2_700, 2_700, 2_701]
    assert [clock.run(at) for at in (999, 1_203, 2_700, 2_701)] == [999, 1_002, 2_000, 2_002]


# ---- a node that lives by it -------------------------------------------------------------------------------------


def started(clock: list[Segment], now_us: int = 0) -> SteppedNode:
    return MemoryDriver(Parts()).start(replace(config("n1", ("n2", "n3")), clock=clock), now_us)


def test_a_node_whose_clock_runs_fast_or_slow_times_out_earlier_or_later() -> None:
    right_us = started([(0, 0, 0)]).first.deadline_us
    assert TIMING.election_timeout_min_us <= right_us <= TIMING.election_timeout_max_us
    assert started([(0, 0, 0), (0, 0, 1_000_000)]).first.deadline_us == -(-right_us // 2)
    assert started([(0, 0, 0), (0, 0, -500_000)]).first.deadline_us == 2 * right_us


def test_a_clock_that_changes_moves_the_deadline() -> None:
    right_us = started([(0, 0, 0)]).first.deadline_us
    assert started([(0, 0, 0)]).change_clock(10_000, 0, 5_000) == right_us - 5_000
    assert started([(0, 0, 0)]).change_clock(10_000, 1_000_000, 0) == 10_000 + -(-(right_us - 10_000) // 2)
    assert started([(0, 0, 0)]).change_clock(10_000, -500_000, 0) == 10_000 + 2 * (right_us - 10_000)
    assert started([(0, 0, 0)]).change_clock(10_000, 0, 2 * LONGEST_US) == 10_000, "it is over: now"


def test_a_timer_fires_by_a_skewed_clock() -> None:
    """A deadline in the run's time must be one at which the node's own clock shows its deadline."""
    for number in range(50):
        node = started([(0, 0, 0)])
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
    for round_number, (rate_ppm, jump_us) in enumerate([(900_000, 0), (-400_000, 70_000), (77_777, 1_000_003), (0, 0)]):
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


def test_a_node_handles_a_frame_at_its_own_local_time() -> None:
    """A heartbeat resets the election timer in local time: at twice the speed it buys half as long."""
    node = started([(0, 0, 0), (0, 0, 1_000_000)])
    report = node.receive("n2", 1, 1, AppendEntries(1, 0, 0, 0, []), 10_000, None)
    waits_us = report.deadline_us - 10_000
    assert TIMING.election_timeout_min_us // 2 <= waits_us <= TIMING.election_timeout_max_us // 2 + 1
