"""Servers brought into a role by hand, for the tests of the core."""

from __future__ import annotations

from collections.abc import Sequence

from cluster import TIMING, Server, entries
from raft_chaos.raft.state.messages import (
    AppendEntries,
    Entry,
    RequestVoteReply,
)
from raft_chaos.raft.state.timing import Timing

Terms = tuple[int, ...]


def candidate(*, log: Sequence[Entry] = (), peers: Sequence[str] = ("n2", "n3")) -> Server:
    """A server that stands for election in the term after its log's last, its vote durable and its requests sent."""
    server = Server(log=log, peers=peers)
    server.tick()
    server.persist()
    return server


def leader_of_three() -> Server:
    server = candidate()
    server.receive("n2", RequestVoteReply(1, True))
    return server


def leader(log: Terms = (), *, timing: Timing = TIMING, peers: Sequence[str] = ("n2", "n3")) -> Server:
    """The leader, in the term after its log's last one, nothing acknowledged yet, its outbox empty."""
    server = Server(log=entries(*log), timing=timing, peers=peers)
    server.tick()
    server.persist()
    for peer in peers:
        server.receive(peer, RequestVoteReply(server.core.current_term, True))
    server.persist_all()
    server.take_outbox()
    return server


def to(server: Server, peer: str) -> list[AppendEntries]:
    """The messages sent to one peer since the last call."""
    return [m for name, m in server.take_outbox() if name == peer and isinstance(m, AppendEntries)]
