"""Figure 2, persistent state: no message leaves before the write that it depends on is durable; what a crash loses.

Also the rules of `invariants.events` for the order of what is reported, and group commit.
"""

from __future__ import annotations

import pytest

from cluster import Cluster, Server, command, entries
from raft_chaos.invariants.events import (
    CommitAdvanced,
    EntryAppended,
    EntryApplied,
    LogTruncated,
    Role,
    RoleChanged,
    Started,
    VoteGranted,
)
from raft_chaos.raft.state.held import CountOwnVote, ReleaseCommit, ReportEvent, SendMessage
from raft_chaos.raft.state.messages import (
    Append,
    AppendEntries,
    AppendEntriesReply,
    Entry,
    HardState,
    RequestVote,
    RequestVoteReply,
    Truncate,
)

A, B, C = command("a"), command("b"), command("c")


def role_changed(role: Role, term: int, leader: str | None) -> ReportEvent:
    return ReportEvent(RoleChanged(node="n1", inc=1, t_us=0, role=role, term=term, leader=leader))


def kinds(server: Server) -> list[str]:
    return [type(event).__name__ for event in server.events]


# ---- what waits for a write ------------------------------------------------------------------------------------------


def test_a_vote_leaves_only_after_it_is_durable() -> None:
    server = Server()
    server.receive("n2", RequestVote(1, 0, 0))
    assert (server.outbox, kinds(server)) == ([], ["Started"])
    server.persist()
    assert server.outbox == [("n2", RequestVoteReply(1, True))]
    assert kinds(server) == ["Started", "RoleChanged", "VoteGranted"]


def test_a_refusal_waits_for_the_newer_term_that_it_carries() -> None:
    server = Server(log=entries(1, 1), term=1)
    server.receive("n2", RequestVote(5, 0, 0))
    assert server.outbox == []
    server.persist()
    assert server.outbox == [("n2", RequestVoteReply(5, False))]


def test_a_vote_repeated_while_the_first_is_being_written_waits_as_well() -> None:
    server = Server()
    server.receive("n2", RequestVote(1, 0, 0))
    server.receive("n2", RequestVote(1, 0, 0))
    assert server.outbox == []
    server.persist_all()
    assert server.outbox == [("n2", RequestVoteReply(1, True))] * 2


def test_a_candidate_asks_for_votes_only_after_its_own_is_durable() -> None:
    server = Server()
    server.tick()
    assert (server.outbox, kinds(server)) == ([], ["Started"])
    server.persist()
    assert [type(m) for _, m in server.outbox] == [RequestVote, RequestVote]
    assert kinds(server) == ["Started", "RoleChanged", "VoteGranted"]


def test_an_acknowledgement_leaves_only_after_its_entries_are_durable() -> None:
    server = Server(term=1)
    server.receive("n2", AppendEntries(1, 0, 0, 0, entries(1, 1)))
    assert server.outbox == []
    assert server.reported(EntryAppended) == []
    server.persist()
    assert server.outbox == [("n2", AppendEntriesReply(1, True, 2))]
    assert len(server.reported(EntryAppended)) == 2


def test_a_heartbeat_that_names_undurable_entries_is_acknowledged_only_once_they_are_durable() -> None:
    server = Server(term=1)
    server.receive("n2", AppendEntries(1, 0, 0, 0, entries(1, 1)))
    server.receive("n2", AppendEntries(1, 2, 1, 0, []))
    assert server.outbox == []
    server.persist()
    assert server.outbox == [("n2", AppendEntriesReply(1, True, 2))] * 2


def test_a_heartbeat_about_durable_entries_is_acknowledged_during_a_write() -> None:
    server = Server(log=entries(1, 1), term=1)
    server.receive("n2", AppendEntries(1, 2, 1, 0, [Entry(1, A)]))
    server.receive("n2", AppendEntries(1, 2, 1, 0, []))
    assert server.outbox == [("n2", AppendEntriesReply(1, True, 2))]


def test_a_leader_sends_its_entries_while_it_still_writes_them() -> None:
    """Ongaro's thesis, §10.2.1."""
    server = Server()
    server.tick()
    server.persist()
    server.take_outbox()
    server.receive("n2", RequestVoteReply(1, True))
    assert server.under_way is not None
    assert server.sent(AppendEntries) == [AppendEntries(1, 0, 0, 0, [Entry(1, b"")])] * 2


