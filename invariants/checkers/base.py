"""What a checker is: handlers by event type, a count of what was judged, and the violations found so far.

A checker observes events one by one. Each node's events come in that node's own order, and the nodes are interleaved in
any way. The verdict must not depend on the interleaving. So a checker remembers the first event about each fact ("who
led term 3") and compares every later one with it: if any two differ, one of them differs from the first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, TypeAlias

from raft_chaos.invariants.events import Event
from raft_chaos.invariants.verdict import Outcome, Verdict, Violation

KEPT_VIOLATIONS = 5
"""How many violations of one invariant are kept with their witness. All violations are counted."""

Handlers: TypeAlias = dict[type[Event] | tuple[type[Event], str], Callable[[Any], None]]
"""The method to call for each type of event, or for messages of one type (`messages`). The checker does not receive
others."""


class Checker:
    """One invariant: its name, the paper's rule in one sentence, and the reason to give if nothing could be judged."""

    invariant: ClassVar[str]
    rule: ClassVar[str]
    nothing_judged: ClassVar[str]
    goes_by_time: ClassVar[bool] = False
    """Whether it compares times, which mean nothing where a run's steps are played one by one."""
    only_if_judged: ClassVar[bool] = False
    """Whether there is no verdict where nothing was judged: most runs have nothing of the kind, and lack nothing."""

    def __init__(self) -> None:
        self.judged = 0
        self.violations: list[Violation] = []
        self.violation_count = 0

    def handlers(self) -> Handlers:
        """The methods to call, by type of event."""
        return {}

    @property
    def applies(self) -> bool:
        """Whether there is a verdict at all: False for a source of events that the run does not have, and for a rule by
        which it owed nothing. Asked after `verdict`."""
        return self.judged > 0 or self.violation_count > 0 or not self.only_if_judged

    def violate(self, message: str, *witness: Any, rule: str | None = None) -> None:
        """Counts a violation, and keeps it if it is one of the first `KEPT_VIOLATIONS`. A None among the witnesses is
        left out: a report that nobody has, of what a snapshot replaced, or of what never ended."""
        self.violation_count += 1
        shown = tuple(event for event in witness if event is not None)
        if len(self.violations) < KEPT_VIOLATIONS:
            self.violations.append(Violation(self.invariant, message, rule or self.rule, shown))

    def note(self) -> str:
        """A remark to add to the verdict's reason, or ""."""
        return ""

    def verdict(self) -> Verdict:
        """The verdict on everything observed so far."""
        if self.violation_count:
            return self.conclude("violated", self.note())
        if not self.judged:
            return self.conclude("unknown", "; ".join(filter(None, (self.nothing_judged, self.note()))))
        return self.conclude("valid", self.note())

    def conclude(self, outcome: Outcome, reason: str) -> Verdict:
        return Verdict(self.invariant, outcome, self.judged, reason, tuple(self.violations), self.violation_count)


def who(event: Event) -> str:
    """The node that reported an event, as text for a message."""
    return f"{event.node} (incarnation {event.inc})"
