"""Leadership transfer (thesis, §3.10): the leader that hands over, its target, and the voters."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from cluster import TIMING, Cluster, Server, command, entries
from raft_chaos.raft.state.features import Features
from raft_chaos.raft.state.messages import (
    AppendEntries,
    AppendEntriesReply,
    InstallSnapshotReply,
    Message,
    RequestVote,
    RequestVoteReply,
    TimeoutNow,
)
from raft_chaos.raft.state.timing import Timing
from roles import leader

A, B = command("a"), command("b")
CHECK_QUORUM = replace(TIMING, features=Features(pre_vote=True, check_quorum=True))
SHORTEST_US = TIMING.election_timeout_min_us


def committed(*, peers: tuple[str, ...] = ("n2", "n3")) -> Server:
    """The leader in term 1; all followers have its first entry."""
    server = leader(peers=peers)
    for peer in peers:
        server.receive(peer, AppendEntriesReply(1, True, 1))
    server.take_outbox()
    return server


def hand_over(server: Server, target: str | None = "n2") -> bool:
    assert server.replica is not None
    begins = server.replica.transfer(target, server.now_us)
    server._advance()
    return begins


def told(server: Server) -> list[str]:
    """Who was told to stand since the outbox was emptied."""
    return [to for to, message in server.take_outbox() if isinstance(message, TimeoutNow)]


# ---- the leader -----------------------------------------------------------------------------------------------------


def test_a_target_that_has_the_whole_log_is_told_at_once() -> None:
    server = committed()
    assert hand_over(server)
    assert server.outbox == [("n2", TimeoutNow(1))]
    assert server.core.successor == "n2"


def test_a_target_that_lags_is_told_once_it_has_acknowledged_all() -> None:
    server = committed()
    server.submit(A, B)
    assert hand_over(server)
    server.receive("n3", AppendEntriesReply(1, True, 3))
    server.receive("n2", AppendEntriesReply(1, True, 2))
    assert told(server) == []
    server.receive("n2", AppendEntriesReply(1, True, 3))
    assert told(server) == ["n2"]
    server.receive("n2", AppendEntriesReply(1, True, 3))
    assert told(server) == [], "once"


def test_a_target_that_gets_a_snapshot_is_told_once_it_has_that() -> None:
    server = committed()
    server.submit(A)
    assert hand_over(server)
    server.receive("n2", InstallSnapshotReply(1, 2, 9, True))
    assert told(server) == ["n2"]


def test_meanwhile_it_takes_no_proposals_and_serves_reads() -> None:
    server = committed()
    hand_over(server)
    assert not server.submit(A)
    assert server.read("x")
    assert server.core.log.last_index == 1


def test_it_gives_up_after_the_shortest_election_timeout_and_takes_proposals_again() -> None:
    server = committed()
    began_us = server.now_us
    hand_over(server)
    while server.now_us < began_us + SHORTEST_US:
        assert not server.submit(A)
        server.tick()
    assert server.now_us < began_us + SHORTEST_US + TIMING.heartbeat_us
    assert server.core.successor is None and server.leads()
    assert server.submit(A)
    assert hand_over(server, "n3"), "and may hand over again"


def test_it_gives_up_on_a_target_that_never_has_the_whole_log() -> None:
    server = committed()
    server.submit(A)
    hand_over(server)
    while server.core.successor is not None:
        server.tick()
    server.receive("n2", AppendEntriesReply(1, True, 2))
    assert told(server) == []
    assert server.submit(B)


def test_losing_the_leadership_ends_the_transfer_and_a_later_leadership_is_free() -> None:
    server = committed()
    hand_over(server)
    assert told(server) == ["n2"]
    server.receive("n2", RequestVote(2, 1, 1, True))
    assert server.core.successor is None and not server.leads()
    server.persist_all()
    server.tick()
    server.persist_all()
    server.receive("n3", RequestVoteReply(3, True))
    assert server.leads() and server.submit(A)
    assert told(server) == []


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("n1", "n1 leads already"),
        ("n9", "'n9' is no voter of this cluster; expected one of n2, n3"),
    ],
)
def test_what_it_refuses(target: str, why: str) -> None:
    server = committed()
    assert server.core.why_no_transfer(target) == why
    assert not hand_over(server, target)
    assert told(server) == [] and server.submit(A)


def test_it_refuses_a_second_transfer_and_a_node_that_does_not_lead_any() -> None:
    server = committed()
    hand_over(server)
    server.take_outbox()
    assert server.core.why_no_transfer("n3") == "n1 hands over to n2 already"
    assert not hand_over(server, "n3") and server.core.successor == "n2" and told(server) == []
    assert Server().core.why_no_transfer("n2") == "n1 does not lead"
    alone = Server(peers=())
    alone.tick()
    alone.persist_all()
    assert alone.core.why_no_transfer(None) == "n1 is the only voter"


def test_without_a_target_it_chooses_who_is_most_up_to_date_and_was_heard_last() -> None:
    server = committed(peers=("n2", "n3", "n4", "n5"))
    server.submit(A)
    server.receive("n3", AppendEntriesReply(1, True, 2))
    server.now_us += 10
    server.receive("n5", AppendEntriesReply(1, True, 2))
    server.receive("n2", AppendEntriesReply(1, True, 1))
    server.take_outbox()
    assert hand_over(server, None)
    assert told(server) == ["n5"]


# ---- the target -----------------------------------------------------------------------------------------------------


def follower(timing: Timing = CHECK_QUORUM) -> Server:
    """n1 follows n2 in term 1, and has its entry."""
    server = Server(log=entries(1), timing=timing)
    server.receive("n2", AppendEntries(1, 1, 1, 1, []))
    server.take_outbox()
    return server


def asked(server: Server) -> list[Message]:
    return server.sent(RequestVote)


def test_the_target_stands_at_once_without_pre_votes_and_says_why() -> None:
    server = follower()
    server.receive("n2", TimeoutNow(1))
    server.persist_all()
    assert (server.core.role, server.core.current_term) == ("candidate", 2)
    assert asked(server) == [RequestVote(2, 1, 1, True)] * 2


def test_the_next_election_of_its_own_does_not_say_so() -> None:
    server = follower(TIMING)
    server.receive("n2", TimeoutNow(1))
    server.persist_all()
    server.take_outbox()
    server.tick()
    server.persist_all()
    assert asked(server) == [RequestVote(3, 1, 1)] * 2


def test_a_late_or_repeated_one_does_nothing() -> None:
    server = follower()
    server.receive("n2", TimeoutNow(1))
    server.receive("n2", TimeoutNow(1))
    assert server.core.current_term == 2
    server.receive("n3", AppendEntries(2, 1, 1, 1, []))
    server.receive("n2", TimeoutNow(1))
    assert (server.core.role, server.core.current_term, server.core.leader) == ("follower", 2, "n3")


def test_a_leader_takes_none() -> None:
    server = committed()
    server.receive("n2", TimeoutNow(1))
    assert server.leads() and server.core.current_term == 1


# ---- the voters -----------------------------------------------------------------------------------------------------


def test_a_voter_that_hears_a_leader_heeds_a_candidate_that_this_leader_wants_and_no_other() -> None:
    voter = follower()
    voter.receive("n3", RequestVote(2, 1, 1))
    assert (voter.core.current_term, voter.take_outbox()) == (1, [])
    voter.receive("n3", RequestVote(2, 1, 1, True))
    voter.persist_all()
    assert voter.outbox == [("n3", RequestVoteReply(2, True))]


def test_its_log_must_be_up_to_date_all_the_same() -> None:
    voter = follower()
    voter.receive("n3", RequestVote(2, 0, 0, True))
    voter.persist_all()
    assert voter.outbox == [("n3", RequestVoteReply(2, False))]


@pytest.mark.parametrize("features", [Features(), Features(pre_vote=True), Features(check_quorum=True)])
def test_a_whole_transfer_while_all_hear_the_leader(features: Features) -> None:
    cluster = Cluster(5, timing=replace(TIMING, features=features))
    old = cluster.elect("n1")
    cluster.submit("n1", A)
    before_us = cluster.now_us
    assert old.replica is not None
    cluster.step(old, lambda: hand_over(old, "n4"))
    cluster.settle()
    assert [server.name for server in cluster.leaders()] == ["n4"]
    assert cluster.now_us == before_us, "no timer ran out"
    assert cluster["n4"].core.current_term == 2 and cluster["n4"].core.commit_index == 3
