"""The moments that a picture of the run marks: its phases, and when each violation was complete."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from raft_chaos.invariants.events import AnyEvent, Phase, PhaseStarted
from raft_chaos.invariants.verdict import Verdict, Violation
from raft_chaos.reports.text import visible


class PhaseSpan(msgspec.Struct, frozen=True, kw_only=True):
    phase: Phase
    begin_us: int
    end_us: int


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """A violation: from the first event of its witness to the last, which completed it."""

    invariant: str
    message: str
    from_us: int
    t_us: int


def phase_spans(harness: Sequence[AnyEvent], end_us: int) -> list[PhaseSpan]:
    """The phases in order; the last one reaches to `end_us`."""
    started = [event for event in harness if isinstance(event, PhaseStarted)]
    ends_us = [event.t_us for event in started[1:]] + [end_us]
    return [
        PhaseSpan(phase=event.phase, begin_us=event.t_us, end_us=max(until_us, event.t_us))
        for event, until_us in zip(started, ends_us, strict=False)
    ]


def moments(verdicts: Sequence[Verdict]) -> list[Moment]:
    """The saved violations, in order of time. One whose witness has no times is left out."""
    found = [
        Moment(
            invariant=violation.invariant,
            message=visible(violation.message),
            from_us=min(times_us),
            t_us=max(times_us),
        )
        for verdict in verdicts
        for violation in verdict.violations
        if (times_us := witness_times(violation))
    ]
    return sorted(found, key=lambda moment: (moment.t_us, moment.invariant))


def witness_times(violation: Violation) -> list[int]:
    """The times of its events. A witness is plain data if it was read from a file."""
    return [t_us for item in violation.witness if isinstance(t_us := _field(item, "t_us"), int)]


def _field(item: Any, name: str) -> Any:
    return item.get(name) if isinstance(item, dict) else getattr(item, name, None)
