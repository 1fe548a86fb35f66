"""The core and the state machine together: which entry an answer names."""

from __future__ import annotations

from cluster import Server
from raft_chaos.invariants.events import EntryAppended, EntryApplied
from raft_chaos.raft.replica.machine import Command, encode_command
from raft_chaos.raft.replica.replica import Reply


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
        for command in (Command("append", "x", "a", None, "c", 1), Command("put", "y", "b"), Command("get", "x")):
            server.submit(encode_command(command))
            server.persist_all()
    assert untold.replies == told.replies
    assert untold.replica.machine.snapshot() == told.replica.machine.snapshot()
    assert untold.replica.machine.digest == told.replica.machine.digest
    for kind in (EntryAppended, EntryApplied):
        assert [event.index for event in told.reported(kind)] == [1, 2, 3, 4]
        assert [event.index for event in untold.reported(kind)] == [1]  # the no-op, before
