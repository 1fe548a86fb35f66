"""Ongaro's thesis, §6.2 and §4.2.3: CheckQuorum. Scenarios of several nodes are transcripts
(`thesis_6_2_check_quorum.txt`)."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from cluster import TIMING, Server, entries
from raft_chaos.raft.state.features import Features
from raft_chaos.raft.state.messages import AppendEntries, AppendEntriesReply, Message, PreVote, RequestVote
from raft_chaos.raft.state.messages import RequestVoteReply as Vote
from raft_chaos.raft.state.timing import Timing

CHECK_QUORUM = replace(TIMING, features=Features(pre_vote=False, check_quorum=True))
SHORTEST_US = TIMING.election_timeout_min_us


def leading(peers: tuple[str, ...], timing: Timing = CHECK_QUORUM) -> Server:
    server = Server(peers=peers, timing=timing)
    server.tick()
    server.persist()
    for peer in peers:
        server.receive(peer, Vote(1, True))
    server.persist_all()
    assert server.leads()
    return server


def ticks_until(server: Server, now_us: int) -> None:
    while server.leads() and server.core.deadline_us <= now_us:
        server.tick()


@pytest.mark.parametrize(("peers", "enough"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (6, 3)])
def test_a_leader_that_a_majority_does_not_answer_steps_down_in_its_term(peers: int, enough: int) -> None:
    names = tuple(f"p{number}" for number in range(peers))
    for answering in (enough, enough - 1):
        server = leading(names)
        began_us = server.now_us
        while server.leads() and server.now_us < began_us + 3 * SHORTEST_US:
            server.tick()
            for name in names[:answering]:
                server.receive(name, AppendEntriesReply(1, True, 1))
        assert server.leads() == (answering == enough)
        assert server.core.current_term == 1
        if answering < enough:
            took_us = server.now_us - began_us
            assert SHORTEST_US <= took_us <= SHORTEST_US + TIMING.heartbeat_us
            assert server.core.leader is None
            assert server.core.deadline_us >= server.now_us + SHORTEST_US, "its election timer runs again"


def test_a_rejection_is_an_answer_and_one_of_an_earlier_term_is_none() -> None:
    server = leading(("n2", "n3"))
    ticks_until(server, server.now_us + SHORTEST_US - TIMING.heartbeat_us)
    server.receive("n2", AppendEntriesReply(1, False, 0, 1, 1, 0, 9))
    ticks_until(server, server.now_us + SHORTEST_US - TIMING.heartbeat_us)
    assert server.leads()
    server.receive("n2", AppendEntriesReply(0, False, 0))
    ticks_until(server, server.now_us + 2 * TIMING.heartbeat_us)
    assert not server.leads()


def test_in_plain_raft_a_leader_leads_on() -> None:
    server = leading(("n2", "n3"), TIMING)
    ticks_until(server, server.now_us + 5 * SHORTEST_US)
    assert server.leads()


CANDIDATES: tuple[Message, ...] = (RequestVote(9, 9, 1), PreVote(9, 9, 1))


@pytest.mark.parametrize("asked", CANDIDATES)
def test_who_hears_a_leader_does_not_heed_candidates_until_the_shortest_timeout(asked: Message) -> None:
    server = Server(log=entries(1), term=1, timing=CHECK_QUORUM)
    server.now_us = SHORTEST_US
    server.receive("n2", AppendEntries(1, 1, 1, 0, []))
    server.take_outbox()
    server.now_us += SHORTEST_US - 1
    server.receive("n3", asked)
    assert (server.core.current_term, server.outbox) == (1, [])
    server.now_us += 1
    server.receive("n3", asked)
    server.persist_all()
    assert len(server.outbox) == 1


@pytest.mark.parametrize("asked", CANDIDATES)
def test_a_leader_does_not_heed_candidates(asked: Message) -> None:
    server = leading(("n2", "n3"))
    server.take_outbox()
    server.receive("n3", asked)
    assert server.leads()
    assert server.outbox == []


def test_a_started_server_does_not_heed_candidates_for_the_shortest_timeout() -> None:
    """It may have heard a leader just before it crashed, which then counts on it."""
    server = Server(timing=CHECK_QUORUM)
    server.now_us = SHORTEST_US - 1
    server.receive("n3", CANDIDATES[0])
    assert server.core.current_term == 0
    server.now_us += 1
    server.receive("n3", CANDIDATES[0])
    assert server.core.current_term == 9


def test_an_answer_with_a_later_term_deposes_all_the_same() -> None:
    server = leading(("n2", "n3"))
    server.receive("n3", AppendEntriesReply(4, False, 0))
    assert (server.core.role, server.core.current_term) == ("follower", 4)