def test_commits_are_reported_and_applied_only_once_the_entry_is_durable_here() -> None:
    server = Server(term=1)
    server.receive("n2", AppendEntries(1, 0, 0, 2, entries(1, 1)))
    assert server.core.commit_index == 2
    assert kinds(server) == ["Started", "RoleChanged"]
    server.persist()
    assert kinds(server)[2:] == [
        "EntryAppended",
        "EntryAppended",
        "CommitAdvanced",
        "EntryApplied",
        "EntryApplied",
    ]


def test_a_commit_in_a_new_term_waits_for_that_term() -> None:
    server = Server(log=entries(1, 1), term=1)
    server.receive("n2", AppendEntries(2, 2, 1, 2, []))
    assert server.core.commit_index == 2
    assert kinds(server) == ["Started", "EntryAppended", "EntryAppended"]
    server.persist()
    assert kinds(server)[3:] == ["RoleChanged", "RoleChanged", "CommitAdvanced", "EntryApplied", "EntryApplied"]


def test_an_entry_does_not_inherit_the_durability_of_the_one_that_it_replaces() -> None:
    server = Server(log=entries(1, 1, 1), term=1)
    assert server.core.log.durable_index == 3
    server.receive("n2", AppendEntries(2, 1, 1, 0, [Entry(2, A), Entry(2, B)]))
    assert server.core.log.durable_index == 1
    server.persist_all()
    assert server.core.log.durable_index == 3


# ---- what a node waits for can be seen ------------------------------------------------------------------------------


def test_a_voter_holds_its_vote_and_its_answer_under_the_record_of_the_vote() -> None:
    server = Server()
    server.receive("n2", RequestVote(1, 0, 0))
    assert server.core.held == [
        (1, role_changed("follower", 1, None)),
        (2, ReportEvent(VoteGranted(node="n1", inc=1, t_us=0, term=1, candidate="n2"))),
        (2, SendMessage("n2", RequestVoteReply(1, True))),
    ]
    server.persist_all()
    assert server.core.held == []


def test_a_candidate_holds_its_requests_and_its_own_vote_under_the_record_of_its_term() -> None:
    server = Server()
    server.tick()
    held = server.core.held
    assert [lsn for lsn, _ in held] == [1] * 5
    assert [what for _, what in held][2:] == [
        SendMessage("n2", RequestVote(1, 0, 0)),
        SendMessage("n3", RequestVote(1, 0, 0)),
        CountOwnVote(1),
    ]


def test_a_follower_holds_a_commit_under_the_record_of_its_entry() -> None:
    server = Server(term=1)
    server.receive("n2", AppendEntries(1, 0, 0, 1, entries(1, 1)))
    committed = CommitAdvanced(node="n1", inc=1, t_us=0, index=1, term=1)
    assert [type(what) for _, what in server.core.held] == [ReportEvent, ReleaseCommit, ReportEvent, SendMessage]
    assert server.core.held[1] == (1, ReleaseCommit(committed))
    assert server.core.held[3] == (2, SendMessage("n2", AppendEntriesReply(1, True, 2)))


def test_nodes_with_the_same_inputs_hold_the_same_actions() -> None:
    one, other = Server(), Server()
    for server in (one, other):
        server.receive("n2", RequestVote(1, 0, 0))
    assert one.core.held == other.core.held
    other.receive("n3", RequestVote(1, 0, 0))
    assert one.core.held != other.core.held
    assert other.core.held[-1] == (2, SendMessage("n3", RequestVoteReply(1, False)))


# ---- the order of events ---------------------------------------------------------------------------------------------


def test_an_incarnation_first_reports_its_start_and_all_recovered_entries() -> None:
    log = entries(1, 1, 3)
    server = Server(log=log, term=4, voted_for="n2")
    digest = server.core.log.digest(3)
    started, appended = server.events[0], server.reported(EntryAppended)
    assert started == Started(node="n1", inc=1, t_us=0, term=4, voted_for="n2", last_index=3, digest=digest)
    assert server.events[1:] == appended
    assert [(e.index, e.term, e.digest) for e in appended] == [
        (index, entry.term, server.core.log.digest(index)) for index, entry in enumerate(log, 1)
    ]


def test_equal_logs_have_equal_digests_and_different_prefixes_have_different_ones() -> None:
    one, same = Server(log=entries(1, 1, 2)), Server(log=entries(1, 1, 2))
    other = Server(log=[Entry(1, b"other"), *entries(1, 1, 2)[1:]])
    assert one.core.log.digest(3) == same.core.log.digest(3)
    assert one.core.log.digest(3) != other.core.log.digest(3)


