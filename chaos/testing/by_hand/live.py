"""The stage in real time: real processes of any target, and a network that can be broken.

The harness's event loop runs only while something is asked of the cluster. The nodes are processes of their own and go
on all the time; what they report meanwhile is read with the next request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import ExitStack, suppress
from typing import Any, TypeVar

from raft_chaos.chaos.processes.shortage import HarnessError, sentence, setup_error
from raft_chaos.chaos.processes.supervisor import Supervisor
from raft_chaos.chaos.run import needs
from raft_chaos.chaos.run.clients import Client
from raft_chaos.chaos.run.directory import begin, failure_marked
from raft_chaos.chaos.run.fault_log import FaultLog
from raft_chaos.chaos.run.live.progress import Watch
from raft_chaos.chaos.run.live.run import Course, LiveRun
from raft_chaos.chaos.run.nemesis import Nemesis
from raft_chaos.chaos.run.tasks import Tasks
from raft_chaos.chaos.schedule.data import Schedule
from raft_chaos.chaos.targets.protocol import Target
from raft_chaos.chaos.testing.by_hand.stage import CLIENT
from raft_chaos.invariants.events import HARNESS, PhaseStarted
from raft_chaos.invariants.rundir import RunDir, RunInfo

Result = TypeVar("Result")


class _HandRun(LiveRun):
    """A live run that starts all nodes, and then waits for the end."""

    def course(self) -> Course:
        return self.by_hand

    by_hand: _ByHand


class _ByHand:
    """See `Course`."""

    phase = "by hand"

    def __init__(self, run: LiveRun) -> None:
        self._run = run
        self.ready, self.over = asyncio.Event(), asyncio.Event()

    async def run(self) -> None:
        run = self._run
        await asyncio.gather(*(run.start(node) for node in run.schedule.header.nodes))
        run.began()
        run.report(PhaseStarted(node=HARNESS, inc=1, t_us=run.now_us(), phase="safety"))
        self.ready.set()
        await self.over.wait()


class LiveStage:
    """See `Stage`."""

    def __init__(self, schedule: Schedule, target: Target, run: RunDir, info: RunInfo) -> None:
        needs.require("live", schedule.header)
        begin(schedule, run, info)
        self.run, self.info = run, info
        with ExitStack() as opening:
            opening.enter_context(failure_marked(run, info))
            supervisor = opening.enter_context(Supervisor())
            self._runner = opening.enter_context(asyncio.Runner())
            self._live = _HandRun(
                schedule, target, run, info, supervisor, False, None, Watch(), secret_file=None, certificates=None
            )
            self._runner.run(self._begin())
            self._open = opening.pop_all()
        self.client: Client = self._live.client(CLIENT, 0)

    async def _begin(self) -> None:
        self._course = self._live.by_hand = _ByHand(self._live)
        self._whole = asyncio.ensure_future(self._live.run())
        ready = asyncio.ensure_future(self._course.ready.wait())
        await self._before_the_end(ready)

    async def _before_the_end(self, task: asyncio.Future[Result]) -> Result:
        """The result of the task. If the run ends before, it has failed: raises why."""
        either: set[asyncio.Future[Any]] = {task, self._whole}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        task.cancel()
        error = self._whole.exception()
        if error is None:
            raise HarnessError("the run has ended already")
        if (refused := setup_error(error)) is not None:
            raise refused
        raise HarnessError(sentence(error)) from error

    @property
    def tasks(self) -> Tasks:
        return self._live.tasks

    @property
    def log(self) -> FaultLog:
        assert self._live.nemesis is not None
        return self._live.nemesis.log

    def new_nemesis(self) -> Nemesis:
        live = self._live
        assert live.nemesis is not None

        async def made() -> Nemesis:  # its signals belong to the event loop
            assert live.nemesis is not None
            return Nemesis(
                world=live.nemesis.world,
                view=live.watcher.view,
                log=self.log,
                nodes=live.schedule.header.nodes,
                tasks=live.tasks,
            )

        live.nemesis = self._runner.run(made())
        return live.nemesis

    def address(self, node: str) -> str:
        return self._live.cluster.url(node) or ""

    def go(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        async def until_done() -> Result:
            return await self._before_the_end(asyncio.ensure_future(coroutine))

        return self._runner.run(until_done())

    def finish(self) -> RunInfo:
        if self.info.state != "running":
            return self.info
        with self._open:
            self._runner.run(self._end())
        return self.info

    async def _end(self) -> None:
        """The end of the run, whose faults need not be healed."""
        self._course.over.set()
        with suppress(asyncio.CancelledError):
            self.info = await self._whole
