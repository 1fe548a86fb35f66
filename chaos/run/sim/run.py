"""One run in virtual time, from an empty cluster to a verdict.

    warmup      nodes up, a first leader, clients at work; no faults
    safety      the schedule's faults, while every event is judged
    liveness    all is healed; within an exact time a new commit is owed, and by each node that was hit, catching up
    end         every key is read once more, and everything is judged

The phases are the live run's. Which driver runs the nodes decides the world, and nothing else in here knows it.
"""

from __future__ import annotations

import time
from itertools import count

import msgspec

from raft_chaos.chaos.judgement.analysis import Analysis, Stats, conclude
from raft_chaos.chaos.judgement.tally import Tally
from raft_chaos.chaos.judgement.vacuity import COMPLETED, FAILED_FAST
from raft_chaos.chaos.run.client_records import History
from raft_chaos.chaos.run.cluster_view import ClusterView
from raft_chaos.chaos.run.fault_log import FaultLog
from raft_chaos.chaos.run.nemesis import Nemesis
from raft_chaos.chaos.run.nodes.driver import Driver
from raft_chaos.chaos.run.sim.capabilities import VirtualWorld
from raft_chaos.chaos.run.sim.clients import Requests, VirtualClient
from raft_chaos.chaos.run.sim.cluster import VirtualCluster
from raft_chaos.chaos.run.sim.recorder import LineSink
from raft_chaos.chaos.run.sim.scheduler import Scheduler
from raft_chaos.chaos.run.sim.tasks import VirtualTasks
from raft_chaos.chaos.run.sim.trace import Trace
from raft_chaos.chaos.schedule.data import AnchorEvent, Operation, Schedule
from raft_chaos.invariants.events import HARNESS, Phase, PhaseStarted, RunEnded
from raft_chaos.invariants.judge import Judge
from raft_chaos.raft.state.timing import Timing

RECOVERY_TIMEOUTS = 40
"""Once all is healed, the longest election timeout this many times is the time in which everything owed is owed.

An election fails where two candidates meet within a round trip, which takes a small part of the range that timeouts are
drawn from; that this happens tens of times in a row is beyond any number of seeds.
"""
WATCH_US = 20_000


class Simulated(msgspec.Struct, frozen=True):
    """What a run came to. `trace_sha256` is the digest of everything that happened."""

    analysis: Analysis
    trace_sha256: str


