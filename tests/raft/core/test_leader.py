"""§5.3 log replication, the leader's side: probes, pipelining, backtracking; replies late, repeated or lost."""

from __future__ import annotations

from random import Random

import pytest

from cluster import Cluster, Server, command, entries
from raft_chaos.raft.state.messages import AppendEntries, AppendEntriesReply, Entry, Message, RequestVoteReply
from raft_chaos.raft.state.timing import Timing
from roles import Terms, leader, to

A, B, C = command("a"), command("b"), command("c")


def test_a_new_leader_appends_a_no_op_and_sends_it_at_once() -> None:
    server = Server(log=entries(1))
    server.tick()
    server.persist()
    server.take_outbox()
    server.receive("n2", RequestVoteReply(2, True))
    assert server.core.log.entry(2) == Entry(2, b"")
    assert server.take_outbox() == [(peer, AppendEntries(2, 1, 1, 0, [Entry(2, b"")])) for peer in ("n2", "n3")]


def test_a_leader_ignores_an_append_of_its_own_term() -> None:
    server = leader()
    server.receive("n3", AppendEntries(1, 0, 0, 0, [Entry(1, b"x")]))
    assert server.core.role == "leader"
    assert server.core.log.entry(1) == Entry(1, b"")


def test_commands_to_a_follower_are_refused() -> None:
    server = Server()
    assert not server.submit(b"x")
    assert server.terms == []


def test_a_follower_is_probed_with_one_message_at_a_time_until_it_matches() -> None:
    server = leader((1,))
    server.submit(A)
    server.submit(B)
    assert to(server, "n2") == []  # the no-op is a guess that nobody has confirmed yet
    server.receive("n2", AppendEntriesReply(2, True, 2))
    assert to(server, "n2") == [AppendEntries(2, 2, 2, 2, [Entry(2, A), Entry(2, B)])]


def test_messages_to_a_follower_that_matches_do_not_wait_for_replies() -> None:
    server = leader()
    server.receive("n2", AppendEntriesReply(1, True, 1))
    server.take_outbox()
    server.submit(A)
    server.submit(B, C)
    assert [(m.prev_log_index, len(m.entries)) for m in to(server, "n2")] == [(1, 1), (2, 2)]


def test_a_message_is_limited_in_entries_and_bytes_but_has_at_least_one_entry() -> None:
    timing = Timing(100_000, 200_000, 20_000, max_entries_per_message=3, max_bytes_per_message=10)
    server = leader(timing=timing)
    server.receive("n2", AppendEntriesReply(1, True, 1))
    server.take_outbox()
    server.submit(b"1", b"2", b"3", b"4", b"12345", b"12345", b"x", b"more than ten bytes")
    sent = [[entry.command for entry in m.entries] for m in to(server, "n2")]
    assert sent == [[b"1", b"2", b"3"], [b"4", b"12345"], [b"12345", b"x"], [b"more than ten bytes"]]


def test_entries_in_flight_are_limited_until_acknowledgements_arrive() -> None:
    timing = Timing(100_000, 200_000, 20_000, max_entries_per_message=2, max_entries_in_flight=4)
    server = leader(timing=timing)
    server.receive("n2", AppendEntriesReply(1, True, 1))
    server.take_outbox()
    server.submit(*[b"x"] * 10)
    assert [m.prev_log_index for m in to(server, "n2")] == [1, 3]
    server.receive("n2", AppendEntriesReply(1, True, 3))
    assert [m.prev_log_index for m in to(server, "n2")] == [5]


def test_bytes_in_flight_are_limited_until_acknowledgements_arrive() -> None:
    timing = Timing(100_000, 200_000, 20_000, max_entries_per_message=1, max_bytes_in_flight=250)
    server = leader(timing=timing)
    server.receive("n2", AppendEntriesReply(1, True, 1))
    server.take_outbox()
    server.submit(*[bytes(100)] * 10)
    assert [m.prev_log_index for m in to(server, "n2")] == [1, 2, 3], "more than the limit by less than a message"
    server.receive("n2", AppendEntriesReply(1, True, 2))
    assert [m.prev_log_index for m in to(server, "n2")] == [4]
    server.receive("n2", AppendEntriesReply(1, True, 5))
    assert [m.prev_log_index for m in to(server, "n2")] == [5, 6, 7]


def test_an_entry_beyond_the_limit_of_bytes_in_flight_is_sent_by_itself() -> None:
    timing = Timing(100_000, 200_000, 20_000, max_entries_per_message=1, max_bytes_in_flight=1)
    server = leader(timing=timing)
    server.receive("n2", AppendEntriesReply(1, True, 1))
    server.take_outbox()
    server.submit(bytes(100), bytes(100))
    assert [m.prev_log_index for m in to(server, "n2")] == [1]
    server.receive("n2", AppendEntriesReply(1, True, 2))
    assert [m.prev_log_index for m in to(server, "n2")] == [2]


