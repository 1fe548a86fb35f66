"""The stage in virtual time, in this process (sim) or with real processes (lockstep)."""

from __future__ import annotations

import time
from collections.abc import Coroutine
from contextlib import ExitStack, closing
from typing import Any, TypeVar

from raft_chaos.chaos.judgement.vacuity import COMPLETED
from raft_chaos.chaos.mutants import parts_of
from raft_chaos.chaos.processes.shortage import HarnessError
from raft_chaos.chaos.processes.supervisor import Supervisor
from raft_chaos.chaos.run.clients import Client
from raft_chaos.chaos.run.directory import begin, failure_marked, finish
from raft_chaos.chaos.run.lockstep.driver import PRELOADED, LockstepDriver
from raft_chaos.chaos.run.nemesis import Nemesis
from raft_chaos.chaos.run.nodes.driver import Driver
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.chaos.run.phases import WATCH_US
from raft_chaos.chaos.run.sim.recorder import Recorder
from raft_chaos.chaos.run.sim.run import VirtualRun
from raft_chaos.chaos.run.sim.tasks import VirtualTask
from raft_chaos.chaos.schedule.data import Schedule
from raft_chaos.chaos.testing.by_hand.stage import CLIENT
from raft_chaos.invariants.events import HARNESS, PhaseStarted
from raft_chaos.invariants.rundir import RunDir, RunInfo
from raft_chaos.raft.state.timing import Timing

Result = TypeVar("Result")

LONGEST_US = 600_000_000
"""No single call of `go` takes as long (virtual time)."""


class VirtualStage:
    """See `Stage`."""

    def __init__(self, schedule: Schedule, timing: Timing, mutant: str | None, run: RunDir, info: RunInfo) -> None:
        begin(schedule, run, info)
        self.run, self.info = run, info
        self._open = ExitStack()
        self._began_s = time.monotonic()
        with ExitStack() as opening:
            opening.enter_context(failure_marked(run, info))
            driver = self._driver(opening, info.world, mutant)
            recorder = opening.enter_context(closing(Recorder(run, nodes_write=info.world == "lockstep")))
            self._run = VirtualRun(schedule, timing=timing, driver=driver, recorder=recorder)
            self.log, self.tasks = self._run.log, self._run.tasks
            self.client: Client = self._run.client(CLIENT, 0)
            for node in schedule.header.nodes:
                self._run.cluster.start(node)
            self._run.report(PhaseStarted(node=HARNESS, inc=1, t_us=0, phase="safety"))
            self._open = opening.pop_all()

    def _driver(self, opening: ExitStack, world: str, mutant: str | None) -> Driver:
        if world == "sim":
            return MemoryDriver(parts_of(mutant))
        supervisor = opening.enter_context(Supervisor(PRELOADED))
        return opening.enter_context(LockstepDriver(self.run, mutant, supervisor))

    def new_nemesis(self) -> Nemesis:
        run = self._run
        run.nemesis = Nemesis(
            world=run.nemesis.world, view=run.view, log=run.log, nodes=run.schedule.header.nodes, tasks=run.tasks
        )
        return run.nemesis

    def address(self, node: str) -> str:
        return node

    def go(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        task, scheduler = VirtualTask(coroutine), self._run.scheduler
        ends_us = scheduler.now_us + LONGEST_US
        while not task.done:
            if scheduler.now_us >= ends_us:
                task.cancel()
                raise HarnessError(f"nothing came of it within {LONGEST_US / 1e6:g} s of virtual time")
            scheduler.run_until(scheduler.now_us + WATCH_US)
        return task.result

    def finish(self) -> RunInfo:
        if self.info.state != "running":
            return self.info
        with self._open:
            simulated = self._run.ended(COMPLETED, time.monotonic() - self._began_s)
        return finish(self.run, self.info, simulated.analysis, trace_sha256=simulated.trace_sha256)
