"""When each node followed, stood for election and led, as it reported, and what a leader appended in its own term."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from raft_chaos.invariants.checkers.base import Handlers
from raft_chaos.invariants.events import EntryAppended, RoleChanged, Started

FOREVER_US = 1 << 62


class Leadership(NamedTuple):
    """A node led from the event `began` until `until_us`."""

    began: RoleChanged
    until_us: int


class Leaderships:
    """What each node reported to be, in its own order. A node starts as a follower that knows no leader."""

    def __init__(self) -> None:
        self.roles: defaultdict[str, list[RoleChanged | Started]] = defaultdict(list)
        self._leads_in: dict[str, int] = {}  # the nodes that lead, as far as observed, and their terms
        self._own: defaultdict[tuple[str, int], list[EntryAppended]] = defaultdict(list)

    def handlers(self) -> Handlers:
        return {Started: self._on_started, RoleChanged: self._on_role, EntryAppended: self._on_appended}

    def of(self, node: str) -> Iterator[Leadership]:
        """Each time that the node led."""
        roles = self.roles[node]
        for place, event in enumerate(roles, 1):
            if isinstance(event, RoleChanged) and event.role == "leader":
                yield Leadership(event, roles[place].t_us if place < len(roles) else FOREVER_US)

    def role_at(self, node: str, t_us: int) -> RoleChanged | Started | None:
        """What the node was at that time; None before its first report."""
        roles = self.roles[node]
        place = bisect_right(roles, t_us, key=lambda event: event.t_us)
        return roles[place - 1] if place else None

    def own_entry_beyond(self, index: int, leader: RoleChanged) -> EntryAppended | None:
        """The first entry behind `index` that the leader appended in its own term."""
        return next((one for one in self._own.get((leader.node, leader.term), ()) if one.index > index), None)

    def _on_started(self, event: Started) -> None:
        self.roles[event.node].append(event)
        self._leads_in.pop(event.node, None)

    def _on_role(self, event: RoleChanged) -> None:
        self.roles[event.node].append(event)
        if event.role == "leader":
            self._leads_in[event.node] = event.term
        else:
            self._leads_in.pop(event.node, None)

    def _on_appended(self, event: EntryAppended) -> None:
        if self._leads_in.get(event.node) == event.term:
            self._own[event.node, event.term].append(event)
