"""A peer that lies, against a real node process: it is dropped with one log line, and the node goes on unchanged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from node_process import Caller, NodeProcess, eventually
from raft_chaos.raft.network.codec import HEADER_BYTES, MAX_FRAME, PROTOCOL_VERSION, framed
from raft_chaos.raft.replica.command import Command, encode_command
from raft_chaos.raft.state.messages import (
    MAX_COMMAND_BYTES,
    MAX_ENTRIES,
    AppendEntries,
    AppendEntriesReply,
    Entry,
    Message,
    RequestVote,
    RequestVoteReply,
)

PUT = encode_command(Command("put", "x", "1"))


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    with NodeProcess(tmp_path_factory.mktemp("node")) as running:
        yield running


@pytest.fixture
def leader(node: NodeProcess) -> Iterator[tuple[NodeProcess, int]]:
    """The node as a leader, and its term."""
    with Caller(node.raft_port) as voter:
        voter.says_hello("n3")
        yield node, node.becomes_leader(voter)


TO_A_LEADER: dict[str, tuple[Callable[[int], Message], str]] = {
    "an acknowledgement of what does not exist": (lambda term: AppendEntriesReply(term, True, 10**9), "1000000000"),
    "an acknowledgement of one entry too many": (lambda term: AppendEntriesReply(term, True, 10_000), "entry 10000"),
    "the largest term": (lambda _: RequestVote(2**64 - 1, 0, 0), "malformed"),
    "the largest term of a reply": (lambda _: RequestVoteReply(2**64 - 1, True), "malformed"),
    "a term that leaves no other": (lambda _: RequestVote(2**63 - 1, 0, 0), "term 9223372036854775807"),
    "a negative prev_log_index": (lambda term: AppendEntries(term + 1, -1, 0, 0, []), "malformed"),
    "a negative commit index": (lambda term: AppendEntries(term + 1, 0, 0, -1, []), "malformed"),
    "a negative match_index": (lambda term: AppendEntriesReply(term, True, -1), "malformed"),
    "a negative hint": (lambda term: AppendEntriesReply(term, False, 0, 1, -5, 1), "malformed"),
    "a negative last_log_index": (lambda term: RequestVote(term + 1, -1, 0), "malformed"),
    "an undecodable command": (lambda term: AppendEntries(term + 1, 0, 0, 1, [Entry(term + 1, b"\xc1")]), "decoded"),
    "a command that is no command": (lambda term: AppendEntries(term + 1, 0, 0, 1, [Entry(1, b"\x2a")]), "decoded"),
    "a command of unknown operation": (
        lambda term: AppendEntries(term + 1, 0, 0, 1, [Entry(term + 1, msgspec.msgpack.encode(["fly", "x"]))]),
        "decoded",
    ),
    "a command that no frame can hold again": (
        lambda term: AppendEntries(term + 1, 0, 0, 1, [Entry(term + 1, bytes(MAX_COMMAND_BYTES + 1))]),
        "malformed",
    ),
    "more entries than a node sends": (
        lambda term: AppendEntries(term + 1, 0, 0, 0, [Entry(term + 1, b"")] * (MAX_ENTRIES + 1)),
        "malformed",
    ),
    "terms that decrease": (
        lambda term: AppendEntries(term + 1, 0, 0, 0, [Entry(term + 1, PUT), Entry(term, PUT)]),
        "contradicts itself",
    ),
    "an entry from a later term": (
        lambda term: AppendEntries(term + 1, 0, 0, 0, [Entry(2**62, PUT)]),
        "contradicts itself",
    ),
}


@pytest.mark.parametrize(("forged", "said"), TO_A_LEADER.values(), ids=TO_A_LEADER)
def test_a_forged_message_ends_its_connection_and_nothing_else(
    leader: tuple[NodeProcess, int], forged: Callable[[int], Message], said: str
) -> None:
    node, term = leader
    log, complaints = node.ask("/log"), len(node.complaints)
    with Caller(node.raft_port) as liar:
        liar.says_hello()
        liar.sends_bytes(liar.frame(forged(term)))
        assert liar.is_dropped()
    assert node.process.poll() is None, node.stderr[-2000:]
    assert (node.status()["role"], node.status()["term"]) == ("leader", term)
    assert node.ask("/log")[1]["entries"] == log[1]["entries"]
    (line,) = node.complaints[complaints:]
    assert "closed the connection from n2: " in line
    assert said in line
    assert "Traceback" not in node.stderr


def test_committed_entries_are_not_overwritten(node: NodeProcess) -> None:
    with Caller(node.raft_port) as n2, Caller(node.raft_port) as n3:
        n2.says_hello("n2")
        n3.says_hello("n3")

        def holds_the_entry() -> bool:
            """Everything of this node's log is replaced by one entry, unless entries are committed already."""
            term = node.status()["term"] + 1
            n2.sends(AppendEntries(term, 0, 0, 1, [Entry(term, PUT)]))
            return bool(node.status()["commit_index"] >= 1)

        eventually("an entry is committed", holds_the_entry)
        before = node.ask("/log?limit=1")[1]["entries"]
        term = node.status()["term"] + 5
        n3.sends(AppendEntries(term, 0, 0, 1, [Entry(term, encode_command(Command("put", "x", "forged")))]))
        assert n3.is_dropped()
        assert "this node has committed one of term" in node.complaints[-1]
        assert node.ask("/log?limit=1")[1]["entries"] == before
        assert node.process.poll() is None


HELLO = [PROTOCOL_VERSION, "cluster", "n2", 1, b"", b""]


def changed(place: int, value: Any) -> bytes:
    return framed(msgspec.msgpack.encode(["hello", *HELLO[:place], value, *HELLO[place + 1 :]]))


HANDSHAKES: dict[str, tuple[bytes, str]] = {
    "a negative incarnation": (changed(3, -1), "malformed"),
    "a huge incarnation": (changed(3, 2**64 - 1), "malformed"),
    "a huge version": (changed(0, 2**64 - 1), "protocol version"),
    "a name of the wrong type": (changed(2, 7), "malformed"),
    "a nonce of the wrong size": (changed(4, bytes(100)), "malformed"),
    "more than 4 kB": (changed(1, "x" * 4096), "bytes was announced; the maximum is 4096"),
    "8 MB announced": (framed(bytes(MAX_FRAME))[:HEADER_BYTES], "bytes was announced; the maximum is 4096"),
    "no checksum, as in version 2": (
        b"\0\0\0\x1e\x97\xa5hello\x02\xa7cluster\xa2n2\x01",
        "protocol version 2 or older, whose frames have no checksum; this node speaks 5",
    ),
    "nothing": (b"", "no handshake within 1 s"),
    "half": (changed(0, PROTOCOL_VERSION)[:-3], "no handshake within 1 s"),
}


@pytest.mark.parametrize(("sent", "said"), HANDSHAKES.values(), ids=HANDSHAKES)
def test_a_forged_handshake_ends_its_connection_and_nothing_else(node: NodeProcess, sent: bytes, said: str) -> None:
    complaints = len(node.complaints)
    with Caller(node.raft_port) as liar:
        liar.sends_bytes(sent)
        assert liar.is_dropped()
    assert node.process.poll() is None, node.stderr[-2000:]
    (line,) = node.complaints[complaints:]
    assert "closed the connection from an unknown caller: " in line
    assert said in line
