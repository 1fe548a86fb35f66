"""Runs in the world `sim`: one that is recorded, and one seed of a campaign, which leaves no files if it is valid."""

from __future__ import annotations

from pathlib import Path

from raft_chaos.chaos.campaign.seed import SeedResult
from raft_chaos.chaos.mutants import parts_of
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.chaos.run.settings import Settings, describe, new_run_dir
from raft_chaos.chaos.run.sim.recorder import Recorder
from raft_chaos.chaos.run.sim.run import Simulated, VirtualRun
from raft_chaos.chaos.schedule.data import Schedule, save
from raft_chaos.invariants.rundir import RunDir, RunInfo
from raft_chaos.raft.timing import Timing


class NotDeterministicError(Exception):
    """The same seed made two different runs, so its traces prove nothing: a mistake of the harness, or of the node."""


def run_sim(
    schedule: Schedule, timing: Timing, mutant: str | None, run: RunDir, info: RunInfo, *, fail_fast: bool = False
) -> RunInfo:
    """Carries out the schedule and records everything in a new run directory; returns the finished run.json."""
    prepare(schedule, run, info)
    recorder = Recorder(run)
    try:
        driver = MemoryDriver(parts_of(mutant))
        simulated = VirtualRun(schedule, timing=timing, driver=driver, recorder=recorder, fail_fast=fail_fast).go()
    finally:
        recorder.close()
    return finish(simulated, run, info)


def run_seed(settings: Settings, seed: int, out: Path | None) -> SeedResult:
    """One seed, unrecorded; one that is not valid is run again and recorded under `out`.

    Raises NotDeterministicError if it is another run then.
    """
    schedule = settings.make_schedule(seed)
    driver = MemoryDriver(parts_of(settings.mutant))
    simulated = VirtualRun(schedule, timing=settings.timing, driver=driver).go()
    analysis = simulated.analysis
    result = SeedResult(
        seed=seed,
        verdict=analysis.verdict,
        violated=[verdict.invariant for verdict in analysis.invariants if verdict.outcome == "violated"],
        unknown=[verdict.invariant for verdict in analysis.invariants if verdict.outcome == "unknown"],
        vacuous=analysis.vacuous,
        trace_sha256=simulated.trace_sha256,
        stats=analysis.stats,
        run=None,
        repro="",
    )
    if analysis.verdict != "valid" and out is not None:
        run = new_run_dir(out, seed)
        info = run_sim(schedule, settings.timing, settings.mutant, run, describe(settings, seed, schedule, run))
        if info.trace_sha256 != simulated.trace_sha256:
            raise NotDeterministicError(
                f"seed {seed} had the trace {simulated.trace_sha256} and then {info.trace_sha256}, "
                f"which is recorded in {run.path}; `raft-chaos selfcheck --seeds {seed}` shows where they part"
            )
        result.run, result.repro = str(run.path), info.repro
    return result


def prepare(schedule: Schedule, run: RunDir, info: RunInfo) -> None:
    """A new run directory with everything that is known before the run."""
    run.path.mkdir(parents=True, exist_ok=False)
    for node in schedule.header.nodes:
        run.node(node).mkdir(parents=True)
    save(schedule, run.schedule)
    run.save_info(info)


def finish(simulated: Simulated, run: RunDir, info: RunInfo) -> RunInfo:
    """Completes run.json with what the run came to."""
    analysis = simulated.analysis
    info.verdict, info.invariants, info.vacuous = analysis.verdict, analysis.invariants, analysis.vacuous
    info.stats, info.trace_sha256, info.state = analysis.stats, simulated.trace_sha256, "finished"
    run.save_info(info)
    return info
