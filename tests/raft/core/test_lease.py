"""Reads by a lease (thesis, §6.4.1): when a leader has one, when it ends, and what the voters do for it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from cluster import TIMING, Server, command
from raft_chaos.raft.state.features import Features
from raft_chaos.raft.state.messages import (
    AppendEntries,
    AppendEntriesReply,
    RequestVote,
    RequestVoteReply,
    TimeoutNow,
)
from raft_chaos.raft.state.timing import MOST_DRIFT
from roles import leader, to

LEASES = replace(TIMING, features=Features(check_quorum=True, lease_reads=True))
LEASE_US = LEASES.lease_us


def led(timing: object = LEASES) -> Server:
    """The leader of three in term 1, its entry committed, and a heartbeat just sent that nobody has answered."""
    server = leader(timing=timing)  # type: ignore[arg-type]
    for peer in ("n2", "n3"):
        server.receive(peer, AppendEntriesReply(1, True, 1))
    server.tick()
    return server


def answer(server: Server, peer: str, round: int, *, success: bool = True) -> None:
    server.receive(peer, AppendEntriesReply(1, success, 1 if success else 0, 0 if success else 1, round=round))


def by_lease(server: Server) -> bool:
    """Whether a read is answered at once."""
    server.replies.clear()
    server.read("x", consistency="lease")
    return [reply.result is not None for reply in server.replies] == [True]


def latest(server: Server) -> int:
    return to(server, "n2")[-1].round


def test_a_majority_that_has_answered_a_heartbeat_gives_a_lease_from_when_that_was_sent() -> None:
    server = led()
    sent_us, number = server.now_us, latest(server)
    server.now_us = sent_us + LEASE_US - 1
    answer(server, "n2", number)
    assert by_lease(server), "without a round"
    server.now_us += 1
    assert not by_lease(server), "the answer came only just now, but it does not count from then"


def test_without_an_answer_there_is_none_and_the_read_goes_by_read_index() -> None:
    server = led()
    server.take_outbox()
    assert not by_lease(server)
    number = latest(server)
    answer(server, "n3", number)
    assert [reply.result is not None for reply in server.replies] == [True]


def test_each_heartbeat_prolongs_it() -> None:
    server = led()
    for _ in range(10):
        answer(server, "n2", latest(server))
        server.tick()
        assert by_lease(server)
        server.take_outbox()
        server.now_us += 1
        server.tick()


def test_a_rejection_of_this_term_confirms_as_well_and_one_of_a_stale_message_does_not() -> None:
    server = led()
    number = latest(server)
    server.receive("n2", AppendEntriesReply(1, False, 0))  # of a message of an earlier term: it repeats no round
    assert not by_lease(server)
    answer(server, "n3", number, success=False)
    assert by_lease(server)


def test_answers_to_an_earlier_leadership_do_not_count() -> None:
    server = led()
    number = latest(server)
    server.receive("n3", RequestVote(2, 1, 1, True))
    server.persist_all()
    server.tick()
    server.persist_all()
    server.receive("n3", RequestVoteReply(3, True))
    server.persist_all()
    server.receive("n3", AppendEntriesReply(3, True, server.core.log.last_index))
    assert server.leads()
    answer(server, "n2", number)
    assert not by_lease(server)


def test_a_new_leader_has_none_before_it_has_committed_an_entry_of_its_term() -> None:
    server = leader((1, 1), timing=LEASES)
    server.tick()
    server.receive("n2", AppendEntriesReply(2, False, 0, 2, 1, 0, round=latest(server)))
    assert not by_lease(server)


def test_a_read_waits_until_what_is_committed_is_applied() -> None:
    server = led()
    answer(server, "n2", latest(server))
    server.submit(command("a"))
    for peer in ("n2", "n3"):
        server.receive(peer, AppendEntriesReply(1, True, 2))
    assert not by_lease(server), "its own write is under way"
    server.persist()
    assert [reply.result.value for reply in server.replies if reply.is_read and reply.result] == [["a"]]


def test_a_transfer_ends_it_for_the_rest_of_the_term() -> None:
    server = led()
    answer(server, "n2", latest(server))
    assert by_lease(server)
    assert server.replica is not None
    server.replica.transfer("n3", server.now_us)
    server._advance()
    assert server.sent(TimeoutNow)
    assert not by_lease(server)
    while server.core.successor is not None:
        server.tick()
        answer(server, "n2", latest(server))
    assert server.leads() and not by_lease(server), "the word may still be on its way"


def test_losing_the_leadership_refuses_it() -> None:
    server = led()
    answer(server, "n2", latest(server))
    server.receive("n3", RequestVote(2, 1, 1, True))
    assert not server.read("x", consistency="lease")


def test_without_the_feature_it_is_a_read_by_read_index() -> None:
    server = led(replace(TIMING, features=Features(check_quorum=True)))
    answer(server, "n2", 0)
    assert not by_lease(server)


def test_a_voter_that_has_entered_the_term_by_another_message_still_sticks_to_its_leader() -> None:
    voter = Server(timing=LEASES)
    voter.receive("n2", AppendEntries(1, 0, 0, 0, []))
    voter.receive("n3", RequestVoteReply(3, False))
    assert voter.core.current_term == 3
    voter.receive("n3", RequestVote(3, 9, 2))
    voter.now_us += LEASES.election_timeout_min_us
    voter.receive("n3", RequestVote(3, 9, 2))
    voter.persist_all()
    votes = [message for _, message in voter.outbox if isinstance(message, RequestVoteReply)]
    assert [vote.vote_granted for vote in votes] == [False, True]


def test_a_lease_needs_check_quorum_and_is_shorter_than_the_shortest_timeout_by_the_drift() -> None:
    with pytest.raises(ValueError, match="'lease_reads' needs check_quorum too"):
        Features(lease_reads=True)
    with pytest.raises(ValueError, match="'lease_reads' needs check_quorum too"):
        Features.of(["lease_reads"])
    assert LEASES.lease_us * MOST_DRIFT == LEASES.election_timeout_min_us
