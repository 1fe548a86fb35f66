"""One run in the world `lockstep`: the run of `chaos.run.sim`, with each node in a process of its own."""

from __future__ import annotations

from raft_chaos.chaos.processes.interrupts import held
from raft_chaos.chaos.processes.supervisor import Supervisor
from raft_chaos.chaos.run.directory import begin, finish
from raft_chaos.chaos.run.lockstep.driver import LockstepDriver
from raft_chaos.chaos.run.sim.recorder import Recorder
from raft_chaos.chaos.run.sim.run import VirtualRun
from raft_chaos.chaos.schedule.data import Schedule
from raft_chaos.invariants.rundir import RunDir, RunInfo
from raft_chaos.raft.state.timing import Timing


def run_lockstep(
    schedule: Schedule, timing: Timing, mutant: str | None, run: RunDir, info: RunInfo, *, fail_fast: bool = False
) -> RunInfo:
    """Carries out the schedule with real processes in a new run directory; returns the finished run.json.

    Raises DivergenceError where a process does what the simulator cannot explain, and DriverError if the harness itself
    fails. After an error no process is left either, and the directory holds what happened until then.
    """
    begin(schedule, run, info)
    recorder = Recorder(run, nodes_write=True)
    try:
        with Supervisor() as supervisor, LockstepDriver(run, mutant, supervisor) as driver:
            one = VirtualRun(schedule, timing=timing, driver=driver, recorder=recorder, fail_fast=fail_fast)
            with held(one.interrupt):
                simulated = one.go()
    finally:
        recorder.close()
    return finish(run, info, simulated.analysis, trace_sha256=simulated.trace_sha256)
