"""§5.3 and §5.4.2 commitment: a majority of durable copies of an entry of the leader's own term; Figure 8; applying."""

from __future__ import annotations

import pytest

from cluster import Cluster, Server, command, entries
from raft_chaos.invariants.events import CommitAdvanced, EntryApplied
from raft_chaos.raft.core import Core
from raft_chaos.raft.replica.result import Result
from raft_chaos.raft.state.messages import AppendEntries, AppendEntriesReply, RequestVoteReply
from raft_chaos.raft.state.timing import Timing

A, B = command("a"), command("b")


def leader_of(peers: int) -> Server:
    """A leader of term 1 whose no-op is durable only on its own disk."""
    server = Server(peers=[f"p{number}" for number in range(peers)])
    server.tick()
    server.persist()
    for peer in server.peers:
        server.receive(peer, RequestVoteReply(1, True))
    server.persist_all()
    return server


@pytest.mark.parametrize(("peers", "copies_needed"), [(0, 0), (1, 1), (2, 1), (3, 2), (4, 2), (6, 3)])
def test_an_entry_commits_with_a_majority_of_copies_and_not_with_one_less(peers: int, copies_needed: int) -> None:
    server = leader_of(peers)
    for peer in server.peers[:copies_needed]:
        assert server.core.commit_index == 0
        server.receive(peer, AppendEntriesReply(1, True, 1))
    assert server.core.commit_index == 1


def test_one_follower_that_acknowledges_twice_is_one_copy() -> None:
    server = leader_of(4)
    for _ in range(3):
        server.receive("p0", AppendEntriesReply(1, True, 1))
    assert server.core.commit_index == 0


def test_the_leader_counts_itself_only_once_its_own_write_is_durable() -> None:
    """Ongaro's thesis, §10.2.1: the followers write in parallel, so their copies may be there first."""
    server = leader_of(4)
    server.submit(A)
    server.receive("p0", AppendEntriesReply(1, True, 2))
    server.receive("p1", AppendEntriesReply(1, True, 2))
    assert server.core.commit_index == 1
    server.persist()
    assert server.core.commit_index == 2


def test_followers_alone_may_commit_but_the_leader_applies_only_what_it_has_itself() -> None:
    server = leader_of(2)
    server.submit(A)
    for peer in server.peers:
        server.receive(peer, AppendEntriesReply(1, True, 2))
    assert server.core.commit_index == 2
    assert [e.index for e in server.reported(EntryApplied)] == [1]
    assert server.replies == []
    server.persist()
    assert [e.index for e in server.reported(EntryApplied)] == [1, 2]
    assert [(reply.token, reply.index, reply.result) for reply in server.replies] == [(A, 2, Result(True))]


def test_followers_learn_of_the_commit_with_the_next_message() -> None:
    cluster = Cluster(3)
    cluster.elect("n1")
    cluster.submit("n1", A)
    cluster.settle()
    assert cluster["n1"].core.commit_index == 2
    cluster.heartbeat("n1")
    assert [server.core.last_applied for server in cluster.servers.values()] == [2, 2, 2]
    digests = {server.replica.machine.digest for server in cluster.servers.values()}  # type: ignore[union-attr]
    assert len(digests) == 1


def test_entries_apply_once_each_and_in_order() -> None:
    cluster = Cluster(3)
    cluster.elect("n1")
    for value in ("a", "b", "c", "d"):
        cluster.submit("n1", command(value))
    cluster.settle()
    cluster.heartbeat("n1")
    for server in cluster.servers.values():
        assert [e.index for e in server.reported(EntryApplied)] == [1, 2, 3, 4, 5]


def test_a_command_that_another_leader_overwrote_is_never_answered_as_done() -> None:
    """The index commits, but with another entry: the client must not get the answer of that entry."""
    cluster = Cluster(3)
    cluster.elect("n1")
    cluster.cut_off = frozenset({"n1"})
    cluster.submit("n1", A)
    cluster.settle()
    cluster.elect("n2")
    cluster.submit("n2", B)
    cluster.cut_off = frozenset()
    cluster.settle()
    cluster.heartbeat("n2")
    cluster.heartbeat("n2")
    assert [(reply.token, reply.result) for reply in cluster["n1"].replies] == [(A, None)]
    assert [(reply.token, reply.result) for reply in cluster["n2"].replies] == [(B, Result(True))]


