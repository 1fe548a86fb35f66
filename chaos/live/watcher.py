"""The watcher: reads what nodes report as they report it, and keeps the judge and everybody else informed.

It tails the event files, since these are what a later check of the run will see too. Whoever waits for something in
the protocol ("when a leader is elected") waits here; whoever wants to know who leads asks here.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from chaos.schedule import AnchorEvent
from invariants.events import (
    AnyEvent,
    CommitAdvanced,
    EntryApplied,
    Role,
    RoleChanged,
    Started,
    VoteGranted,
    decode,
)

POLL_S = 0.005


@dataclass
class NodeView:
    """What is known of a node by its reports. `role` is None while it is down."""

    role: Role | None = None
    term: int = 0
    commit_index: int = 0
    applied_index: int = 0
    applied_at_us: int = 0


class Tail:
    """A growing file of JSON lines, read from where the last read ended; an unfinished line waits for its end."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._fd: int | None = None
        self._rest = b""

    def read(self) -> list[AnyEvent]:
        if self._fd is None:
            try:
                self._fd = os.open(self._file, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                return []
        events: list[AnyEvent] = []
        while data := os.read(self._fd, 1 << 20):
            *lines, self._rest = (self._rest + data).split(b"\n")
            events.extend(map(decode, lines))
        return events

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)


class Watcher:
    """Everything that the nodes have reported so far. `observe` is called with each event, in each node's own order."""

    def __init__(self, nodes: list[str], observe: Callable[[AnyEvent], None]) -> None:
        self.nodes = {node: NodeView() for node in nodes}
        self.leaders: dict[int, str] = {}  # term -> who was first reported to lead it
        self.events = 0
        self.new_commit_at_us = 0
        self.highest_commit = 0
        self._observe = observe
        self._tails: dict[str, deque[Tail]] = {node: deque() for node in nodes}
        self._down: set[str] = set()
        self._seen: dict[AnchorEvent, list[str]] = {"leader_elected": [], "vote_granted": []}
        self._waiting: list[tuple[AnchorEvent, int, asyncio.Future[str]]] = []

    # ---- what others ask ------------------------------------------------------------------------------------------

    @property
    def leader(self) -> str | None:
        """The node that leads in the highest term, among those that are up; None if there is none."""
        leading = [(view.term, node) for node, view in self.nodes.items() if view.role == "leader"]
        return max(leading)[1] if leading else None

    async def anchor(self, event: AnchorEvent, nth: int) -> str:
        """Waits until that event has happened `nth` times since the run began; returns who reported it then.

        That is the new leader, or the node that gave its vote.
        """
        seen = self._seen[event]
        if len(seen) >= nth:
            return seen[nth - 1]
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting.append((event, nth, future))
        return await future

    # ---- what it is told ------------------------------------------------------------------------------------------

    def follow(self, node: str, file: Path) -> None:
        """A new incarnation of the node will write its events to `file`."""
        self._tails[node].append(Tail(file))
        self._down.discard(node)

    def gone(self, node: str) -> None:
        """The node is down; what it wrote before is still read."""
        self._down.add(node)
        self.nodes[node].role = None

    def status(self, node: str, role: Role | None, term: int) -> None:
        """What a node that reports no events answered when asked."""
        self._took_role(node, role, term)

    async def run(self) -> None:
        """Reads on until cancelled."""
        while True:
            self.read()
            await asyncio.sleep(POLL_S)

    def read(self) -> None:
        """Reads everything that there is now. Raises msgspec.MsgspecError for a line that is no event."""
        for tails in self._tails.values():
            while tails:
                for event in tails[0].read():
                    self._take(event)
                if len(tails) == 1:
                    break
                tails.popleft().close()  # a later incarnation exists, so this one has written its last

    def close(self) -> None:
        for tails in self._tails.values():
            for tail in tails:
                tail.close()

    # ---- what it makes of it --------------------------------------------------------------------------------------

    def _take(self, event: AnyEvent) -> None:
        self.events += 1
        self._observe(event)
        node = event.node
        view = self.nodes[node]
        if isinstance(event, EntryApplied):
            view.applied_index, view.applied_at_us = event.index, event.t_us
        elif isinstance(event, CommitAdvanced):
            view.commit_index = event.index
            if event.index > self.highest_commit:
                self.highest_commit, self.new_commit_at_us = event.index, event.t_us
        elif isinstance(event, RoleChanged):
            self._took_role(node, event.role, event.term)
        elif isinstance(event, VoteGranted):
            self._happened("vote_granted", node)
        elif isinstance(event, Started):
            self.nodes[node] = NodeView("follower", event.term)

    def _took_role(self, node: str, role: Role | None, term: int) -> None:
        view = self.nodes[node]
        view.role, view.term = (None if node in self._down else role), term
        if role == "leader" and term not in self.leaders:
            self.leaders[term] = node
            self._happened("leader_elected", node)

    def _happened(self, event: AnchorEvent, reporter: str) -> None:
        seen = self._seen[event]
        seen.append(reporter)
        for waiting in [w for w in self._waiting if w[0] == event and w[1] == len(seen)]:
            self._waiting.remove(waiting)
            if not waiting[2].done():
                waiting[2].set_result(reporter)
