"""One run in the world `lockstep`: the run of `chaos.run.sim`, with each node in a process of its own."""

from __future__ import annotations

from contextlib import closing

from raft_chaos.chaos.processes.interrupts import held
from raft_chaos.chaos.processes.supervisor import Supervisor
from raft_chaos.chaos.run import needs
from raft_chaos.chaos.run.directory import begin, failure_marked, finish
from raft_chaos.chaos.run.lockstep.driver import PRELOADED, LockstepDriver
from raft_chaos.chaos.run.pace import pace_of, virtual
from raft_chaos.chaos.run.peer_secret import peer_secret
from raft_chaos.chaos.run.sim.recorder import Recorder
from raft_chaos.chaos.run.sim.run import VirtualRun
from raft_chaos.chaos.schedule.data import Schedule
from raft_chaos.invariants.rundir import RunDir, RunInfo
from raft_chaos.raft.state.timing import Timing


def run_lockstep(
    schedule: Schedule,
    timing: Timing,
    mutant: str | None,
    run: RunDir,
    info: RunInfo,
    *,
    fail_fast: bool = False,
    peer_auth: bool = False,
    max_events: int | None = None,
) -> RunInfo:
    """Carries out the schedule with real processes in a new run directory; returns the finished run.json.

    With `peer_auth` the nodes have a secret, which changes nothing in the trace.

    Raises TooFewFilesError, before it makes the directory, if the system allows fewer open files than the run needs.
    Raises DivergenceError where a process does what the simulator cannot explain, and DriverError if the harness itself
    fails. After an error no process is left either, and the directory holds what happened until then.
    """
    needs.require("lockstep", schedule.header)
    info.pace = pace_of(virtual(timing, schedule.header), schedule)
    begin(schedule, run, info)
    with failure_marked(run, info):
        with (
            closing(Recorder(run, nodes_write=True)) as recorder,
            peer_secret(run, wanted=peer_auth) as secret,
            Supervisor(PRELOADED) as supervisor,
            LockstepDriver(run, mutant, supervisor, secret) as driver,
        ):
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
