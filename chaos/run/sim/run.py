"""One run in virtual time, from an empty cluster to a verdict: puts the parts together, and goes through the phases.

The driver that runs the nodes decides the world; nothing else here depends on the world.
"""

from __future__ import annotations

import signal
import time

import msgspec

from raft_chaos.chaos.judgement.analysis import Analysis, Stats, conclude
from raft_chaos.chaos.judgement.tally import Tally
from raft_chaos.chaos.judgement.vacuity import COMPLETED, FAILED_FAST, INTERRUPTED, TOO_MUCH
from raft_chaos.chaos.processes.interrupts import words
from raft_chaos.chaos.run.bounds import bounds_of
from raft_chaos.chaos.run.client_records import History
from raft_chaos.chaos.run.clients import Client
from raft_chaos.chaos.run.cluster_view import ClusterView
from raft_chaos.chaos.run.fault_log import FaultLog
from raft_chaos.chaos.run.nemesis import Nemesis
from raft_chaos.chaos.run.nodes.driver import Driver
from raft_chaos.chaos.run.pace import first_voters, pace_of, virtual
from raft_chaos.chaos.run.phases import WATCH_US, Bound, Phases
from raft_chaos.chaos.run.sim.capabilities import VirtualWorld
from raft_chaos.chaos.run.sim.cluster import VirtualCluster
from raft_chaos.chaos.run.sim.door import Requests, VirtualDoor
from raft_chaos.chaos.run.sim.recorder import LineSink
from raft_chaos.chaos.run.sim.scheduler import Scheduler
from raft_chaos.chaos.run.sim.tasks import VirtualTasks
from raft_chaos.chaos.run.sim.trace import Trace
from raft_chaos.chaos.schedule.data import AnchorEvent, Branch, Schedule
from raft_chaos.invariants.events import HARNESS, HarnessEvent, RunEnded
from raft_chaos.invariants.judge import Judge
from raft_chaos.raft.state.timing import Timing

RECOVERY_TIMEOUTS = 40
"""The bound of recovery once all is healed, in units of the longest election timeout.

An election fails when two candidates start within one round trip, which is a small part of the range of the timeouts.
Tens of such elections in a row are too improbable to happen in any number of seeds.
"""
FOREVER_US = 1 << 62


class Simulated(msgspec.Struct, frozen=True):
    """The result of a run. `trace_sha256` is the digest of everything that happened."""

    analysis: Analysis
    trace_sha256: str


