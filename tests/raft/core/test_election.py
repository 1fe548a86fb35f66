"""§5.2 elections, §5.4.1 the election restriction."""

from __future__ import annotations

import pytest

from cluster import TIMING, Cluster, Server, command, entries
from raft_chaos.invariants.events import RoleChanged, VoteGranted
from raft_chaos.raft.state.messages import (
    AppendEntries,
    HardState,
    RequestVote,
    RequestVoteReply,
)
from roles import candidate, leader_of_three

# ---- §5.2 elections --------------------------------------------------------------------------------------------------


def test_a_server_starts_as_follower_and_stands_only_after_its_election_timeout() -> None:
    server = Server()
    deadline_us = server.core.deadline_us
    assert TIMING.election_timeout_min_us <= deadline_us <= TIMING.election_timeout_max_us
    server.core.tick(deadline_us - 1)
    assert server.core.current_term == 0
    server.core.tick(deadline_us)
    assert (server.core.role, server.core.current_term) == ("candidate", 1)


def test_a_candidate_votes_for_itself_and_asks_all_others() -> None:
    server = candidate(log=entries(1, 2))
    request = RequestVote(3, 2, 2)
    assert server.outbox == [("n2", request), ("n3", request)]
    assert server.core.voted_for == "n1"
    assert server.recovered().hard_state == HardState(3, "n1")
    assert [(e.term, e.candidate) for e in server.reported(VoteGranted)] == [(3, "n1")]


@pytest.mark.parametrize(("peers", "votes_needed"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (6, 3)])
def test_a_majority_of_votes_elects_and_one_less_does_not(peers: int, votes_needed: int) -> None:
    names = [f"p{number}" for number in range(peers)]
    server = candidate(peers=names)
    for name in names[: votes_needed - 1]:
        server.receive(name, RequestVoteReply(1, True))
    assert not server.leads()
    server.receive(names[votes_needed - 1], RequestVoteReply(1, True))
    assert server.leads()


def test_a_vote_that_arrives_twice_counts_once() -> None:
    server = candidate(peers=["n2", "n3", "n4", "n5"])
    for _ in range(3):
        server.receive("n2", RequestVoteReply(1, True))
    assert not server.leads()


def test_refusals_and_votes_of_earlier_candidacies_do_not_count() -> None:
    server = candidate()
    server.tick()
    server.persist()
    assert server.core.current_term == 2
    server.receive("n2", RequestVoteReply(1, True))
    server.receive("n3", RequestVoteReply(2, False))
    assert not server.leads()
    server.receive("n2", RequestVoteReply(2, True))
    assert server.leads()


def test_a_cluster_of_one_elects_itself_once_its_vote_is_durable() -> None:
    server = Server(peers=[])
    server.tick()
    assert not server.leads()
    server.persist()
    assert server.leads()


def test_a_voter_grants_one_vote_per_term_and_repeats_its_answer() -> None:
    server = Server()
    for source, granted in (("n2", True), ("n3", False), ("n2", True)):
        server.receive(source, RequestVote(1, 0, 0))
        server.persist_all()
        assert server.take_outbox() == [(source, RequestVoteReply(1, granted))]
    assert len(server.reported(VoteGranted)) == 1


def test_a_server_may_vote_again_in_a_newer_term() -> None:
    server = Server(term=1, voted_for="n2")
    server.receive("n3", RequestVote(2, 0, 0))
    server.persist_all()
    assert server.outbox == [("n3", RequestVoteReply(2, True))]


def test_only_a_granted_vote_resets_the_election_timer() -> None:
    server = Server(log=entries(5))
    server.now_us = server.core.deadline_us - 1
    before = server.core.deadline_us
    server.receive("n2", RequestVote(6, 0, 0))
    assert server.core.deadline_us == before
    server.receive("n2", RequestVote(6, 1, 5))
    assert server.core.deadline_us >= server.now_us + TIMING.election_timeout_min_us


def test_only_a_heartbeat_of_the_current_term_resets_the_election_timer() -> None:
    server = Server(term=2)
    server.now_us = server.core.deadline_us - 1
    before = server.core.deadline_us
    server.receive("n2", AppendEntries(1, 0, 0, 0, []))
    assert server.core.deadline_us == before
    server.receive("n2", AppendEntries(2, 0, 0, 0, []))
    assert server.core.deadline_us >= server.now_us + TIMING.election_timeout_min_us


