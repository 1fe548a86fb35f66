"""Reads without a log entry (thesis, §6.4): the read index, rounds of heartbeats, and reads that end refused."""

from __future__ import annotations

from cluster import Server, command
from raft_chaos.raft.replica.output import Reply
from raft_chaos.raft.state.messages import AppendEntries, AppendEntriesReply, Entry, Message, RequestVote
from roles import leader, to

A, B = command("a"), command("b")


def committed() -> Server:
    """The leader of three in term 1, its no-op committed and applied, both followers matching."""
    server = leader()
    for peer in ("n2", "n3"):
        server.receive(peer, AppendEntriesReply(1, True, 1))
    server.take_outbox()
    assert server.core.last_applied == 1
    return server


def ack(server: Server, peer: str, *, round: int, match_index: int = 1) -> None:
    server.receive(peer, AppendEntriesReply(1, True, match_index, round=round))


def values(server: Server) -> list[tuple[str, int, object]]:
    """The answered reads: key, applied index, value."""
    return [(r.token, r.index, r.result.value) for r in server.replies if r.is_read and r.result is not None]


def refused(server: Server) -> list[str]:
    return [reply.token for reply in server.replies if reply.is_read and reply.result is None]


def test_a_read_is_answered_once_a_majority_has_answered_a_heartbeat_that_was_sent_after_it_came() -> None:
    server = committed()
    assert server.read("x")
    assert to(server, "n2") == [AppendEntries(1, 1, 1, 1, [], round=1)]
    ack(server, "n2", round=0)  # to a message from before the read
    assert server.replies == []
    ack(server, "n2", round=1)
    assert server.replies == [Reply("x", 1, 1, server.replies[0].result, is_read=True)]
    assert values(server) == [("x", 1, None)]
    assert server.core.log.last_index == 1, "it needed no entry"


def test_a_rejection_confirms_the_leadership_as_well() -> None:
    server = committed()
    server.read("x")
    server.receive("n3", AppendEntriesReply(1, False, 0, 1, 1, 0, 0, round=1))
    assert values(server) == [("x", 1, None)]


def test_one_follower_that_answers_twice_is_no_majority_of_five() -> None:
    server = leader(peers=("n2", "n3", "n4", "n5"))
    for peer in ("n2", "n3"):
        server.receive(peer, AppendEntriesReply(1, True, 1))
    server.read("x")
    for _ in range(3):
        ack(server, "n2", round=1)
    assert server.replies == []
    ack(server, "n5", round=1, match_index=0)
    assert values(server) == [("x", 1, None)]


def test_a_read_waits_until_an_entry_of_this_term_is_committed() -> None:
    """Otherwise the commit index may be behind that of the leader before."""
    server = leader((1, 1))
    server.read("x")
    server.receive("n2", AppendEntriesReply(2, False, 0, 2, 1, 0, 0))
    assert to(server, "n2")[-1].round == 0, "no round runs yet"
    server.receive("n2", AppendEntriesReply(2, True, 3))
    assert server.core.commit_index == 3
    assert to(server, "n3")[-1].round == 1
    assert server.replies == []
    server.receive("n3", AppendEntriesReply(2, False, 0, 3, 1, 0, 0, round=1))
    assert values(server) == [("x", 3, ["1.1", "1.2"])]


def test_reads_of_one_turn_share_a_round_and_those_that_come_while_it_runs_share_the_next() -> None:
    server = committed()
    server.read("a", "b")
    server.read("c")
    server.read("d")
    assert [message.round for message in to(server, "n2")] == [1]
    ack(server, "n2", round=1)
    assert [key for key, _, _ in values(server)] == ["a", "b"]
    assert [message.round for message in to(server, "n2")] == [2]
    ack(server, "n3", round=1)  # late: n3 answers the first round
    assert len(values(server)) == 2
    ack(server, "n3", round=2)
    assert [key for key, _, _ in values(server)] == ["a", "b", "c", "d"]


def test_any_later_message_confirms_a_round_whose_heartbeats_were_lost() -> None:
    server = committed()
    server.read("x")
    server.take_outbox()
    server.submit(A)
    assert [message.round for message in to(server, "n2")] == [1], "entries carry it too"
    ack(server, "n2", round=1, match_index=2)
    assert [key for key, _, _ in values(server)] == ["x"]


def test_a_read_waits_until_its_read_index_is_applied() -> None:
    server = committed()
    server.submit(A)
    ack(server, "n2", round=0, match_index=2)
    ack(server, "n3", round=0, match_index=2)
    assert (server.core.commit_index, server.core.last_applied) == (2, 1), "its own write is under way"
    server.read("x")
    ack(server, "n2", round=1, match_index=2)
    assert server.replies == []
    server.persist()
    assert values(server) == [("x", 2, ["a"])]


def test_a_leader_that_is_alone_needs_no_answer() -> None:
    server = Server(peers=())
    server.tick()
    server.persist_all()
    server.submit(A)
    server.persist_all()
    server.read("x")
    assert values(server) == [("x", 2, ["a"])]


def test_losing_the_leadership_refuses_all_waiting_reads_in_their_order() -> None:
    server = committed()
    server.submit(A)
    for peer in ("n2", "n3"):
        ack(server, peer, round=0, match_index=2)
    server.read("confirmed")
    ack(server, "n2", round=1, match_index=2)
    server.read("confirming")
    server.read("asked")
    assert server.core.waiting_reads == 3
    server.receive("n3", RequestVote(2, 9, 1))
    assert refused(server) == ["confirmed", "confirming", "asked"]
    assert server.core.waiting_reads == 0
    ack(server, "n2", round=2)
    server.persist_all()
    assert values(server) == []


def test_only_a_leader_takes_reads_by_read_index_and_any_node_stale_ones() -> None:
    server = Server()
    assert not server.read("x")
    assert server.read("x", consistency="stale")
    assert [(r.index, r.term, r.is_read) for r in server.replies] == [(0, 0, True)]
    server.receive("n2", AppendEntries(1, 0, 0, 2, [Entry(1, A), Entry(1, B)]))
    server.read("x", consistency="stale")
    assert server.replies[1].index == 0, "committed entries that are not durable are not applied"
    server.persist_all()
    server.read("x", consistency="stale")
    assert values(server)[2] == ("x", 2, ["a", "b"])


def test_every_answer_repeats_the_round() -> None:
    follower = Server()
    follower.receive("n2", AppendEntries(1, 0, 0, 0, [], 0, 7))
    follower.receive("n2", AppendEntries(1, 5, 1, 0, [], 0, 8))
    follower.persist_all()
    answers: list[Message] = [message for _, message in follower.outbox]
    assert [(m.success, m.round) for m in answers if isinstance(m, AppendEntriesReply)] == [(True, 7), (False, 8)]
