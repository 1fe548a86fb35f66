"""Runs in the world `sim`: one that is recorded, and one seed of a campaign, which leaves no files if it is valid."""

from __future__ import annotations

from raft_chaos.chaos.mutants import parts_of
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.chaos.run.sim.recorder import Recorder
from raft_chaos.chaos.run.sim.run import Simulated, VirtualRun
from raft_chaos.chaos.schedule.data import Schedule
from raft_chaos.chaos.schedule.file import save
from raft_chaos.invariants.rundir import RunDir, RunInfo
from raft_chaos.raft.state.timing import Timing


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
