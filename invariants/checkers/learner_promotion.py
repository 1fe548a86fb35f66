"""learner_promotion: a leader gives a learner a vote only once that has caught up.

A new member first gets the log as a learner (Ongaro's thesis, §4.2.1): with a vote and without the log it would count
in majorities, and all would wait for it. So the leader promotes it only once it has all entries, but for those of an
election timeout. A learner that was silent for an election timeout may lack any number of entries again: what it had
acknowledged by then does not count.

So whoever is promoted must have acknowledged the log that its leader had when it first answered after the last time
that it was silent for the shortest election timeout; or, if it never was, when it became a learner of this leader.

Why no correct node is convicted:
- A round of catching up that began before the silence was longer than an election timeout, so another one began after
  it, and the learner must have ended that. What the leader has reported of its log is never more than it has.
- All of it is in the leader's own order, and by the time of its inputs. An answer that comes at the time of the
  promotion or later says nothing about it.
- What a node begins to use, it reports at once, but that it leads no longer only once its term is durable. So a
  promotion is judged when its entry, of the leader's own term, is durable in the same leadership.
- A leader whose clock is wrong counts that time wrongly: what such a time touches is not judged, and in real time no
  leader whose clock was ever wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from raft_chaos.invariants.checkers.base import Checker, Handlers, who
from raft_chaos.invariants.checkers.configuration import Configuration
from raft_chaos.invariants.checkers.disturbed import RightClocks
from raft_chaos.invariants.checkers.messages import REPLIES, when_received
from raft_chaos.invariants.checkers.node_logs import ReportedLog
from raft_chaos.invariants.events import (
    ConfigurationUsed,
    EntryAppended,
    Event,
    Members,
    MessageReceived,
    RoleChanged,
    Started,
)
from raft_chaos.invariants.pace import Pace
from raft_chaos.invariants.verdict import Verdict

TOLERANCE_US = 1_000


@dataclass(slots=True)
class _Learner:
    """What a leader knows about a learner: when it answered last, what it must acknowledge (`goal`) since `goal_us`,
    and what it has. `since` is the answer after a silence; None if there was none."""

    heard_us: int
    goal: int
    goal_us: int
    since: MessageReceived | None = None
    has: int = 0


@dataclass(frozen=True, slots=True)
class _Promotion:
    """A promotion that seems too early; it is judged when all faults of clocks are known."""

    message: str
    from_us: int
    shown: tuple[Event, ...]


@dataclass(slots=True)
class _Leading:
    """A leadership: its learners, and by index of the entry what it promoted too early."""

    began: RoleChanged
    learners: dict[str, _Learner] = field(default_factory=dict)
    early: dict[int, list[_Promotion]] = field(default_factory=dict)


class LearnerPromotion(Checker):
    """A learner that gets a vote has caught up. Judged for our own Raft alone, whose timeouts are known."""

    invariant = "learner_promotion"
    goes_by_time = True
    rule = "A new member gets the log first, and its vote once it has caught up (thesis, §4.2.1)."
    nothing_judged = "no learner was promoted"
    only_if_judged = True

    def __init__(self, pace: Pace | None, logs: Mapping[str, ReportedLog], configuration: Configuration) -> None:
        super().__init__()
        self._shortest_us = pace.election_timeout_us[0] if pace is not None else 0
        self._logs = logs
        self._first = configuration.first
        self._members: dict[str, Members] = {}  # those that each node uses
        self._leading: dict[str, _Leading] = {}
        self._clocks = RightClocks()
        self._early: list[_Promotion] = []

    def handlers(self) -> Handlers:
        if not self._shortest_us:
            return {}
        return {
            **self._clocks.handlers(),
            **when_received(self._on_received, *REPLIES),
            Started: self._on_started,
            RoleChanged: self._on_role,
            ConfigurationUsed: self._on_used,
            EntryAppended: self._on_appended,
        }

    def _on_started(self, event: Started) -> None:
        self._leading.pop(event.node, None)
        self._members.pop(event.node, None)

    def _on_role(self, event: RoleChanged) -> None:
        self._leading.pop(event.node, None)
        if event.role == "leader":
            led = self._leading[event.node] = _Leading(event)
            self._follow(led, self._members.get(event.node, self._first), event)

    def _follow(self, led: _Leading, members: Members, event: Event) -> None:
        """Keeps what is known about each learner, and begins with those that have become one."""
        goal = len(self._logs[event.node])
        led.learners = {
            node: led.learners.get(node) or _Learner(event.t_us, goal, event.t_us) for node in members.learners
        }

    def _on_used(self, event: ConfigurationUsed) -> None:
        before = self._members.get(event.node, self._first)
        self._members[event.node] = event.members
        led = self._leading.get(event.node)
        if led is None:
            return
        for node in before.learners:
            if node in event.members.voters and (learner := led.learners.get(node)) is not None:
                self.judged += 1
                if learner.has < learner.goal and learner.goal_us < event.t_us:
                    led.early.setdefault(event.index, []).append(_too_early(led, node, learner, event))
        self._follow(led, event.members, event)

    def _on_received(self, event: MessageReceived) -> None:
        led = self._leading.get(event.node)
        if led is None or (learner := led.learners.get(event.sender)) is None:
            return
        if event.t_us - learner.heard_us >= self._shortest_us + TOLERANCE_US:
            learner.goal, learner.goal_us, learner.since = len(self._logs[event.node]), event.t_us, event
        learner.heard_us = event.t_us
        if event.term == led.began.term:
            learner.has = max(learner.has, event.match_index)

    def _on_appended(self, event: EntryAppended) -> None:
        if event.members is None or (led := self._leading.get(event.node)) is None:
            return
        early = led.early.pop(event.index, [])
        if event.term == led.began.term:
            self._early += early

    def verdict(self) -> Verdict:
        """All faults of clocks are known by now."""
        for promotion in [*self._early]:
            used = promotion.shown[-1]
            if self._clocks.counted(used.node, promotion.from_us, used.t_us):
                self._early.remove(promotion)
                self.violate(promotion.message, *promotion.shown)
        return super().verdict()


def _too_early(led: _Leading, node: str, learner: _Learner, used: ConfigurationUsed) -> _Promotion:
    since = "answered after a silence" if learner.since is not None else "became a learner"
    message = (
        f"{who(used)} gave {node} a vote (entry {used.index}: {used.members}), which had acknowledged entries up to "
        f"{learner.has} in this term ({led.began.term}); the log had {learner.goal} when it {since}"
    )
    shown = (led.began, *([learner.since] if learner.since is not None else []), used)
    return _Promotion(message, led.began.t_us, shown)
