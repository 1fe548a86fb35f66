"""leadership_transfer: a leader tells only a node that has all of its log to stand for election.

A leader hands over by TimeoutNow (Ongaro's thesis, §3.10). The target stands at once, and the leader steps down when it
hears of that. If the target's log is behind, others refuse it: nobody leads for a while, and in the end another node
than the one that was asked for; or it wins votes of nodes that are as far behind, and entries are lost that the leader
had taken. No other invariant sees that: safe it is all the same.

So, in one leadership, whoever gets a TimeoutNow must have acknowledged all of the leader's log.

Why no correct node is convicted: a leader's log only grows, and what it has reported of it is never more than it has.
So a target that has acknowledged all of it has acknowledged all that was reported. Acknowledgements count by their
term; that they arrived is reported before what they caused. Both are in the leader's own order.
"""

from __future__ import annotations

from collections.abc import Mapping

from raft_chaos.invariants.checkers.base import Checker, Handlers, who
from raft_chaos.invariants.checkers.messages import REPLIES, when_received, when_sent
from raft_chaos.invariants.checkers.node_logs import ReportedLog
from raft_chaos.invariants.events import Event, MessageReceived, MessageSent, RoleChanged, Started

TIMEOUT_NOW = "TimeoutNow"


class LeadershipTransfer(Checker):
    """A TimeoutNow comes from a leader, and goes to a node that has acknowledged the whole log of this leader."""

    invariant = "leadership_transfer"
    rule = "A leader that hands over brings the target's log up to its own before it sends TimeoutNow (thesis, §3.10)."
    nothing_judged = "no leader handed over"
    only_if_judged = True

    def __init__(self, logs: Mapping[str, ReportedLog]) -> None:
        super().__init__()
        self._logs = logs
        self._leading: dict[str, RoleChanged] = {}
        self._acknowledged: dict[str, dict[str, MessageReceived]] = {}  # leader -> by follower, the farthest

    def handlers(self) -> Handlers:
        return {
            Started: self._on_started,
            RoleChanged: self._on_role,
            **when_received(self._on_received, *REPLIES),
            **when_sent(self._on_sent, TIMEOUT_NOW),
        }

    def _on_started(self, event: Started) -> None:
        self._leading.pop(event.node, None)

    def _on_role(self, event: RoleChanged) -> None:
        self._leading.pop(event.node, None)
        if event.role == "leader":
            self._leading[event.node] = event
            self._acknowledged[event.node] = {}

    def _on_received(self, event: MessageReceived) -> None:
        if event.match_index and (led := self._leading.get(event.node)) is not None and event.term == led.term:
            known = self._acknowledged[event.node]
            before = known.get(event.sender)
            if before is None or event.match_index > before.match_index:
                known[event.sender] = event

    def _on_sent(self, event: MessageSent) -> None:
        self.judged += 1
        led = self._leading.get(event.node)
        if led is None:
            self.violate(f"{who(event)} sent {event.to} a TimeoutNow, and does not lead", event)
            return
        last_index = len(self._logs[event.node])
        acknowledged = self._acknowledged[event.node].get(event.to)
        has = acknowledged.match_index if acknowledged is not None else 0
        if has < last_index:
            shown: list[Event] = [led, *([acknowledged] if acknowledged is not None else [])]
            self.violate(
                f"{who(event)} told {event.to} to stand for election, which had acknowledged entries up to {has} of "
                f"{last_index} in this term ({led.term})",
                *shown,
                event,
            )
