"""§5.3 log replication, the follower's side: the consistency check, and messages that come late or twice."""

from __future__ import annotations

import pytest

from cluster import Server, entries
from raft_chaos.raft.state.messages import (
    AppendEntries,
    AppendEntriesReply,
    Entry,
)
from roles import Terms


@pytest.mark.parametrize(
    ("log", "prev", "conflict"),
    [
        ((), (1, 1), (1, 0)),  # nothing there: the first missing index
        ((1, 1), (5, 1), (3, 0)),  # too short
        ((1, 2, 2, 2), (4, 3), (2, 2)),  # another term there: that term, and where it begins
        ((3, 3), (2, 1), (1, 3)),
    ],
)
def test_the_consistency_check_rejects_with_a_conflict_hint(
    log: Terms, prev: tuple[int, int], conflict: tuple[int, int]
) -> None:
    server = Server(log=entries(*log), term=4)
    server.receive("n2", AppendEntries(4, *prev, 0, [Entry(4, b"x")]))
    assert server.outbox == [("n2", AppendEntriesReply(4, False, 0, prev[0], *conflict))]
    assert server.terms == list(log)


def test_entries_are_appended_after_the_matching_one_and_acknowledged() -> None:
    server = Server(log=entries(1, 1), term=1)
    server.receive("n2", AppendEntries(1, 2, 1, 0, [Entry(1, b"x"), Entry(1, b"y")]))
    server.persist()
    assert server.outbox == [("n2", AppendEntriesReply(1, True, 4))]
    assert server.recovered().entries == [*entries(1, 1), Entry(1, b"x"), Entry(1, b"y")]


def test_a_conflicting_entry_and_all_after_it_are_deleted() -> None:
    server = Server(log=entries(1, 2, 2, 2), term=3)
    server.receive("n2", AppendEntries(3, 1, 1, 0, [Entry(3, b"x")]))
    server.persist_all()
    assert server.terms == [1, 3]
    assert server.recovered().entries == [*entries(1), Entry(3, b"x")]
    assert server.outbox == [("n2", AppendEntriesReply(3, True, 2))]


def test_a_delayed_shorter_append_truncates_nothing() -> None:
    """Figure 2, step 3: the leader may have counted the entries that a truncation would delete."""
    server = Server()
    log = entries(1, 1, 1)
    server.receive("n2", AppendEntries(1, 0, 0, 0, log))
    server.receive("n2", AppendEntries(1, 0, 0, 0, log[:1]), AppendEntries(1, 1, 1, 0, []))
    assert server.terms == [1, 1, 1]


def test_appends_out_of_order_are_rejected_until_the_gap_is_filled() -> None:
    server, log = Server(), entries(1, 1, 1)
    first, second = AppendEntries(1, 0, 0, 0, log[:2]), AppendEntries(1, 2, 1, 0, log[2:])
    server.receive("n2", second)
    assert server.terms == []
    server.receive("n2", first, second, second, first)
    assert server.terms == [1, 1, 1]


def test_commit_index_follows_the_leader_but_not_past_the_last_matching_entry() -> None:
    """§5.3: entries after the last new entry may be another leader's."""
    server = Server(log=entries(1, 1, 1), term=2)
    server.receive("n2", AppendEntries(2, 1, 1, 3, []))
    assert server.core.commit_index == 1
    server.receive("n2", AppendEntries(2, 1, 1, 3, entries(1, 1)[1:]))
    assert server.core.commit_index == 2
    server.receive("n2", AppendEntries(2, 1, 1, 1, []))
    assert server.core.commit_index == 2
