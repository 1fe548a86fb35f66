"""Anchors the faults of a small schedule to events of the protocol, where this makes the failure more frequent.

A fault at a fixed time hits the cluster in a different state in each run. An anchored fault ("20 ms after the first
leader was elected") hits the same point of the protocol in every run. An anchor is judged by how many simulated runs
with the delays of live (`chaos.shrink.schedules.as_in_live`) fail.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from msgspec.structs import replace

from raft_chaos.chaos.mutants import parts_of
from raft_chaos.chaos.run.nodes.driver import Driver
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.chaos.run.sim.run import VirtualRun
from raft_chaos.chaos.schedule.data import AnchorEvent, Fault, Schedule, When
from raft_chaos.chaos.shrink.schedules import TRIALS, ScheduleCandidate, as_in_live
from raft_chaos.chaos.shrink.search import BudgetEndedError, Search
from raft_chaos.invariants.events import FaultInjected
from raft_chaos.raft.state.timing import Timing

SEEDS = 20


@dataclass(frozen=True)
class Anchored:
    """The anchored schedule and the one without anchors (`timed`). `before` and `after` are how many of `SEEDS` runs
    of `timed` and of `schedule` fail."""

    schedule: Schedule
    timed: Schedule
    before: int
    after: int


def anchor(candidate: ScheduleCandidate, search: Search[ScheduleCandidate, Schedule]) -> Anchored | None:
    """Gives each fault at a fixed time the anchor that makes most runs fail. Prefers an anchor to a time if equal.

    When the budget ends, returns the best result so far; None if nothing was measured by then.
    """
    best, before = candidate.schedule, -1
    try:
        before = most = failing(candidate, search)
        for fault in best.faults:
            for when in _anchors(replace(candidate, schedule=best), fault):
                faults = [replace(one, when=when) if one.id == fault.id else one for one in best.faults]
                tied = replace(best, faults=faults)
                if (now := failing(replace(candidate, schedule=tied), search, most)) >= most:
                    best, most = tied, now
    except BudgetEndedError:
        if before < 0:
            return None
    return Anchored(best, candidate.schedule, before, most)


def failing(candidate: ScheduleCandidate, search: Search[ScheduleCandidate, Schedule], fewest: int = 0) -> int:
    """In how many of `SEEDS` runs it fails, or less than `fewest` as soon as that is certain.

    These seeds differ from those of the search for the schedule.
    """
    schedules = [as_in_live(candidate.schedule, TRIALS + number) for number in range(1, SEEDS + 1)]
    trials = [replace(candidate, schedule=schedule, seeds=1, trials=()) for schedule in schedules]
    return sum(search.all(trials, may_hold=SEEDS - fewest))


def _anchors(candidate: ScheduleCandidate, fault: Fault) -> Iterator[When]:
    """For each kind of anchor event, the last one before the fault was injected."""
    if fault.when.at_us is None:
        return
    driver = MemoryDriver(parts_of(candidate.mutant))
    run = _Watched(candidate.schedule, candidate.timing, driver, candidate.invariant)
    run.go()
    struck_us = next(
        (e.t_us for e in run.trace.harness_events if isinstance(e, FaultInjected) and e.fault == fault.id), None
    )
    if struck_us is None:
        return
    last: dict[AnchorEvent, tuple[int, int]] = {}
    for event, number, at_us in run.passed:
        if at_us <= struck_us:
            last[event] = (number, at_us)
    for event, (number, at_us) in last.items():
        yield When(on=event, nth=number, after_us=struck_us - at_us)


class _Watched(VirtualRun):
    """A run that records its anchor events as (event, number, time in µs)."""

    def __init__(self, schedule: Schedule, timing: Timing, driver: Driver, until: str) -> None:
        super().__init__(schedule, timing=timing, driver=driver, until=until)
        self.passed: list[tuple[AnchorEvent, int, int]] = []

    def _happened(self, event: AnchorEvent, number: int, reporter: str) -> None:
        self.passed.append((event, number, self.scheduler.now_us))
        super()._happened(event, number, reporter)
