"""The core and the state machine together: which entry an answer names."""

from __future__ import annotations

from zlib import crc32

from cluster import Server, command
from raft_chaos.invariants.events import EntryAppended, EntryApplied
from raft_chaos.raft.replica.command import Command, encode_command
from raft_chaos.raft.replica.machine import Machine, Result
from raft_chaos.raft.replica.output import Reply
from raft_chaos.raft.state.log import Log
from raft_chaos.raft.state.messages import (
    AppendEntries,
    AppendEntriesReply,
    Entry,
    InstallSnapshot,
    RequestVoteReply,
)


def leading(server: Server) -> Server:
    """Alone in its cluster, it leads as soon as it has stood and its vote is durable."""
    server.tick()
    server.persist_all()
    assert server.leads()
    return server


def test_a_command_that_a_client_repeats_is_answered_with_the_entry_that_applied_it() -> None:
    server = leading(Server(peers=()))
    once = encode_command(Command("append", "x", "a", None, "c", 1))
    server.submit(once)
    server.persist_all()
    [first] = server.replies
    server.crash()
    server.start()
    leading(server)
    assert server.core.current_term > first.term
    server.submit(once, encode_command(Command("get", "x")))
    server.persist_all()
    again, read = server.replies[1:]
    assert (again.index, again.term, again.result) == (first.index, first.term, first.result)
    assert (read.index, read.term) == (server.core.last_applied, server.core.current_term)
    assert read.result is not None and read.result.value == ["a"]


def test_a_client_whose_entry_was_replaced_gets_an_unknown_outcome() -> None:
    server = leading(Server(peers=()))
    replica = server.replica
    assert replica is not None
    mine = encode_command(Command("put", "x", "1"))
    server.submit(mine)
    index = server.core.log.last_index
    replica._waiting[index] = (server.core.current_term - 1, b"asked in an earlier term", 0)
    server.persist_all()
    assert server.replies == [Reply(b"asked in an earlier term", index, server.core.current_term - 1, None)]


def test_a_node_that_reports_to_nobody_answers_as_before_and_reports_nothing_of_what_it_applies() -> None:
    told, untold = leading(Server(peers=())), leading(Server(peers=()))
    assert told.replica is not None and untold.replica is not None
    untold.replica.reports = untold.core.reports_entries = False
    for server in (told, untold):
        for asked in (Command("append", "x", "a", None, "c", 1), Command("put", "y", "b"), Command("get", "x")):
            server.submit(encode_command(asked))
            server.persist_all()
    assert untold.replies == told.replies
    assert untold.replica.machine.snapshot() == told.replica.machine.snapshot()
    assert untold.replica.machine.digest == told.replica.machine.digest
    for kind in (EntryAppended, EntryApplied):
        assert [event.index for event in told.reported(kind)] == [1, 2, 3, 4]
        assert [event.index for event in untold.reported(kind)] == [1]  # the no-op, before


def stepped_down() -> tuple[Server, list[Entry]]:
    """n1 led in term 1. The first entry of its client is committed, the second is not, and neither is durable here."""
    server = Server()
    server.tick()
    server.persist_all()
    server.receive("n2", RequestVoteReply(1, True))
    server.submit(command("a"))
    server.submit(command("b"))
    log = [server.core.log.entry(index) for index in (1, 2, 3)]
    for voter in ("n2", "n3"):
        server.receive(voter, AppendEntriesReply(1, True, 2))
    assert (server.core.commit_index, server.core.last_applied) == (2, 0)
    server.receive("n2", AppendEntries(2, 2, 1, 2, []))
    assert not server.leads()
    return server, log


def test_a_leader_that_steps_down_still_answers_what_was_committed() -> None:
    server, _ = stepped_down()
    assert server.replies == [Reply(command("b"), 3, 1, None)], "the new leader may have another entry there"
    server.persist_all()
    assert server.replies[1:] == [Reply(command("a"), 2, 1, Result(True))]
    assert server.replica is not None and server.replica.waiting == 0


def test_what_a_snapshot_replaces_has_no_answer() -> None:
    server, log = stepped_down()
    machine, digests = Machine(), Log()
    for index, entry in enumerate(log, 1):
        machine.apply(entry.command, (index, entry.term))
        digests.append(entry, 0)
    data = machine.snapshot()
    server.receive("n2", InstallSnapshot(2, 3, 1, digests.digest(3), len(data), crc32(data), 0, data))
    server.persist_all()
    assert server.core.last_applied == 3
    assert server.replies[1:] == [Reply(command("a"), 2, 1, None)]
    assert server.replica is not None and server.replica.waiting == 0
