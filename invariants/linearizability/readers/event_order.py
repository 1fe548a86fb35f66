"""Numbers the calls and returns of a history file. Only the order of these numbers matters.

Each line gets a number greater than all before it. But if only a clock orders the lines, lines with the same time are
not ordered: within a *tick* of the clock, all calls get the number of its beginning, and all returns the number of its
end. A process that returns and calls again within the tick certainly does so in this order, so its calls and returns
get numbers in between. This is done for the first such process only: one scale of numbers cannot order two processes
each with itself without ordering them with each other.
"""

from __future__ import annotations

from typing import Any, NamedTuple

LATEST = 2**63 - 1


class Unit(NamedTuple):
    """The unit of a file's times: its name, how many make a second, and by how many a time may go back.

    If several threads read the clock and then write a line each, a line may be slightly older than the one before. The
    order of lines then counts, not the times.
    """

    name: str
    ticks: int
    slip: int = 0


NO_CLOCK = Unit("", 0)


class Timestamp:
    """The time of a call or a return: its number (final when its tick is over), its line, and the clock's time."""

    __slots__ = ("clock", "line", "number")

    def __init__(self, number: int, line: int, clock: int | None) -> None:
        self.number, self.line, self.clock = number, line, clock


class EventOrder:
    """Gives timestamps to the lines of one file, in order. For each line call `on_time`, then `call` or `end`."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self._clock: int | None = None
        self._latest: int | None = None
        self._ordered = True
        self._tick: int | None = None
        self._first = self._last = 0
        self._returned: dict[Any, list[Timestamp]] = {}
        self._goes_on: tuple[Any] | None = None

    def on_time(self, clock: int | None, ordered: bool) -> str:
        """Sets the time of the next line. Returns what is wrong with it, or "".

        `ordered`: something else than the clock orders the lines.
        """
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

    def call(self, line: int, process: Any) -> Timestamp:
        """The timestamp of a call: the beginning of the tick, or after its own return for a process that continues."""
        self._begin()
        number = self._first
        if self._goes_on is None and process in self._returned:
            self._goes_on = (process,)
            del self._returned[process]
        if self._goes_on == (process,):
            self._last += 1
            number = self._last
        return Timestamp(number, line, self._clock)

    def end(self, line: int, process: Any) -> Timestamp:
        """The timestamp of a return: the end of the tick, which comes later, or now for a process that continues."""
        self._begin()
        timestamp = Timestamp(self._last, line, self._clock)
        if self._goes_on != (process,):
            self._returned.setdefault(process, []).append(timestamp)
        return timestamp

    def too_early(self, called: Timestamp, returned: Timestamp) -> str:
        """What is wrong with the clock's time of a return, or "". No operation may return before its own call."""
        if self._ordered or called.clock is None or returned.clock is None or returned.clock >= called.clock:
            return ""
        return f"ends at {returned.clock} {self.unit.name}, before its call at {called.clock}"

    def finish(self) -> None:
        """Ends the tick, which makes the numbers of its returns final."""
        for timestamps in self._returned.values():
            for timestamp in timestamps:
                timestamp.number = self._last
        self._returned.clear()
        self._goes_on = None

    def _begin(self) -> None:
        """Begins another tick of the clock, unless the line has the same time as the one before."""
        if self._ordered or self._clock != self._tick:
            self.finish()
            self._first = self._last = self._last + 1
            self._tick = self._clock
