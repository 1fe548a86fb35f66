"""A node's own clock: it may run fast or slow, and jump, also back. And the way from its times to those of the run.

The run has one true time (of the scheduler, or of the machine), and a node has its own: since the last change its clock
shows a linear function of the run's time. Raft's timers go by the node's clock. Whatever a node reports carries the
run's time, so that who judges it compares true times alone.

A clock that goes back is a wall clock that was set. A timer that was set before then fires late, by as much; one that a
jump forward has passed fires at once. All numbers are integers, so every machine computes the same.
"""

from __future__ import annotations

from typing import TypeAlias

from msgspec.structs import replace

from raft_chaos.invariants.events import Event
from raft_chaos.raft.core import Core
from raft_chaos.raft.replica.output import Output
from raft_chaos.raft.state.held import ReleaseCommit, ReportEvent

Segment: TypeAlias = tuple[int, int, int]
"""(run_us, shown_us, rate_ppm): at `run_us` it showed `shown_us`; from there on it gains `rate_ppm` millionths."""

RIGHT: Segment = (0, 0, 0)
MILLION = 1_000_000


class NodeClock:
    """Converts between the run's time and the node's. `change` makes it wrong, or right again."""

    __slots__ = ("is_right", "segment")

    def __init__(self, segment: Segment = RIGHT) -> None:
        self._set(segment)

    def _set(self, segment: Segment) -> None:
        self.segment = segment
        run_us, shown_us, rate_ppm = segment
        self.is_right = run_us == shown_us and not rate_ppm
        """Whether it shows the run's time; an attribute, because each step reads it several times."""

    def change(self, run_us: int, rate_ppm: int, jump_us: int) -> None:
        """At `run_us` the clock jumps by `jump_us` (negative: back); from then on it gains `rate_ppm`."""
        self._set((run_us, self.local(run_us) + jump_us, rate_ppm))

    def local(self, run_us: int) -> int:
        """The time that the clock shows at `run_us`, which is not before its last change."""
        from_us, shown_us, rate_ppm = self.segment
        return shown_us + (run_us - from_us) * (MILLION + rate_ppm) // MILLION

    def ahead_us(self, run_us: int) -> int:
        """How far it is ahead of the run's time at `run_us`; negative: behind."""
        return self.local(run_us) - run_us

    def due(self, local_us: int) -> int:
        """The moment of the run at which it first shows at least `local_us` since its last change."""
        from_us, shown_us, rate_ppm = self.segment
        if local_us <= shown_us:
            return from_us
        return from_us - (-(local_us - shown_us) * MILLION // (MILLION + rate_ppm))


class RunTimes:
    """Puts the run's times on what a replica reports with those of its own clock.

    Nearly all events are of the moment at which they are reported. Others wait in the core until a write is durable. A
    clock that has changed meanwhile shows the same time twice, or never, so it cannot tell when they were made; this
    keeps it in mind.
    """

    def __init__(self, clock: NodeClock) -> None:
        self._clock = clock
        self._made: dict[int, int] = {}  # by the identity of an event that waits: when it was made

    def before_change(self, core: Core) -> None:
        """The clock is about to change."""
        if self._clock.is_right:
            for _, held in core.held:
                if isinstance(held, ReportEvent | ReleaseCommit):
                    self._made.setdefault(id(held.event), held.event.t_us)

    def convert(self, output: Output, now_us: int) -> None:
        """Converts the times of events, and the deadline, in place. All inputs of this output came at `now_us`."""
        clock, made = self._clock, self._made
        if clock.is_right and not made:
            return
        output.deadline_us = clock.due(output.deadline_us)
        if not clock.is_right:
            for event in output.made:
                made.setdefault(id(event), now_us)
        output.events = [self._of_run(event, now_us) for event in output.events]

    def _of_run(self, event: Event, now_us: int) -> Event:
        made_us = self._made.pop(id(event), None)
        if made_us is None:
            made_us = event.t_us if self._clock.is_right else now_us
        return event if event.t_us == made_us else replace(event, t_us=made_us)
