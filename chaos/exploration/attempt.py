"""One attempt of an exploration: a schedule, how it was made, and what its run reached."""

from __future__ import annotations

import time

import msgspec

from raft_chaos.chaos.exploration.coverage import Coverage, CoverageDriver
from raft_chaos.chaos.mutants import parts_of
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.chaos.run.sim.run import VirtualRun
from raft_chaos.chaos.schedule.data import Schedule
from raft_chaos.invariants.verdict import Outcome
from raft_chaos.raft.state.timing import Timing


class Attempt(msgspec.Struct, frozen=True):
    """The schedule of attempt `number`. `parent` is the attempt from whose schedule it was made, by `way`; `drawn` says
    what was changed."""

    number: int
    schedule: Schedule
    way: str
    parent: int | None = None
    drawn: str = ""


class Reached(msgspec.Struct, frozen=True):
    """What the run of an attempt reached: each of its states with the time (µs of the run) of the first moment, in this
    order; its verdict, and the invariants that it violated. It ended at the first violation. `deliveries` says how long
    it was, in a unit that does not depend on the machine."""

    first_us: dict[int, int]
    verdict: Outcome
    violated: list[str]
    deliveries: int
    cpu_s: float


def carry_out(schedule: Schedule, timing: Timing, mutant: str | None) -> Reached:
    """Runs a schedule in `sim`, without recording it."""
    began_s, coverage = time.process_time(), Coverage()
    driver = CoverageDriver(MemoryDriver(parts_of(mutant)), coverage)
    analysis = VirtualRun(schedule, timing=timing, driver=driver, fail_fast=True).go().analysis
    return Reached(
        first_us=coverage.first_us,
        verdict=analysis.verdict,
        violated=[verdict.invariant for verdict in analysis.invariants if verdict.outcome == "violated"],
        deliveries=int(analysis.stats["deliveries"]),
        cpu_s=time.process_time() - began_s,
    )
