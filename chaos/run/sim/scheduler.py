"""Virtual time: all scheduled actions, in one order.

One heap holds every scheduled action, by its time and then by the order in which it was scheduled. Time is an integer
of microseconds, and advances only when the next action is taken out; nothing waits for anything real.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any, TypeAlias

Action: TypeAlias = Callable[[Any], None]
Due: TypeAlias = tuple[int, int, Action, Any]


LAST = 1 << 62
"""More than any number of scheduled actions."""
END = 1 << 63
"""More than `LAST` and any number: the end of `run_until` comes after all that is due at the same time."""


class Scheduler:
    """The heap and the clock. An action may schedule more actions, at its own time or later."""

    __slots__ = ("_number", "heap", "now_us", "stopped")

    def __init__(self) -> None:
        self.now_us = 0
        self.heap: list[Due] = []
        self.stopped = False
        self._number = 0

    def at(self, at_us: int, action: Action, argument: Any = None) -> None:
        """Schedules `action(argument)` at `at_us` (now, if that is past), after all actions already scheduled there."""
        self._number += 1
        heapq.heappush(self.heap, (at_us if at_us > self.now_us else self.now_us, self._number, action, argument))

    def at_last(self, at_us: int, action: Action, argument: Any = None) -> None:
        """The same, but also after actions that are scheduled for that time later."""
        self._number += 1
        number = self._number + LAST
        heapq.heappush(self.heap, (at_us if at_us > self.now_us else self.now_us, number, action, argument))

    def after(self, delay_us: int, action: Action, argument: Any = None) -> None:
        self.at(self.now_us + delay_us, action, argument)

    def run_until(self, until_us: int) -> None:
        """Runs all actions due by `until_us`, and sets the time to that; ends early once `stopped` is set."""
        if self.stopped:
            return
        heap, pop = self.heap, heapq.heappop
        # The end is an entry of the heap: to look at the time of the first entry before each step costs more.
        ended: list[None] = []
        self._number += 1
        heapq.heappush(heap, (max(until_us, self.now_us), END + self._number, ended.append, None))
        while not (ended or self.stopped):
            self.now_us, _, action, argument = pop(heap)
            action(argument)

    def stop(self) -> None:
        """Ends `run_until` after the current action."""
        self.stopped = True
