"""A node's own clock, alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raft_chaos.raft.server.node_clock import MILLION, RIGHT, NodeClock

Change = tuple[int, int, int]
"""How long after the one before (µs), to which rate, and how far it jumps."""

CHANGES = st.lists(
    st.tuples(st.integers(0, 5_000_000), st.integers(-500_000, 1_000_000), st.integers(-60_000_000, 60_000_000)),
    min_size=1,
    max_size=6,
)


def skewed(changes: list[Change]) -> tuple[NodeClock, int]:
    """The clock, and the moment of its last change."""
    clock, now_us = NodeClock(), 0
    for after_us, rate_ppm, jump_us in changes:
        now_us += after_us
        clock.change(now_us, rate_ppm, jump_us)
    return clock, now_us


def test_an_unchanged_clock_shows_the_time_of_the_run() -> None:
    clock = NodeClock()
    assert clock.is_right and clock.segment == RIGHT
    assert [(clock.local(at), clock.due(at), clock.ahead_us(at)) for at in (0, 1, 10**12)] == [
        (at, at, 0) for at in (0, 1, 10**12)
    ]


@given(CHANGES)
def test_a_change_moves_the_clock_by_the_jump_and_nothing_else(changes: list[Change]) -> None:
    clock, now_us = NodeClock(), 0
    for after_us, rate_ppm, jump_us in changes:
        now_us += after_us
        shown_us = clock.local(now_us)
        clock.change(now_us, rate_ppm, jump_us)
        assert clock.local(now_us) == shown_us + jump_us
        assert clock.local(now_us + MILLION) == shown_us + jump_us + MILLION + rate_ppm
        assert all(type(number) is int for number in clock.segment)


@given(CHANGES, st.integers(0, 40_000_000))
def test_a_deadline_is_due_at_the_first_moment_that_shows_it(changes: list[Change], in_us: int) -> None:
    clock, now_us = skewed(changes)
    local_us = clock.local(now_us) + in_us
    due_us = clock.due(local_us)
    assert type(due_us) is int
    assert clock.local(due_us) >= local_us
    assert due_us == now_us or clock.local(due_us - 1) < local_us


@given(CHANGES, st.integers(1, 40_000_000))
def test_a_deadline_that_the_clock_has_passed_is_due_since_its_last_change(changes: list[Change], ago_us: int) -> None:
    clock, now_us = skewed(changes)
    assert clock.due(clock.local(now_us) - ago_us) == now_us


def test_examples_of_jumps_and_rates() -> None:
    clock = NodeClock()
    clock.change(1_000, 500_000, 200)
    assert [clock.local(at) for at in (1_000, 1_001, 1_002, 2_000)] == [1_200, 1_201, 1_203, 2_700]
    assert [clock.due(at) for at in (1_100, 1_200, 1_201, 1_202, 1_203)] == [1_000, 1_000, 1_001, 1_002, 1_002]
    clock.change(2_000, -500_000, -1_700)
    assert [clock.local(at) for at in (2_000, 2_001, 2_002)] == [1_000, 1_000, 1_001]
    assert [clock.due(at) for at in (999, 1_000, 1_001, 1_203)] == [2_000, 2_000, 2_002, 2_406]


@pytest.mark.parametrize("jump_us", [-40_000, 40_000])
def test_a_clock_that_went_there_and_back_is_right_again(jump_us: int) -> None:
    clock = NodeClock()
    clock.change(1_000, 0, jump_us)
    assert not clock.is_right and clock.ahead_us(5_000) == jump_us
    clock.change(5_000, 0, -jump_us)
    assert clock.is_right and clock.ahead_us(9_000) == 0
    clock.change(9_000, 1, 0)
    assert not clock.is_right, "it will be wrong"
