"""Ongaro's thesis, §9.6: PreVote. Scenarios of several nodes are transcripts (`thesis_9_6_pre_vote.txt`)."""

from __future__ import annotations

from msgspec.structs import replace

from cluster import TIMING, Server, entries
from raft_chaos.invariants.events import PreVoteStarted, RoleChanged
from raft_chaos.raft.state.features import Features
from raft_chaos.raft.state.messages import AppendEntries, PreVote, PreVoteReply, RequestVote, RequestVoteReply

PRE_VOTE = replace(TIMING, features=Features(pre_vote=True))


def asking(*terms: int, peers: tuple[str, ...] = ("n2", "n3")) -> Server:
    """A server whose timer has run out, with its questions sent."""
    server = Server(log=entries(*terms), peers=peers, timing=PRE_VOTE)
    server.tick()
    return server


def test_a_timer_that_runs_out_asks_and_changes_neither_term_nor_vote() -> None:
    server = asking(1, 2)
    assert server.take_outbox() == [(peer, PreVote(3, 2, 2)) for peer in ("n2", "n3")]
    assert (server.core.role, server.core.current_term, server.core.voted_for) == ("follower", 2, None)
    assert server.under_way is None, "nothing is to be made durable"
    assert [event.term for event in server.reported(PreVoteStarted)] == [3]


def test_a_majority_that_would_vote_for_it_makes_it_stand() -> None:
    server = asking(1, peers=("n2", "n3", "n4", "n5"))
    for _ in range(3):
        server.receive("n2", PreVoteReply(2, True))
    assert server.core.role == "follower", "one answer counts once"
    server.receive("n3", PreVoteReply(2, True))
    assert (server.core.role, server.core.current_term) == ("candidate", 2)
    server.persist()
    server.receive("n2", RequestVoteReply(2, True))
    server.receive("n3", RequestVoteReply(2, True))
    assert server.leads()


def test_a_server_without_peers_stands_at_once() -> None:
    server = asking(peers=())
    server.persist()
    assert server.leads()


def test_answers_to_another_question_do_not_count() -> None:
    server = asking(1)
    server.receive("n2", PreVoteReply(1, True))
    server.receive("n2", PreVoteReply(3, True))
    assert (server.core.role, server.core.current_term) == ("follower", 1)


def test_a_refusal_with_a_later_term_is_followed() -> None:
    server = asking(1)
    server.receive("n2", PreVoteReply(7, False))
    assert server.core.current_term == 7
    server.receive("n3", PreVoteReply(2, True))
    assert server.core.role == "follower", "the question was about another term"


def test_a_leader_that_is_heard_makes_the_question_void() -> None:
    server = asking(1)
    server.receive("n3", AppendEntries(1, 1, 1, 0, []))
    server.receive("n2", PreVoteReply(2, True))
    assert (server.core.role, server.core.leader) == ("follower", "n3")


def test_a_vote_makes_the_question_void() -> None:
    server = asking(1)
    server.receive("n3", RequestVote(1, 1, 1))
    server.persist()
    assert server.core.voted_for == "n3"
    server.receive("n2", PreVoteReply(2, True))
    assert server.core.role == "follower"


def test_a_question_is_granted_for_a_later_term_and_a_log_that_is_up_to_date() -> None:
    server = Server(log=entries(1, 2), term=3, voted_for="n3", timing=PRE_VOTE)
    deadline_us = server.core.deadline_us
    for question in (PreVote(4, 2, 2), PreVote(9, 2, 2), PreVote(4, 1, 3), PreVote(3, 2, 2), PreVote(4, 1, 2)):
        server.receive("n2", question)
    granted = [PreVoteReply(4, True), PreVoteReply(9, True), PreVoteReply(4, True)]
    assert server.outbox == [("n2", reply) for reply in [*granted, PreVoteReply(3, False), PreVoteReply(3, False)]]
    assert (server.core.current_term, server.core.voted_for) == (3, "n3")
    assert server.core.deadline_us == deadline_us, "the timer is not reset"
    assert server.under_way is None


def test_a_candidate_whose_timer_runs_out_asks_again() -> None:
    server = asking(1)
    server.receive("n2", PreVoteReply(2, True))
    server.persist()
    server.take_outbox()
    server.tick()
    assert server.outbox == [(peer, PreVote(3, 1, 1)) for peer in ("n2", "n3")]
    assert [(event.role, event.leader) for event in server.reported(RoleChanged)][-1] == ("follower", None)