def test_a_truncation_is_reported_before_its_write_and_after_the_entries_that_it_deletes() -> None:
    server = Server(term=1)
    server.receive("n2", AppendEntries(1, 0, 0, 0, entries(1, 1)))
    # While these are being written, another leader replaces the second.
    server.receive("n3", AppendEntries(2, 1, 1, 0, [Entry(2, B)]))
    assert server.reported(LogTruncated) == []
    server.persist()
    # The new term is written first: a batch ends before a truncation.
    assert server.under_way is not None
    assert server.under_way.records == [HardState(2, None)]
    assert [e.index for e in server.reported(EntryAppended)] == [1, 2]
    assert server.reported(LogTruncated) == []
    server.persist()
    assert server.under_way.records == [Truncate(2), Append(2, Entry(2, B))]
    assert kinds(server)[-1] == "LogTruncated"
    assert server.outbox == [("n2", AppendEntriesReply(1, True, 2))]
    server.persist()
    assert kinds(server)[-1] == "EntryAppended"
    assert server.outbox[-1] == ("n3", AppendEntriesReply(2, True, 2))
    assert server.recovered().entries == [*entries(1), Entry(2, B)]


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_a_leader_always_reports_a_commit_after_its_entries(size: int) -> None:
    """Its own write may complete the majority: then entry and commit become due at the same moment."""
    cluster = Cluster(size)
    leader = cluster.elect("n1")
    cluster.submit("n1", A)
    # All followers answer before the leader's own write is durable.
    for packet in [p for p in cluster.network if isinstance(p.message, AppendEntries)]:
        cluster.deliver(packet)
        cluster.persist(packet.to)
    for packet in [p for p in cluster.network if p.to == "n1"]:
        cluster.deliver(packet)
    cluster.settle()
    last_appended = 0
    for event in leader.events:
        if isinstance(event, EntryAppended):
            last_appended = event.index
        elif isinstance(event, CommitAdvanced | EntryApplied):
            assert event.index <= last_appended
    assert leader.core.last_applied == 2


def test_terms_only_grow_in_the_order_of_events() -> None:
    server = Server()
    server.tick()  # candidate of term 1; its write is under way
    server.receive("n2", RequestVote(3, 0, 0))
    server.receive("n3", RequestVote(5, 0, 0))
    server.persist_all()
    told = [e for e in server.events if isinstance(e, RoleChanged | VoteGranted)]
    assert [e.term for e in told] == sorted(e.term for e in told)
    assert [e.candidate for e in server.reported(VoteGranted)] == ["n1", "n2", "n3"]


# ---- group commit ----------------------------------------------------------------------------------------------------


def test_records_that_come_during_a_write_go_into_the_next_one() -> None:
    server = Server(peers=[])
    server.tick()
    server.persist_all()
    server.submit(A)
    first = server.under_way
    server.submit(B)
    server.submit(C)
    assert server.under_way is first
    server.persist()
    assert server.under_way is not None
    assert server.under_way.records == [Append(3, Entry(1, B)), Append(4, Entry(1, C))]
    server.persist()
    assert [(reply.token, reply.index) for reply in server.replies] == [(A, 2), (B, 3), (C, 4)]


# ---- crashes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("write_survives", [False, True])
def test_after_a_crash_during_the_write_of_a_vote_no_vote_was_sent(write_survives: bool) -> None:
    server = Server()
    server.receive("n2", RequestVote(1, 0, 0))
    server.crash(write_survives=write_survives)
    server.start()
    assert server.outbox == []
    server.receive("n3", RequestVote(1, 0, 0))
    server.persist_all()
    # The disk may be ahead of what was told: then the vote of term 1 is gone.
    assert server.outbox == [("n3", RequestVoteReply(1, not write_survives))]


@pytest.mark.parametrize("write_survives", [False, True])
def test_a_crash_during_a_truncation_leaves_the_old_log_or_the_new_one(write_survives: bool) -> None:
    server = Server(log=entries(1, 1, 1), term=2)
    server.receive("n2", AppendEntries(2, 1, 1, 0, [Entry(2, B)]))
    server.crash(write_survives=write_survives)
    server.start()
    assert server.terms == ([1, 2] if write_survives else [1, 1, 1])


def test_a_leader_that_loses_its_own_entries_gets_them_back_from_the_majority_that_has_them() -> None:
    cluster = Cluster(3)
    cluster.elect("n1")
    cluster.submit("n1", A)
    for packet in list(cluster.network):
        cluster.deliver(packet)
    for name in ("n2", "n3"):
        cluster.persist(name)
    cluster.crash("n1")
    cluster.drop()
    cluster.restart("n1")
    assert cluster["n1"].terms == [1]
    cluster.elect("n2")
    cluster.heartbeat("n2")
    assert cluster["n1"].terms == [1, 1, 2]
    assert cluster["n1"].core.log.entry(2).command == A
