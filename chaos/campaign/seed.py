"""Runs one seed: its result, and for a failure its run directory.

run_seed            one seed
run_seed_compared   the same, and beside it the same schedule with our Raft without the mistake
"""

from __future__ import annotations

from pathlib import Path

from raft_chaos.chaos.campaign.seed_result import SeedResult
from raft_chaos.chaos.mutants import parts_of
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.chaos.run.settings import Settings, describe, new_run_dir
from raft_chaos.chaos.run.sim.run import Simulated, VirtualRun
from raft_chaos.chaos.run.sim.world import run_sim
from raft_chaos.chaos.schedule.data import Schedule
from raft_chaos.invariants.verdict import broken

COMPARED = ("elections", "max_term")
"""The statistics that a comparison keeps of the run without the mistake."""


class NotDeterministicError(Exception):
    """The same seed gave two different runs, so its trace proves nothing: a mistake of the harness or of the node."""


def run_seed(settings: Settings, seed: int, out: Path | None) -> SeedResult:
    """Runs one seed without recording it; runs a seed that is not valid again, and records that under `out`.

    Raises NotDeterministicError if the second run is different.
    """
    schedule = settings.make_schedule(seed)
    simulated = _simulated(settings, schedule, settings.mutant)
    analysis = simulated.analysis
    found = broken(analysis.invariants)
    result = SeedResult(
        seed=seed,
        verdict=analysis.verdict,
        violated=[verdict.invariant for verdict in found],
        unknown=[verdict.invariant for verdict in analysis.invariants if verdict.outcome == "unknown"],
        vacuous=analysis.vacuous,
        trace_sha256=simulated.trace_sha256,
        stats=analysis.stats,
        run=None,
        repro="",
        found=found[0].violations[0].message if found and found[0].violations else "",
        exposure=list(analysis.exposure),
    )
    if analysis.verdict != "valid" and out is not None:
        run = new_run_dir(out, seed)
        info = describe(settings, seed, schedule, run)
        info = run_sim(schedule, settings.timing, settings.mutant, run, info, max_events=settings.max_events)
        if info.trace_sha256 != simulated.trace_sha256:
            raise NotDeterministicError(
                f"seed {seed} had the trace {simulated.trace_sha256} and then {info.trace_sha256}, "
                f"which is recorded in {run.path}; `raft-chaos selfcheck --seeds {seed}` shows where they part"
            )
        result.run, result.repro = str(run.path), info.repro
    return result


def run_seed_compared(settings: Settings, seed: int, out: Path | None) -> SeedResult:
    """Runs one seed as `run_seed` does, and its schedule once more with our Raft without the mistake.

    The second run has no verdict that counts, and leaves no directory.
    """
    result = run_seed(settings, seed, out)
    stats = _simulated(settings, settings.make_schedule(seed), None).analysis.stats
    result.baseline = {name: int(stats[name]) for name in COMPARED}
    return result


def _simulated(settings: Settings, schedule: Schedule, mutant: str | None) -> Simulated:
    """The run of the schedule in this process, not recorded."""
    driver = MemoryDriver(parts_of(mutant))
    return VirtualRun(schedule, timing=settings.timing, driver=driver, max_events=settings.max_events).go()
