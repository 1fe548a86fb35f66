"""Runs in the world `sim`: a recorded run, and one seed of a campaign, which leaves no files if it is valid."""

from __future__ import annotations

from contextlib import closing

from raft_chaos.chaos.mutants import parts_of
from raft_chaos.chaos.processes.interrupts import held
from raft_chaos.chaos.run.directory import begin, failure_marked, finish
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.chaos.run.pace import pace_of, virtual
from raft_chaos.chaos.run.sim.recorder import Recorder
from raft_chaos.chaos.run.sim.run import VirtualRun
from raft_chaos.chaos.schedule.data import Schedule
from raft_chaos.invariants.rundir import RunDir, RunInfo
from raft_chaos.raft.state.timing import Timing


def run_sim(
    schedule: Schedule,
    timing: Timing,
    mutant: str | None,
    run: RunDir,
    info: RunInfo,
    *,
    fail_fast: bool = False,
    max_events: int | None = None,
) -> RunInfo:
    """Carries out the schedule and records everything in a new run directory; returns the finished run.json.

    Ctrl-C ends the run early; its verdict is then about what happened until then.
    """
    info.pace = pace_of(virtual(timing, schedule.header), schedule)
    begin(schedule, run, info)
    with failure_marked(run, info):
        with closing(Recorder(run)) as recorder:
            driver = MemoryDriver(parts_of(mutant))
            one = VirtualRun(
                schedule,
                timing=timing,
                driver=driver,
                recorder=recorder,
                fail_fast=fail_fast,
                max_events=max_events,
            )
            with held(one.interrupt):
                simulated = one.go()
        return finish(run, info, simulated.analysis, trace_sha256=simulated.trace_sha256)
