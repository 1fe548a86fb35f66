"""How much a run may make the harness do: a cluster that sends without end must not keep it at work without end.

The bounds grow with the run, and are 20 to 50 times what a correct cluster needs. A run that meets one ends there: it
is unknown, unless something was violated before.
"""

from __future__ import annotations

import msgspec

from raft_chaos.chaos.schedule.data import Schedule

LEAST = 1_000_000
PER_NODE_AND_SECOND = 5_000
PER_NODE_AND_OPERATION = 200
"""A correct node reports about 100 events a second without clients, and 10 for each operation."""

MOST_WAITING = 500_000
"""Frames, timers and writes that are under way in the simulator: about 0.2 GB. A correct cluster has a few
hundred."""


class Bounds(msgspec.Struct, frozen=True):
    """The most events that the nodes of a run may report; in virtual time also the most steps that it may take, and the
    most that may be under way at once."""

    events: int
    waiting: int = MOST_WAITING

    def met(self, *, events: int = 0, steps: int = 0, waiting: int = 0) -> str:
        """The sentence that says which bound is met; "" if none is."""
        if events >= self.events:
            return f"its nodes reported {self.events} events, which is the bound; --max-events allows more"
        if steps >= self.events:
            return f"it took {self.events} steps, which is the bound; --max-events allows more"
        if waiting >= self.waiting:
            return f"{self.waiting} frames, timers and writes were under way at once, which is the bound"
        return ""


def bounds_of(schedule: Schedule, max_events: int | None = None) -> Bounds:
    """The bounds of a run of this schedule. `max_events` replaces the bound of events and steps."""
    if max_events is not None:
        return Bounds(max_events)
    header = schedule.header
    seconds = (header.safety_until_us + header.liveness_for_us) // 1_000_000
    of_a_node = PER_NODE_AND_SECOND * seconds + PER_NODE_AND_OPERATION * len(schedule.operations)
    return Bounds(LEAST + len(header.nodes) * of_a_node)
