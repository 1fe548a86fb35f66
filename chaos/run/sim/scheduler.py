"""Virtual time: all scheduled actions, in one order.

One heap holds every scheduled action, by its time and then by the order in which it was scheduled. Time is an integer
of microseconds, and advances only when the next action is taken out; nothing waits for anything real.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, TypeAlias

Action: TypeAlias = Callable[[Any], None]
Due: TypeAlias = tuple[int, int, Action, Any]


LAST = 1 << 62
"""More than any number of scheduled actions."""
LOOK_EVERY = 1_000
"""After so many actions the owner may look whether the run should go on: to look after each one would cost too much."""
END = 1 << 63
"""More than `LAST` and any number: the end of `run_until` comes after all that is due at the same time."""


class Scheduler:
    """The heap and the clock. An action may schedule more actions, at its own time or later."""

    __slots__ = ("_unlooked", "heap", "look", "now_us", "scheduled", "stopped")

    def __init__(self) -> None:
        self.now_us = 0
        self.heap: list[Due] = []
        self.stopped = False
        self.scheduled = 0
        """How many actions so far; it numbers them."""
        self._unlooked = 0
        self.look: Callable[[], None] = lambda: None
        """Called after every `LOOK_EVERY` actions, whether or not the time advances. It may stop."""

    def at(self, at_us: int, action: Action, argument: Any = None) -> None:
        """Schedules `action(argument)` at `at_us` (now, if that is past), after all actions already scheduled there."""
        self.scheduled += 1
        heappush(self.heap, (at_us if at_us > self.now_us else self.now_us, self.scheduled, action, argument))

    def at_last(self, at_us: int, action: Action, argument: Any = None) -> None:
        """The same, but also after actions that are scheduled for that time later."""
        self.scheduled += 1
        number = self.scheduled + LAST
        heappush(self.heap, (at_us if at_us > self.now_us else self.now_us, number, action, argument))

    def after(self, delay_us: int, action: Action, argument: Any = None) -> None:
        self.at(self.now_us + delay_us, action, argument)

    def run_until(self, until_us: int) -> None:
        """Runs all actions due by `until_us`, and sets the time to that; ends early once `stopped` is set."""
        if self.stopped:
            return
        heap, pop = self.heap, heappop
        # The end is an entry of the heap: to look at the time of the first entry before each step costs more.
        ended: list[None] = []
        heappush(heap, (max(until_us, self.now_us), END + self.scheduled, ended.append, None))
        while not (ended or self.stopped):
            for done in range(self._unlooked, LOOK_EVERY):
                self.now_us, _, action, argument = pop(heap)
                action(argument)
                if ended or self.stopped:
                    self._unlooked = done + 1
                    break
            else:
                self._unlooked = 0
                self.look()

    def stop(self) -> None:
        """Ends `run_until` after the current action."""
        self.stopped = True