def test_a_candidate_follows_a_leader_of_its_own_term_and_keeps_its_vote() -> None:
    server = candidate()
    server.receive("n3", AppendEntries(1, 0, 0, 0, []))
    assert (server.core.role, server.core.leader, server.core.voted_for) == ("follower", "n3", "n1")
    server.receive("n2", RequestVoteReply(1, True))
    assert not server.leads()


def test_a_split_vote_ends_in_a_new_term_with_a_new_timeout() -> None:
    cluster = Cluster(3)
    for name in cluster.servers:
        cluster.tick(name)
    cluster.settle()
    assert not cluster.leaders()
    assert cluster.elect("n1").core.current_term > 1
    assert [server.name for server in cluster.leaders()] == ["n1"]


def test_each_election_timeout_is_drawn_from_the_whole_range() -> None:
    server = Server(peers=["n2", "n3", "n4"])
    timeouts = []
    for _ in range(300):
        started_us = server.now_us
        server.tick()
        server.persist_all()
        timeouts.append(server.now_us - started_us)
    least, most = TIMING.election_timeout_min_us, TIMING.election_timeout_max_us
    tenth = (most - least) // 10
    assert least <= min(timeouts) < least + tenth
    assert most - tenth < max(timeouts) <= most


def test_a_leader_sends_heartbeats_and_needs_no_election_timer() -> None:
    server = leader_of_three()
    server.persist_all()
    server.take_outbox()
    for _ in range(3):
        before_us = server.now_us
        server.tick()
        assert server.now_us - before_us <= TIMING.heartbeat_us
        assert [to for to, _ in server.take_outbox()] == ["n2", "n3"]
    assert server.leads()


def test_a_deposed_leader_stands_again_only_after_a_full_timeout() -> None:
    server = leader_of_three()
    while server.now_us <= 2 * TIMING.election_timeout_max_us:
        server.tick()
    server.receive("n2", RequestVote(2, 0, 0))  # its log is shorter: no vote, but a newer term
    assert not server.leads()
    assert server.core.deadline_us >= server.now_us + TIMING.election_timeout_min_us


def test_role_changes_are_reported_with_term_and_leader() -> None:
    cluster = Cluster(3)
    cluster.elect("n2")
    assert [(e.role, e.term, e.leader) for e in cluster["n2"].reported(RoleChanged)] == [
        ("candidate", 1, None),
        ("leader", 1, "n2"),
    ]
    assert [(e.role, e.term, e.leader) for e in cluster["n1"].reported(RoleChanged)] == [
        ("follower", 1, None),
        ("follower", 1, "n2"),
    ]


# ---- §5.4.1 the up-to-date check -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("last_index", "last_term", "granted"),
    [
        (3, 2, True),  # the same log
        (4, 2, True),  # longer, in the same term
        (2, 2, False),  # shorter, in the same term
        (1, 3, True),  # a later last term wins over any length
        (9, 1, False),  # an earlier last term loses over any length
        (0, 0, False),  # an empty log
    ],
)
def test_votes_go_only_to_logs_at_least_as_up_to_date(last_index: int, last_term: int, granted: bool) -> None:
    server = Server(log=entries(1, 2, 2))
    server.receive("n2", RequestVote(5, last_index, last_term))
    server.persist_all()
    assert server.outbox == [("n2", RequestVoteReply(5, granted))]


def test_a_server_that_missed_committed_entries_is_not_elected() -> None:
    cluster = Cluster(3)
    cluster.elect("n1")
    cluster.cut_off = frozenset({"n3"})
    cluster.submit("n1", command("a"))
    cluster.settle()
    cluster.cut_off = frozenset()
    for _ in range(3):
        cluster.tick("n3")
        cluster.settle()
    assert not cluster["n3"].leads()
    assert cluster["n3"].core.current_term > cluster["n1"].core.log.last_term
    cluster.elect("n2")
    assert cluster["n3"].terms[:2] == [1, 1]
