"""§5.1 terms."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cluster import Server, entries
from raft_chaos.raft.state.messages import (
    AppendEntries,
    AppendEntriesReply,
    Message,
    RequestVote,
    RequestVoteReply,
)
from roles import candidate, leader_of_three

NEWER_TERM: list[Message] = [
    RequestVote(7, 0, 0),
    RequestVoteReply(7, False),
    AppendEntries(7, 0, 0, 0, []),
    AppendEntriesReply(7, False, 0),
]


@pytest.mark.parametrize("message", NEWER_TERM, ids=lambda m: type(m).__name__)
@pytest.mark.parametrize(
    ("make", "role"), [(Server, "follower"), (candidate, "candidate"), (leader_of_three, "leader")]
)
def test_any_message_of_a_newer_term_makes_a_follower_of_that_term(
    make: Callable[[], Server], role: str, message: Message
) -> None:
    server = make()
    assert server.core.role == role
    server.receive("n2", message)
    assert (server.core.role, server.core.current_term) == ("follower", 7)


def test_an_append_of_an_older_term_is_rejected_with_the_current_one_and_changes_nothing() -> None:
    server = Server(log=entries(1, 3), term=3)
    server.receive("n2", AppendEntries(2, 1, 1, 2, entries(1, 2)[1:]))
    assert server.outbox == [("n2", AppendEntriesReply(3, False, 0))]
    assert (server.terms, server.core.leader, server.core.commit_index) == ([1, 3], None, 0)


def test_a_vote_request_of_an_older_term_is_refused_with_the_current_one() -> None:
    server = Server(term=3)
    server.receive("n2", RequestVote(2, 9, 2))
    assert server.outbox == [("n2", RequestVoteReply(3, False))]


def test_term_and_vote_survive_a_restart() -> None:
    server = Server()
    server.receive("n2", RequestVote(4, 0, 0))
    server.persist_all()
    server.crash()
    server.start()
    assert (server.core.current_term, server.core.voted_for) == (4, "n2")
    server.receive("n3", RequestVote(4, 0, 0))
    assert server.outbox[-1] == ("n3", RequestVoteReply(4, False))
