"""heartbeats: a leader sends each other member something at least once in a heartbeat interval.

Figure 2 asks for heartbeats at once after the election, and again and again, "to prevent election timeouts". A follower
needs them from its own leader, whatever that sends to others. Where one gets none, it stands for election against a
leader that nothing is wrong with, or cannot win and follows nobody; with PreVote and CheckQuorum it may never get what
it lacks. No other invariant asks for them: commands keep the others busy, each election is one of a timer that has run
out, and after the healing all may be well soon.

Violated: a leader sent something to somebody, although it had sent another member neither AppendEntries nor a part of a
snapshot for longer than a heartbeat interval, since its election, or since that one is a member.

Why no correct node is convicted: a heartbeat is due to all members at the same time, an interval after the one before,
and the timer is one of the node's own inputs. What a leader sends is reported with the time by which its core acted,
whether the network drops it or not. Only what it sends shows that it still leads: the report that it has stepped down
may wait for the disk. A node that was paused or starved comes late, and one whose clock is wrong counts
time wrongly: what such a time touches is not judged. In real time a busy machine makes any node late, so only virtual
time is judged.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from raft_chaos.invariants.checkers.base import Checker, Handlers, who
from raft_chaos.invariants.checkers.configuration import Configuration
from raft_chaos.invariants.checkers.disturbed import RightClocks
from raft_chaos.invariants.checkers.messages import FROM_LEADERS, when_sent
from raft_chaos.invariants.events import (
    ConfigurationUsed,
    Members,
    MessageSent,
    RoleChanged,
    Started,
)
from raft_chaos.invariants.pace import Pace
from raft_chaos.invariants.verdict import Verdict

TOLERANCE_US = 1_000


@dataclass(slots=True)
class _Leading:
    """A leadership: when it last sent something to each member, or when that one became a member."""

    began: RoleChanged
    sent_us: dict[str, int] = field(default_factory=dict)
    in_time_until_us: int = 0
    """Before this no member has waited too long: what is sent only makes it later."""


@dataclass(frozen=True, slots=True)
class _Doubt:
    """A leader that seems late; it is judged when all pauses, and all faults of clocks, are known."""

    led: RoleChanged
    peer: str
    from_us: int
    event: MessageSent


class Heartbeats(Checker):
    """Each member hears from its leader in each heartbeat interval. Judged for our own Raft alone, whose interval is
    known, and in virtual time."""

    invariant = "heartbeats"
    goes_by_time = True
    rule = "A leader sends heartbeats to each server, and repeats them to prevent election timeouts (§5.2, Figure 2)."
    nothing_judged = "no leader sent anything in virtual time"
    only_if_judged = True

    def __init__(self, pace: Pace | None, configuration: Configuration) -> None:
        super().__init__()
        self._within_us = pace.heartbeat_us + TOLERANCE_US if pace is not None else 0
        self._nodes = configuration.nodes
        self._first = configuration.first
        self._members: dict[str, Members] = {}  # those that each node uses
        self._clocks = RightClocks()
        self._leading: dict[str, _Leading] = {}
        self._doubts: list[_Doubt] = []
        self._seen = 0

    def handlers(self) -> Handlers:
        if not self._within_us or len(self._nodes) == 1:
            return {}
        return {
            **self._clocks.handlers(),
            Started: self._on_started,
            RoleChanged: self._on_role,
            ConfigurationUsed: self._on_used,
            **when_sent(self._on_sent, *FROM_LEADERS),
        }

    def _on_started(self, event: Started) -> None:
        self._leading.pop(event.node, None)
        self._members.pop(event.node, None)

    def _on_role(self, event: RoleChanged) -> None:
        self._leading.pop(event.node, None)
        if event.role == "leader":
            led = self._leading[event.node] = _Leading(event)
            self._follow_members(led, event.t_us)

    def _on_used(self, event: ConfigurationUsed) -> None:
        self._members[event.node] = event.members
        if (led := self._leading.get(event.node)) is not None:
            self._follow_members(led, event.t_us)

    def _follow_members(self, led: _Leading, now_us: int) -> None:
        node, known = led.began.node, led.sent_us
        members = self._members.get(node, self._first)
        led.sent_us = {peer: known.get(peer, now_us) for peer in self._nodes if peer != node and members.includes(peer)}
        led.in_time_until_us = 0

    def _on_sent(self, event: MessageSent) -> None:
        if (led := self._leading.get(event.node)) is not None:
            self._look(led, event)
            if event.to in led.sent_us:
                led.sent_us[event.to] = event.t_us

    def _look(self, led: _Leading, event: MessageSent) -> None:
        """Whether a member has waited too long by now. Heartbeats to all leave at the same time, one after the other,
        so one that is due right now is not late yet."""
        if event.t_us <= led.in_time_until_us or not led.sent_us:
            return
        self._seen += 1
        peer = min(led.sent_us, key=lambda one: led.sent_us[one])
        led.in_time_until_us = led.sent_us[peer] + self._within_us
        if event.t_us > led.in_time_until_us:
            self._doubts.append(_Doubt(led.began, peer, led.sent_us[peer], event))
            led.sent_us[peer] = event.t_us  # if this once is excused, the next time may not be

    # ---- the verdict ------------------------------------------------------------------------------------------------

    def verdict(self) -> Verdict:
        """Judges from the start each time: the harness's events may have come before the nodes' or after them."""
        self.judged, self.violations, self.violation_count = 0, [], 0
        clocks = self._clocks
        if not clocks.is_virtual:
            return super().verdict()
        self.judged = self._seen
        for doubt in self._doubts:
            node, to_us = doubt.led.node, doubt.event.t_us
            if clocks.counted(node, doubt.from_us, to_us) and not clocks.held.meet(node, doubt.from_us, to_us):
                self.violate(
                    f"{who(doubt.event)}, leader of term {doubt.led.term}, had sent {doubt.peer} nothing for "
                    f"{to_us - doubt.from_us} µs; its heartbeat interval is {self._within_us - TOLERANCE_US} µs",
                    doubt.led,
                    doubt.event,
                )
        return super().verdict()
