"""The position of a moment. Order is exact; distance grows with the logarithm of time, so long gaps are drawn short.

On a linear scale, a write and a read of one millisecond each, half a second apart, would be two dots far apart.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise
from math import log2

from raft_chaos.reports.window.content import Bar

LONGEST_STEP = 6.0
"""The longest gap is drawn this many times as long as the shortest."""


class Axis:
    """Maps moments, and times of the clock, to positions from 0 to `width`."""

    def __init__(self, bars: Sequence[Bar], width: float) -> None:
        self.width = width
        clocks: dict[int, int | None] = {}
        for bar in bars:
            clocks[bar.operation.called] = bar.place.called_clock
            if bar.operation.returned is not None:
                clocks[bar.operation.returned] = bar.place.returned_clock
        self._moments = sorted(clocks)
        times = [clocks[moment] for moment in self._moments]
        steps = _steps(times)
        whole = sum(steps) or 1.0
        self._places = [0.0]
        for step in steps:
            self._places.append(self._places[-1] + step * width / whole)
        self._clocks = [clock for clock in times if clock is not None]
        self._timed = len(self._clocks) == len(times) and self._clocks == sorted(self._clocks)

    def at(self, moment: float) -> float:
        """The position of a call or return of one of the bars; the right edge for an operation that never returned."""
        return self.width if moment == float("inf") else self._places[bisect_left(self._moments, moment)]

    def at_clock(self, clock: int | None) -> float:
        """The position of a time. None is the end of the run; a time outside the window gets the edge."""
        if clock is None or not self._timed:
            return self.width
        clocks, places = self._clocks, self._places
        right = bisect_right(clocks, clock)
        if right == 0:
            return 0.0
        if right == len(clocks):
            return self.width
        before, after = clocks[right - 1], clocks[right]
        return places[right - 1] + (clock - before) / (after - before) * (places[right] - places[right - 1])


def _steps(clocks: Sequence[int | None]) -> list[float]:
    """The distances of neighbours; all equal if there is no clock, or if all its times are equal."""
    gaps = [after - before if before is not None and after is not None else 0 for before, after in pairwise(clocks)]
    shortest = min((gap for gap in gaps if gap > 0), default=1)
    return [min(LONGEST_STEP, 1 + log2(max(gap, shortest) / shortest) / 2) for gap in gaps]