class VirtualRun:
    """One run of a schedule. `go` carries it out; the driver and the recorder are the caller's to close.

    It ends at the first violation with `fail_fast`, or at the first one of the invariant `until`.
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
    ) -> None:
        header = schedule.header
        if header.model.entries_per_message:
            timing = msgspec.structs.replace(timing, max_entries_per_message=header.model.entries_per_message)
        self.schedule = schedule
        self.timing = timing
        """The nodes'; the schedule may know it better than who asked for the run."""
        self.scheduler = Scheduler()
        self.judge = Judge()
        self.tally = Tally()
        self.view = ClusterView(header.nodes, self._happened)
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
            world=VirtualWorld(self.cluster), view=self.view, log=self.log, nodes=header.nodes, tasks=self.tasks
        )
        self._within_us = RECOVERY_TIMEOUTS * timing.election_timeout_max_us
        self._watched = fail_fast or until is not None
        self._until = until
        self._working = 0
        self._probes = count()

    def go(self) -> Simulated:
        """Raises DriverError if the harness itself fails; what was recorded by then stays."""
        began = time.monotonic()
        reason = self._phases()
        now_us = self.scheduler.now_us
        self.trace.harness(RunEnded(node=HARNESS, inc=1, t_us=now_us, reason=reason))
        digest = self.trace.digest()
        analysis = conclude(
            self.schedule,
            self.judge.verdicts(),
            self.trace.harness_events,
            self.tally,
            self.trace.operations,
            extra_stats=self._stats(time.monotonic() - began),
        )
        return Simulated(analysis, digest)

    # ---- the phases -----------------------------------------------------------------------------------------------

    def _phases(self) -> str:
        """Runs them; returns the reason for which the run ended."""
        header = self.schedule.header
        for node in header.nodes:
            self.cluster.start(node)
        self._enter("warmup")
        until_us = header.safety_until_us + header.liveness_for_us
        for place, name in enumerate(header.clients):
            self._working += 1
            mine = [operation for operation in self.schedule.operations if operation.client == name]
            self._client(name, place).run(mine, until_us, self._client_done)
        final = self._client("final", len(header.clients))

        if found := self._run_until(header.safety_from_us):
            return found
        self._enter("safety")
        self.nemesis.start(self.schedule.faults)
        if found := self._run_until(header.safety_until_us):
            return found
        self.tasks.spawn(self.nemesis.end(), "the end of the safety phase")
        return self._liveness(until_us, final) or self._final_reads(final) or COMPLETED

    def _liveness(self, until_us: int, final: VirtualClient) -> str:
        """All is healed: until nothing is owed any more, or until its time is up, to the microsecond."""
        target, owed = self.view.highest_commit, self.log.touched
        ends_us = self.scheduler.now_us + self._within_us
        self._enter("liveness", target, owed)
        found = self._run_until(min(until_us, ends_us))
        while not found and not self._recovered(target, owed) and self.scheduler.now_us < ends_us:
            if not self._working and self.view.highest_commit <= target:
                # The workload is over, and a cluster that is asked for nothing has nothing to commit.
                probe = Operation(id=f"probe/{next(self._probes)}", client="final", at_us=0, f="get", key="probe")
                self._begin(final, probe)
            found = self._run_until(min(self.scheduler.now_us + WATCH_US, ends_us))
        if not found and not self._recovered(target, owed):
            return COMPLETED  # something is still owed: anything that came later would only blur that
        while self._working and not found:
            found = self._run_until(self.scheduler.now_us + WATCH_US)
        return found

    def _recovered(self, target: int, owed: list[str]) -> bool:
        views = self.view.nodes
        return self.view.highest_commit > target and all(views[node].applied_index >= target for node in owed)

    def _begin(self, client: VirtualClient, operation: Operation, *, final: bool = False) -> None:
        self._working += 1
        client.perform(operation, self._client_done, final=final)

    def _final_reads(self, client: VirtualClient) -> str:
        """Every key once more: what was acknowledged must still be there."""
        keys = sorted({operation.key for operation in self.schedule.operations})
        for number, key in enumerate(keys):
            read = Operation(id=f"final/{number}", client="final", at_us=0, f="get", key=key)
            self._begin(client, read, final=True)
            while self._working:
                if found := self._run_until(self.scheduler.now_us + WATCH_US):
                    return found
        return ""

    def _run_until(self, at_us: int) -> str:
        """Goes on to that time; returns why the run ends there, or ""."""
        if not self._watched:
            self.scheduler.run_until(at_us)
            return ""
        while self.scheduler.now_us < at_us:
            self.scheduler.run_until(min(at_us, self.scheduler.now_us + WATCH_US))
            for violation in self.judge.new_violations():
                if self._until not in (None, violation.invariant):
                    continue
                return f"{FAILED_FAST}, of {violation.invariant}"
        return ""

    # ---- helpers --------------------------------------------------------------------------------------------------

    def _happened(self, event: AnchorEvent, number: int, reporter: str) -> None:
        self.nemesis.happened(event, number, reporter)

    def _client(self, name: str, place: int) -> VirtualClient:
        header = self.schedule.header
        return VirtualClient(
            name=name,
            place=place,
            clients=len(header.clients) + 1,
            nodes=header.nodes,
            seed=header.seed,
            requests=self.requests,
            history=self.history,
            scheduler=self.scheduler,
        )

    def _client_done(self) -> None:
        self._working -= 1

    def _enter(self, phase: Phase, commit_target: int = 0, owed: list[str] | None = None) -> None:
        self.trace.harness(
            PhaseStarted(
                node=HARNESS,
                inc=1,
                t_us=self.scheduler.now_us,
                phase=phase,
                commit_target=commit_target,
                owed=tuple(owed or ()),
                within_us=self._within_us if phase == "liveness" else 0,
            )
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