def test_after_a_heartbeat_lost_entries_are_sent_again() -> None:
    server = leader()
    server.receive("n2", AppendEntriesReply(1, True, 1))
    server.submit(A, B)
    server.take_outbox()  # lost
    server.tick()
    assert to(server, "n2") == [AppendEntries(1, 3, 1, 1, [])]
    server.receive("n2", AppendEntriesReply(1, False, 0, 3, 2, 0))
    assert [(m.prev_log_index, len(m.entries)) for m in to(server, "n2")] == [(1, 2)]


def test_the_next_heartbeat_replaces_a_lost_probe() -> None:
    server = leader((1, 1))
    server.tick()
    assert [(m.prev_log_index, m.entries) for m in to(server, "n2")] == [(2, [])]
    server.receive("n2", AppendEntriesReply(2, True, 2))
    assert [(m.prev_log_index, len(m.entries)) for m in to(server, "n2")] == [(2, 1)]


@pytest.mark.parametrize(
    ("follower", "rounds"),
    [
        ((1, 1, 1, 4, 4, 5, 5, 6, 6), 1),  # short: straight to its end
        ((1, 1, 1, 4), 1),
        ((1, 1, 1, 4, 4, 4, 4), 2),  # a foreign tail in a term that the leader has
        ((1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3), 3),  # two foreign terms, one round each
    ],
)
def test_backtracking_skips_one_term_per_round(follower: Terms, rounds: int) -> None:
    """§5.3: "one AppendEntries RPC will be required for each term with conflicting entries"."""
    log = (1, 1, 1, 4, 4, 5, 5, 6, 6, 6)
    cluster = Cluster(2, logs={"n1": entries(*log), "n2": entries(*follower)})
    cluster.elect("n1")
    rejections = [p for p in cluster.traffic if isinstance(p.message, AppendEntriesReply) and not p.message.success]
    assert cluster["n2"].terms == [*log, 7]
    assert len(rejections) <= rounds


@pytest.mark.parametrize(
    ("conflict_index", "conflict_term", "next_index"),
    [
        (8, 0, 8),  # the follower's log ends at 7
        (4, 4, 6),  # it has term 4 from index 4 on; so does the leader, up to 5
        (2, 2, 2),  # it has term 2 from index 2 on; the leader does not
        (50, 0, 10),  # whatever the hint, the leader goes back by one at least
        (0, 0, 1),
    ],
)
def test_a_rejection_says_where_the_logs_may_match(conflict_index: int, conflict_term: int, next_index: int) -> None:
    server = leader((1, 1, 1, 4, 4, 5, 5, 6, 6, 6))
    server.receive("n2", AppendEntriesReply(7, False, 0, 10, conflict_index, conflict_term))
    assert server.core.progress["n2"].next_index == next_index
    assert [m.prev_log_index for m in to(server, "n2")] == [next_index - 1]


def test_a_probing_leader_uses_only_the_answer_to_its_last_probe() -> None:
    server = leader((1, 1, 1, 1, 1))
    server.receive("n2", AppendEntriesReply(2, False, 0, 5, 4, 0))
    server.receive("n2", AppendEntriesReply(2, False, 0, 5, 4, 0))  # once more, and late
    assert [(m.prev_log_index, m.stream) for m in to(server, "n2")] == [(3, 1)]
    server.receive("n2", AppendEntriesReply(2, False, 0, 3, 1, 0, stream=1))
    assert [(m.prev_log_index, m.stream) for m in to(server, "n2")] == [(0, 2)]


def test_a_late_acknowledgement_does_not_answer_a_probe() -> None:
    server = leader((1, 1, 1, 1, 1))
    server.receive("n2", AppendEntriesReply(2, True, 2))
    progress = server.core.progress["n2"]
    assert (progress.match_index, progress.next_index, progress.probing) == (2, 6, True)
    server.receive("n2", AppendEntriesReply(2, True, 5))
    assert (progress.match_index, progress.probing) == (5, False)


@pytest.mark.parametrize(
    "late",
    [
        AppendEntriesReply(2, False, 0, 1, 1, 0),  # at or before what is known to match
        AppendEntriesReply(2, False, 0, 9, 1, 0),  # beyond what was sent
        AppendEntriesReply(1, False, 0),  # of an older term
    ],
)
def test_an_outdated_rejection_does_not_move_next_index_back(late: AppendEntriesReply) -> None:
    server = leader((1,))
    server.receive("n2", AppendEntriesReply(2, True, 2))
    server.submit(A)
    server.take_outbox()
    progress = server.core.progress["n2"]
    before = (progress.next_index, progress.match_index, progress.probing)
    server.receive("n2", late)
    assert (progress.next_index, progress.match_index, progress.probing) == before
    assert server.take_outbox() == []


