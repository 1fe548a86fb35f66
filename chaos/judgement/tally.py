"""The tally: counts the nodes' events, for vacuity and statistics, without keeping the events.

A simulated run reports hundreds of thousands of events per second of real time, so most events are only counted by
type. The few types with other statistics have a handler.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, get_args

from raft_chaos.invariants.events import (
    CommitAdvanced,
    Event,
    LogTruncated,
    MessageReceived,
    MessageSent,
    NodeEvent,
    RoleChanged,
    Started,
)


class Tally:
    """Counts of one run's node events, in any order.

    `observe` takes one event. A caller that calls the `handlers` itself may instead `count` many events at once, later.
    """

    __slots__ = ("_counts", "elections_us", "handlers", "highest_commit", "leader_terms", "started")

    def __init__(self) -> None:
        self._counts: Counter[type[Any]] = Counter()
        self.handlers: dict[type[Event], Callable[[Any], None]] = {
            Started: self._on_started,
            RoleChanged: self._on_role,
            CommitAdvanced: self._on_commit,
        }
        self.started: set[tuple[str, int]] = set()
        """The incarnations (node, inc) that reported `started`; used only for membership tests."""
        self.leader_terms: dict[int, int] = {}
        """The terms in which some node reported to lead, each with the first time of such a report (µs)."""
        self.elections_us: list[int] = []
        """When a node stood for election."""
        self.highest_commit = 0

    def observe(self, event: Event) -> None:
        """One event of a node."""
        kind = type(event)
        self._counts[kind] += 1
        if kind in self.handlers:
            self.handlers[kind](event)

    def count(self, happened: Iterable[object]) -> None:
        """Only counts by type. Items that are not nodes' events are allowed."""
        self._counts.update(map(type, happened))

    @property
    def events(self) -> int:
        return sum(self._counts[kind] for kind in get_args(NodeEvent))

    @property
    def truncations(self) -> int:
        """How often a log lost entries to a conflict (§5.3)."""
        return self._counts[LogTruncated]

    @property
    def messages_sent(self) -> int:
        return self._counts[MessageSent]

    @property
    def messages_received(self) -> int:
        return self._counts[MessageReceived]

    # ---- the types with other statistics --------------------------------------------------------------------------

    def _on_started(self, event: Started) -> None:
        self.started.add((event.node, event.inc))

    def _on_role(self, event: RoleChanged) -> None:
        if event.role == "leader":
            first_us = self.leader_terms.get(event.term, event.t_us)
            self.leader_terms[event.term] = min(first_us, event.t_us)
        elif event.role == "candidate":
            self.elections_us.append(event.t_us)

    def _on_commit(self, event: CommitAdvanced) -> None:
        if event.index > self.highest_commit:
            self.highest_commit = event.index