class VirtualRun:
    """One run of a schedule. `go` carries it out; the caller closes the driver and the recorder.

    It ends at the first violation with `fail_fast`, or at the first one of the invariant `until`; and when it meets one
    of its bounds, whose number of events `max_events` replaces.
    """

    def __init__(
        self,
        schedule: Schedule,
        *,
        timing: Timing,
        driver: Driver,
        recorder: LineSink | None = None,
        fail_fast: bool = False,
        until: str | None = None,
        max_events: int | None = None,
    ) -> None:
        header = schedule.header
        timing = virtual(timing, header)
        self.schedule = schedule
        self.timing = timing
        """The nodes' timing; the schedule may override the caller's."""
        self.scheduler = Scheduler()
        self.judge = Judge(voters=header.nodes, pace=pace_of(timing, schedule))
        self.tally = Tally()
        self.view = ClusterView(header.nodes, self._happened, first_voters(header.nodes, header.features))
        self.trace = Trace(self.judge, self.tally, self.view, recorder)
        self.history = History(self.trace.operation)
        self.requests = Requests(lambda: self.cluster)
        self.cluster = VirtualCluster(
            nodes=header.nodes,
            seed=header.seed,
            timing=timing,
            model=header.model,
            driver=driver,
            scheduler=self.scheduler,
            trace=self.trace,
            view=self.view,
            answer=self.requests.answer,
            broke=self.requests.broke,
        )
        self.log = FaultLog(header.nodes, lambda: self.scheduler.now_us, self.trace.harness)
        self.tasks = VirtualTasks(self.scheduler)
        self.nemesis = Nemesis(
            world=VirtualWorld(self.cluster, self.scheduler, self.requests),
            view=self.view,
            log=self.log,
            nodes=header.nodes,
            tasks=self.tasks,
        )
        self._phases = Phases(
            schedule,
            world=self,
            tasks=self.tasks,
            nemesis=self.nemesis,
            view=self.view,
            bound=Bound(within_us=RECOVERY_TIMEOUTS * timing.election_timeout_max_us),
        )
        self._watched = fail_fast or until is not None
        self._until = until
        self._bounds = bounds_of(schedule, max_events)
        self._ended_early = ""

    def go(self) -> Simulated:
        """Carries out the run. Raises DriverError if the harness itself fails; the recorded files stay."""
        began = time.monotonic()
        self.scheduler.look = self._look
        self._plan_branches()
        self.tasks.spawn(self._whole(), "the run")
        reason = self._until_over() or self._ended_early or COMPLETED
        return self.ended(reason, time.monotonic() - began)

    def ended(self, reason: str, wall_s: float) -> Simulated:
        """The result of a run that ends now for this reason, after `wall_s` of real time."""
        now_us = self.scheduler.now_us
        unserved = (*self._phases.unserved, *(self.requests.unanswered() if self._phases.is_settled else ()))
        self.trace.harness(RunEnded(node=HARNESS, inc=1, t_us=now_us, reason=reason, unserved=unserved))
        digest = self.trace.digest()
        analysis = conclude(
            self.schedule,
            self.judge.verdicts(),
            self.trace.harness_events,
            self.tally,
            self.trace.operations,
            extra_stats=self._stats(wall_s),
        )
        return Simulated(analysis, digest)

    def interrupt(self, number: signal.Signals) -> None:
        """Ends the run after the current action; its verdict then rests on what happened so far."""
        self._end_early(f"{INTERRUPTED} {words(number)}")

    def _end_early(self, reason: str) -> None:
        self._ended_early = self._ended_early or reason
        self.scheduler.stop()

    def _look(self) -> None:
        """Ends the run if it makes the harness do too much."""
        scheduler = self.scheduler
        met = self._bounds.met(events=self.tally.events, steps=scheduler.scheduled, waiting=len(scheduler.heap))
        if met:
            self._end_early(f"{TOO_MUCH}: {met}")

    async def _whole(self) -> None:
        await self._phases.run()
        self.scheduler.stop()

    def _until_over(self) -> str:
        """Runs until all phases are over, or until a violation ends the run; returns that reason, or ""."""
        while not self.scheduler.stopped:
            self.scheduler.run_until(self.scheduler.now_us + WATCH_US if self._watched else FOREVER_US)
            for violation in self.judge.new_violations() if self._watched else ():
                if self._until in (None, violation.invariant):
                    return f"{FAILED_FAST}, of {violation.invariant}"
        return ""

    def _happened(self, event: AnchorEvent, number: int, reporter: str) -> None:
        self.nemesis.happened(event, number, reporter)

    # ---- branches --------------------------------------------------------------------------------------------------

    def _plan_branches(self) -> None:
        header = self.schedule.header
        branches = header.branches if isinstance(header.branches, list) else []
        for branch in branches:
            self.scheduler.at(branch.at_us, self._branch, branch)
        if any(branch.depth for branch in branches):
            self.scheduler.at(header.safety_until_us, self.cluster.draw_from, branches[-1].seed)

    def _branch(self, branch: Branch) -> None:
        self.cluster.draw_from(branch.seed)
        until_us = self.schedule.header.safety_until_us
        if branch.depth and self.scheduler.now_us < until_us:
            self.cluster.network.deliver_by_priority(branch.depth, until_us)

    # ---- what the phases ask for -----------------------------------------------------------------------------------

    async def start(self, node: str) -> bool:
        return self.cluster.start(node)

    def now_us(self) -> int:
        return self.scheduler.now_us

    def report(self, event: HarnessEvent) -> None:
        self.trace.harness(event)

    def began(self) -> None:
        """Starts take no virtual time."""

    def refresh(self) -> None:
        """The view is always up to date."""

    def client(self, name: str, place: int) -> Client:
        header = self.schedule.header
        door = VirtualDoor(name, header.nodes, header.seed, self.requests, self.scheduler)
        return Client(
            name=name,
            place=place,
            clients=len(header.clients) + 1,
            door=door,
            history=self.history,
            tasks=self.tasks,
            now_us=self.now_us,
            report=self.trace.harness,
        )

    def _stats(self, wall_s: float) -> Stats:
        network = self.cluster.network
        links = [link.counters for link in network.links.values()]
        return {
            "deliveries": network.arrivals,
            "frames_lost": sum(c.lost + c.cut for c in links) + self.cluster.lost_to_the_dead,
            "frames_duplicated": sum(c.duplicated for c in links),
            "frames_reordered": sum(c.reordered for c in links),
            "frames_stale": self.cluster.stale,
            "lost_writes": self.cluster.lost_writes,
            "torn_writes": self.cluster.torn_writes,
            "simulated_s": self.scheduler.now_us / 1e6,
            "wall_s": round(wall_s, 3),
        }