def test_the_second_rejection_of_the_same_flight_is_ignored() -> None:
    server = leader((1,))
    server.receive("n2", AppendEntriesReply(2, True, 2))
    server.submit(A)
    server.submit(B)
    server.submit(C)
    server.take_outbox()  # the first was lost, so the other two are rejected
    server.receive("n2", AppendEntriesReply(2, False, 0, 3, 3, 0))
    server.receive("n2", AppendEntriesReply(2, False, 0, 4, 3, 0))
    assert [(m.prev_log_index, len(m.entries)) for m in to(server, "n2")] == [(2, 3)]


def broken_pipeline() -> Server:
    """A leader that had entries 2 to 9 in flight to n2; the network reordered them, and n2 has rejected entry 6."""
    server = leader(timing=Timing(100_000, 200_000, 20_000, max_entries_per_message=1))
    server.receive("n2", AppendEntriesReply(1, True, 1))
    server.submit(*[A] * 8)
    assert [m.prev_log_index for m in to(server, "n2")] == [*range(1, 9)]
    server.receive("n2", AppendEntriesReply(1, False, 0, 5, 2, 0))
    assert [(m.prev_log_index, m.stream) for m in to(server, "n2")] == [(1, 1)]
    return server


def test_rejections_of_an_earlier_stream_do_not_break_the_new_one() -> None:
    """The network reordered the stream, so all of it is rejected, one by one; that takes the leader back once."""
    server = broken_pipeline()
    server.receive("n2", AppendEntriesReply(1, True, 2))  # the probe was the one that was missing
    server.take_outbox()
    next_index = server.core.progress["n2"].next_index
    for rejected in range(3, 9):
        server.receive("n2", AppendEntriesReply(1, False, 0, rejected, 3, 0))
    assert server.take_outbox() == []
    assert server.core.progress["n2"].next_index == next_index
    server.receive("n2", AppendEntriesReply(1, False, 0, 4, 3, 0, stream=1))
    assert [(m.prev_log_index, m.stream) for m in to(server, "n2")] == [(2, 2)]


def test_after_a_break_half_as_many_entries_are_in_flight_and_one_more_for_each_acknowledged() -> None:
    server = broken_pipeline()
    server.receive("n2", AppendEntriesReply(1, True, 2))
    assert [m.prev_log_index for m in to(server, "n2")] == [2, 3, 4, 5, 6]  # 8 // 2, and 1
    server.submit(A)
    assert to(server, "n2") == []
    server.receive("n2", AppendEntriesReply(1, True, 3))
    assert [m.prev_log_index for m in to(server, "n2")] == [7, 8]  # 6 may be in flight now


@pytest.mark.parametrize("seed", range(5))
def test_a_network_that_reorders_everything_makes_a_leader_send_little_in_vain(seed: int) -> None:
    """n2 lacks 200 entries, and whatever is under way arrives in any order. Counts the messages to n2."""
    rng, lacking = Random(seed), 200
    timing = Timing(100_000, 200_000, 20_000, max_entries_per_message=1)
    server = leader((1,) * lacking, timing=timing)
    follower = Server("n2", ["n1", "n3"], term=2)
    server.tick()
    under_way: list[tuple[Server, Message]] = [(follower, message) for message in to(server, "n2")]
    sent = len(under_way)
    while under_way:
        receiver, message = under_way.pop(rng.randrange(len(under_way)))
        receiver.receive("n1" if receiver is follower else "n2", message)
        receiver.persist_all()
        under_way += [(server, reply) for _, reply in follower.take_outbox()]
        requests = to(server, "n2")
        sent += len(requests)
        under_way += [(follower, request) for request in requests]
        if not under_way and follower.core.log.last_index <= lacking:  # the last one was rejected: a heartbeat tells
            server.tick()
            under_way += [(follower, request) for request in to(server, "n2")]
    assert follower.core.log.last_index == lacking + 1
    assert sent < 5 * lacking


def test_reordered_acknowledgements_never_decrease_match_index() -> None:
    server = leader()
    server.submit(A, B)
    server.persist()
    server.receive("n2", AppendEntriesReply(1, True, 3))
    server.receive("n2", AppendEntriesReply(1, True, 1))
    assert server.core.progress["n2"].match_index == 3
    assert server.core.commit_index == 3


def test_a_reply_to_an_earlier_leadership_is_ignored() -> None:
    server = leader((1, 1, 1))
    server.receive("n2", AppendEntriesReply(1, True, 3))
    assert server.core.progress["n2"].match_index == 0
