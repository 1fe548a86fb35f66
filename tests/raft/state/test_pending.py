"""Actions that wait for the disk: they are data, and become due in the order of lsn, then of the calls."""

from __future__ import annotations

from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raft_chaos.raft.state.held import CountOwnVote, Held, SendMessage
from raft_chaos.raft.state.messages import Append, Entry, HardState, Record, RequestVoteReply, Truncate
from raft_chaos.raft.state.pending import Pending

RECORDS: list[Record] = [HardState(1, None), Append(1, Entry(1, b"a")), Truncate(1), Append(1, Entry(1, b"b"))]


def vote(term: int) -> Held:
    return SendMessage("n2", RequestVoteReply(term, True))


def pending_with(records: list[Record]) -> Pending:
    pending = Pending()
    for record in records:
        pending.record(record)
    return pending


def test_held_actions_are_listed_with_their_lsn_in_the_order_in_which_they_become_due() -> None:
    pending = pending_with(RECORDS)
    pending.hold(3, vote(1))
    pending.hold(1, CountOwnVote(1))
    pending.hold(3, vote(2))
    pending.hold(2, vote(3))
    assert pending.held == [(1, CountOwnVote(1)), (2, vote(3)), (3, vote(1)), (3, vote(2))]
    assert pending.written(2) == [CountOwnVote(1), vote(3)]
    assert pending.held == [(3, vote(1)), (3, vote(2))]
    assert pending.written(4) == [vote(1), vote(2)]
    assert pending.held == []


def test_a_copy_holds_the_same_actions_and_is_independent() -> None:
    pending = pending_with(RECORDS)
    pending.hold(1, vote(1))
    copy = deepcopy(pending)
    assert copy.held == pending.held
    copy.hold(2, vote(2))
    assert copy.held != pending.held
    assert copy.written(1) == [vote(1)]
    assert pending.held == [(1, vote(1))]


@pytest.mark.parametrize("lsn", [0, 2, 5])
def test_nothing_is_held_for_a_record_that_is_durable_or_that_does_not_exist(lsn: int) -> None:
    pending = pending_with(RECORDS)
    pending.written(2)
    with pytest.raises(AssertionError):
        pending.hold(lsn, vote(1))


@given(
    st.lists(st.integers(1, 9), max_size=30),
    st.lists(st.integers(1, 9), max_size=4, unique=True).map(sorted),
)
def test_a_write_returns_the_actions_that_are_due_in_the_order_of_lsn_then_of_the_calls(
    lsns: list[int], writes: list[int]
) -> None:
    pending = pending_with([HardState(term, None) for term in range(1, 10)])
    for call, lsn in enumerate(lsns):
        pending.hold(lsn, CountOwnVote(call))
    in_order = sorted(enumerate(lsns), key=lambda called: called[1])  # stable: calls of one lsn stay as they came
    assert pending.held == [(lsn, CountOwnVote(call)) for call, lsn in in_order]
    due = [held for lsn in writes for held in pending.written(lsn)]
    last = writes[-1] if writes else 0
    assert due == [CountOwnVote(call) for call, lsn in in_order if lsn <= last]
    assert pending.held == [(lsn, CountOwnVote(call)) for call, lsn in in_order if lsn > last]
