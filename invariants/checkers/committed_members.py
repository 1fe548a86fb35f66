"""Who belongs to the cluster (§6): the members of the latest configuration that a node has reported to be committed.

A committed configuration is never rolled back, so the one with the largest index is in force, whoever reports it, and
in whatever order the reports come.
"""

from __future__ import annotations

from collections.abc import Iterator

from raft_chaos.invariants.checkers.base import Handlers
from raft_chaos.invariants.events import CommitAdvanced, ConfigurationUsed, Members, Started


class CommittedMembers:
    """`first`: the members with which the cluster began; None: nobody knows, so every node is taken for one."""

    def __init__(self, first: Members | None = None) -> None:
        self._index = 0
        self._members = first
        self._used: dict[str, ConfigurationUsed] = {}  # by node, since it started

    def handlers(self) -> Handlers:
        return {Started: self.on_started, ConfigurationUsed: self.on_used, CommitAdvanced: self.on_commit}

    def on_started(self, event: Started) -> None:
        self._used.pop(event.node, None)

    def on_used(self, event: ConfigurationUsed) -> None:
        self._used[event.node] = event

    def on_commit(self, event: CommitAdvanced) -> None:
        used = self._used.get(event.node)
        if used is not None and self._index < used.index <= event.index:
            self._index, self._members = used.index, used.members

    @property
    def members(self) -> Members | None:
        """None: nobody knows."""
        return self._members

    def includes(self, node: str) -> bool:
        """Whether the node gets the log, with a vote or without."""
        return self._members is None or self._members.includes(node)

    def votes(self, node: str) -> bool:
        return self._members is None or self._members.votes(node)

    def all_in_use(self) -> Iterator[Members]:
        """The one that is committed, and those that nodes use, which may not be committed yet."""
        if self._members is not None:
            yield self._members
        yield from (used.members for used in self._used.values())
