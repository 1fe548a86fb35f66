"""When things happened, as numbers that only their order matters of.

Each line is a moment of its own, later than all before it. But where the order of lines rests on nothing but a clock,
lines of the same time have none: in a *tick* of the clock all that is called is called at its beginning, and all that
returns does so at its end. Only a process that goes on within the tick certainly does so after itself; it has moments
of its own in between. If several go on, that is the first one: two that do, each before itself but not before the
other, cannot be had on one scale of times.
"""

from __future__ import annotations

from typing import Any, NamedTuple

LATEST = 2**63 - 1


class Unit(NamedTuple):
    """The unit of a file's times: its name, how many make a second, and by how many a clock may slip back.

    Where several threads take the time and then write a line, a line may be a little older than the one before; then
    the lines are in order.
    """

    name: str
    ticks: int
    slip: int = 0


NO_CLOCK = Unit("", 0)


class Moment:
    """When a call or a return was: its number (final once its tick is over), its line, and what the clock showed."""

    __slots__ = ("clock", "line", "number")

    def __init__(self, number: int, line: int, clock: int | None) -> None:
        self.number, self.line, self.clock = number, line, clock


class Moments:
    """Gives moments to the lines of one file, in their order: first `on_time` of a line, then its `call` or `end`."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self._clock: int | None = None
        self._latest: int | None = None
        self._ordered = True
        self._tick: int | None = None
        self._first = self._last = 0
        self._returned: dict[Any, list[Moment]] = {}
        self._goes_on: tuple[Any] | None = None

    def on_time(self, clock: int | None, ordered: bool) -> str:
        """What is wrong with the time that a line gives for itself, "" for nothing. `ordered`: the order of the lines
        rests on something else."""
        if clock is not None and not -LATEST <= clock <= LATEST:
            return f"the time {str(clock)[:20]}... {self.unit.name}: expected a number of at most 64 bits"
        if clock is not None and not ordered:
            if self._latest is not None and clock < self._latest - self.unit.slip:
                return (
                    f"time goes back from {self._latest} to {clock} {self.unit.name}; expected lines in order of time"
                )
            self._latest = clock if self._latest is None else max(clock, self._latest)
        self._clock, self._ordered = clock, ordered or clock is None
        return ""

    def call(self, line: int, process: Any) -> Moment:
        """The beginning of the tick; for the process that goes on in it, right after its own return."""
        self._begin()
        number = self._first
        if self._goes_on is None and process in self._returned:
            self._goes_on = (process,)
            del self._returned[process]
        if self._goes_on == (process,):
            self._last += 1
            number = self._last
        return Moment(number, line, self._clock)

    def end(self, line: int, process: Any) -> Moment:
        """The end of the tick, which comes later; for the process that went on in it, now."""
        self._begin()
        moment = Moment(self._last, line, self._clock)
        if self._goes_on != (process,):
            self._returned.setdefault(process, []).append(moment)
        return moment

    def too_early(self, called: Moment, returned: Moment) -> str:
        """What is wrong with a return by its clock, "" for nothing: lines may be out of order, but no operation is."""
        if self._ordered or called.clock is None or returned.clock is None or returned.clock >= called.clock:
            return ""
        return f"ends at {returned.clock} {self.unit.name}, before its call at {called.clock}"

    def finish(self) -> None:
        """The tick is over."""
        for moments in self._returned.values():
            for moment in moments:
                moment.number = self._last
        self._returned.clear()
        self._goes_on = None

    def _begin(self) -> None:
        """The line at hand begins another tick of the clock, unless it has the time of the one before."""
        if self._ordered or self._clock != self._tick:
            self.finish()
            self._first = self._last = self._last + 1
            self._tick = self._clock
