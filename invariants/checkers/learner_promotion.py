"""learner_promotion: a leader gives a learner a vote only once that has caught up.

A new member first gets the log as a learner (Ongaro's thesis, §4.2.1): with a vote and without the log it would count
in majorities, and all would wait for it. So the leader promotes it only once it has all entries, but for those of an
election timeout. A learner that was silent for an election timeout may lack any number of entries again: what it had
acknowledged by then does not count.

So of whoever is promoted three things must hold:

1. It has acknowledged the log that its leader had when it first answered after the last time that it was silent for the
   shortest election timeout; or, if it never was, when it became a learner of this leader.
2. Since then it has acknowledged once all that its leader had had the shortest election timeout before. Otherwise each
   round of catching up took longer than that, and it may never have all that is committed.
3. It is not silent: it has answered within the shortest election timeout.

Why no correct node is convicted:
- A round of catching up that began before the silence was longer than an election timeout, so another one began after
  it, and the learner must have ended that. What the leader has reported of its log is never more than it has.
- A round that is short enough ends less than an election timeout after it began, with all that the leader had then: so
  with all that it had appended an election timeout before the end, or before the first round began, if that was later.
  What it appended, it reports only once that is durable, but with the time of then; the entry of a promotion becomes
  durable after all of that.
- An answer that does not count for the leader, since it is of an earlier term, ends no silence there, but does here.
- All of it is in the leader's own order, and by the time of its inputs. An answer that comes at the time of the
  promotion or later says nothing about it.
- What a node begins to use, it reports at once, but that it leads no longer only once its term is durable. So a
  promotion is judged when its entry, of the leader's own term, is durable in the same leadership.
- A leader whose clock is wrong counts that time wrongly: what such a time touches is not judged, and in real time no
  leader whose clock was ever wrong.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
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
    and what it has. `since` is the answer after a silence; None if there was none. `acknowledged` says since then when
    it had more, and how much."""

    heard_us: int
    goal: int
    goal_us: int
    since: MessageReceived | None = None
    has: int = 0
    acknowledged: list[tuple[int, int]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Promotion:
    """A promotion that seems too early; it is judged when all faults of clocks are known."""

    message: str
    from_us: int
    shown: tuple[Event, ...]


@dataclass(slots=True)
class _Leading:
    """A leadership: its learners, and by index of the entry whom it promoted. It has appended the entries from
    `first_index` on, at these times."""

    began: RoleChanged
    learners: dict[str, _Learner] = field(default_factory=dict)
    promoted: dict[int, list[tuple[str, _Learner, ConfigurationUsed]]] = field(default_factory=dict)
    first_index: int = 0
    appended_us: array[int] = field(default_factory=lambda: array("q"))

    def last_index(self, t_us: int) -> int:
        """The last entry that it had appended before that time; 0 if none."""
        count = bisect_left(self.appended_us, t_us)
        return self.first_index + count - 1 if count else 0


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
                led.promoted.setdefault(event.index, []).append((node, learner, event))
        self._follow(led, event.members, event)

    def _on_received(self, event: MessageReceived) -> None:
        led = self._leading.get(event.node)
        if led is None or (learner := led.learners.get(event.sender)) is None:
            return
        if event.t_us - learner.heard_us >= self._shortest_us + TOLERANCE_US:
            learner.goal, learner.goal_us, learner.since = len(self._logs[event.node]), event.t_us, event
            learner.acknowledged.clear()
        learner.heard_us = event.t_us
        if event.term == led.began.term and (event.match_index > learner.has or not learner.acknowledged):
            learner.has = max(learner.has, event.match_index)
            learner.acknowledged.append((event.t_us, learner.has))

    def _on_appended(self, event: EntryAppended) -> None:
        led = self._leading.get(event.node)
        if led is None or event.term != led.began.term:
            return
        if not led.appended_us:
            led.first_index = event.index
        led.appended_us.append(event.t_us)
        for node, learner, used in led.promoted.pop(event.index, ()):
            if (message := self._why_early(led, node, learner, used)) is not None:
                shown = (led.began, *([learner.since] if learner.since is not None else []), used)
                self._early.append(_Promotion(message, led.began.t_us, shown))

    def _why_early(self, led: _Leading, node: str, learner: _Learner, used: ConfigurationUsed) -> str | None:
        """Why this promotion is too early; None if it is not."""
        gave = f"{who(used)} gave {node} a vote (entry {used.index}: {used.members}), which had"
        in_term = f"in this term ({led.began.term})"
        silent_us = used.t_us - learner.heard_us
        if silent_us >= self._shortest_us + TOLERANCE_US:
            return f"{gave} not answered for {silent_us} µs; the shortest election timeout is {self._shortest_us} µs"
        if learner.goal_us >= used.t_us:
            return None
        if learner.has < learner.goal:
            since = "answered after a silence" if learner.since is not None else "became a learner"
            has = f"acknowledged entries up to {learner.has} {in_term}"
            return f"{gave} {has}; the log had {learner.goal} when it {since}"
        if not self._was_level(led, learner):
            has = f"not acknowledged {in_term} what the log had had the shortest election timeout before"
            return f"{gave} {has} ({self._shortest_us} µs), but at best entries up to {learner.has}"
        return None

    def _was_level(self, led: _Leading, learner: _Learner) -> bool:
        """Whether the learner has acknowledged once all that a round may have begun with that was short enough."""
        ago_us = self._shortest_us + TOLERANCE_US
        return any(has >= led.last_index(max(t_us - ago_us, learner.goal_us)) for t_us, has in learner.acknowledged)

    def verdict(self) -> Verdict:
        """All faults of clocks are known by now."""
        for promotion in [*self._early]:
            used = promotion.shown[-1]
            if self._clocks.counted(used.node, promotion.from_us, used.t_us):
                self._early.remove(promotion)
                self.violate(promotion.message, *promotion.shown)
        return super().verdict()
