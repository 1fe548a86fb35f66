"""A node's own clock in virtual time: it may run fast or slow, and jump forward.

The scheduler has the run's time; a node has its own. Its clock is a chain of linear segments: (run_us, local_us,
rate_ppm) says that at `run_us` it showed `local_us`, and that it gains `rate_ppm` millionths from there on. It never
goes backwards, like the monotonic clock that real nodes use. It uses only integers, so every machine computes the same.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TypeAlias

Segment: TypeAlias = tuple[int, int, int]

MILLION = 1_000_000


class NodeClock:
    """Converts between the run's time and the node's. A new clock is right; `change` makes it wrong."""

    __slots__ = ("is_right", "segments")

    def __init__(self, segments: list[Segment] | None = None) -> None:
        self.segments: list[Segment] = segments if segments is not None else [(0, 0, 0)]
        self.is_right = len(self.segments) == 1
        """Whether it has always shown the run's time; an attribute, because each step reads it several times."""

    def change(self, run_us: int, rate_ppm: int, jump_us: int) -> None:
        """At `run_us` the clock jumps forward by `jump_us`; from then on it gains `rate_ppm`."""
        self.segments.append((run_us, self.local(run_us) + jump_us, rate_ppm))
        self.is_right = False

    def local(self, run_us: int) -> int:
        """The time that the clock shows at `run_us`, which is not before its last change."""
        from_us, shown_us, rate_ppm = self.segments[-1]
        return shown_us + (run_us - from_us) * (MILLION + rate_ppm) // MILLION

    def run(self, local_us: int) -> int:
        """The first moment of the run at which the clock shows at least `local_us`."""
        from_us, shown_us, rate_ppm = self.segments[-1]
        if local_us >= shown_us:  # nearly always: a moment after the last change, or a deadline
            return from_us - (-(local_us - shown_us) * MILLION // (MILLION + rate_ppm))
        place = bisect_right(self.segments, local_us, key=lambda segment: segment[1]) - 1
        from_us, shown_us, rate_ppm = self.segments[place]
        run_us = from_us - (-(local_us - shown_us) * MILLION // (MILLION + rate_ppm))
        return min(run_us, self.segments[place + 1][0])  # the clock may have jumped over it