def test_after_a_restart_commit_index_is_zero_and_all_entries_are_applied_again() -> None:
    cluster = Cluster(3)
    cluster.elect("n1")
    cluster.heartbeat("n1")
    cluster.crash("n2")
    cluster.restart("n2")
    assert (cluster["n2"].core.commit_index, cluster["n2"].core.last_applied) == (0, 0)
    cluster.heartbeat("n1")
    assert cluster["n2"].core.last_applied == 1


# ---- §5.4.2 ----------------------------------------------------------------------------------------------------------


def test_an_entry_of_an_earlier_term_commits_only_with_one_of_the_current_term() -> None:
    server = Server(log=entries(1, 2))
    server.tick()
    server.persist()
    server.receive("n2", RequestVoteReply(3, True))
    server.persist_all()
    server.receive("n2", AppendEntriesReply(3, True, 2))
    assert server.core.commit_index == 0
    server.receive("n2", AppendEntriesReply(3, True, 3))
    assert server.core.commit_index == 3


class CountsReplicasOfAnyTerm(Core):
    """The mistake that Figure 8 shows."""

    def _may_commit(self, index: int) -> bool:
        return True


def figure_8_c(core: type[Core]) -> Cluster:
    """Figure 8 up to (c): n1 leads in term 4 and has brought entry 2, of term 2, to n3, so that a majority has it.

    n5, cut off, holds an entry of term 3 at that index. n1's own entry of term 4 has not reached n3 yet.
    """
    logs = {"n1": entries(1, 2), "n2": entries(1, 2), "n3": entries(1), "n4": entries(1), "n5": entries(1, 3)}
    one_by_one = Timing(100_000, 200_000, 20_000, max_entries_per_message=1)
    cluster = Cluster(5, logs=logs, term=3, timing=one_by_one, core=core)
    cluster.cut_off = frozenset({"n5"})
    cluster.tick("n1")
    cluster.persist("n1")
    n1 = cluster["n1"]
    while n1.core.role != "leader" or n1.core.progress["n3"].match_index < 2:
        packet = cluster.network.pop(0)
        if isinstance(packet.message, AppendEntries) and packet.to == "n4":
            continue
        cluster.deliver(packet)
        for server in cluster.live():
            cluster.persist(server.name)
    assert (cluster["n2"].terms[:2], cluster["n3"].terms) == ([1, 2], [1, 2])
    return cluster


def applied_terms(cluster: Cluster, index: int) -> list[int]:
    """The terms of all entries that were ever applied at `index`; more than one breaks State Machine Safety."""
    events = [event for event in cluster.all_events() if isinstance(event, EntryApplied)]
    return sorted({event.term for event in events if event.index == index})


@pytest.mark.parametrize(("core", "applied"), [(Core, [3]), (CountsReplicasOfAnyTerm, [2, 3])])
def test_figure_8_d_the_copied_entry_may_still_be_overwritten(core: type[Core], applied: list[int]) -> None:
    cluster = figure_8_c(core)
    assert cluster["n1"].core.commit_index == (0 if core is Core else 2)
    cluster.crash("n1")
    cluster.drop()
    cluster.cut_off = frozenset({"n2"})
    cluster.elect("n5")
    cluster.cut_off = frozenset()
    cluster.restart("n1")
    for _ in range(2):
        cluster.heartbeat("n5")
    assert [server.terms for server in cluster.servers.values()] == [[1, 3, 5]] * 5
    assert applied_terms(cluster, 2) == applied


def test_figure_8_e_an_entry_of_its_own_term_commits_both_and_keeps_the_other_from_being_elected() -> None:
    cluster = figure_8_c(Core)
    cluster.settle()
    assert cluster["n1"].core.commit_index == 3
    cluster.crash("n1")
    cluster.cut_off = frozenset()
    for _ in range(5):
        cluster.tick("n5")
        cluster.settle()
        assert cluster["n5"].core.role != "leader"
    cluster.elect("n2")
    cluster.heartbeat("n2")
    assert cluster["n5"].terms[:3] == [1, 2, 4]
    assert applied_terms(cluster, 2) == [2]


def test_commits_are_reported_with_the_term_of_the_node_not_of_the_entry() -> None:
    """Leader Completeness refers to the term in which an entry was committed."""
    cluster = Cluster(3, logs={name: entries(1, 1) for name in ("n1", "n2", "n3")}, term=4)
    cluster.elect("n1")
    cluster.heartbeat("n1")
    for server in cluster.servers.values():
        assert [(e.index, e.term) for e in server.reported(CommitAdvanced)][-1] == (3, 5)
