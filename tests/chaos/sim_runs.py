"""Short runs in virtual time: schedules by hand, a network or a cluster without the rest, and what they left behind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from raft_chaos.chaos.faults.action import Action
from raft_chaos.chaos.faults.links import LINKS, Degraded, LinkCounters, LinkState
from raft_chaos.chaos.faults.links import Link as LinkName
from raft_chaos.chaos.faults.partition import Partition
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.judgement.tally import Tally
from raft_chaos.chaos.mutants import parts_of
from raft_chaos.chaos.run.cluster_view import ClusterView
from raft_chaos.chaos.run.nemesis import InForce
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.chaos.run.sim.cluster import VirtualCluster
from raft_chaos.chaos.run.sim.network import Frame, SimNetwork
from raft_chaos.chaos.run.sim.run import Simulated, VirtualRun
from raft_chaos.chaos.run.sim.scheduler import Scheduler
from raft_chaos.chaos.run.sim.trace import Trace
from raft_chaos.chaos.run.sim.world import run_sim
from raft_chaos.chaos.schedule.data import AnchorEvent, Fault, Schedule, SimModel, When
from raft_chaos.invariants.events import AnyEvent, Event
from raft_chaos.invariants.history import Op
from raft_chaos.invariants.judge import Judge
from raft_chaos.invariants.rundir import RunDir, RunInfo
from raft_chaos.raft.replica.replica import Reply
from raft_chaos.raft.server.node import Parts
from raft_chaos.raft.state.timing import Timing
from short_runs import schedule

TIMING = Timing(30_000, 60_000, 10_000)
LONGEST_US = TIMING.election_timeout_max_us
NODES = ["n1", "n2", "n3"]
SAFETY_US = (320_000, 800_000)
LIVENESS_US = 103_007

T = TypeVar("T")


# ---- whole runs --------------------------------------------------------------------------------------------------


def fault(name: str, when: When | int, action: Action, duration_us: int = 0) -> Fault:
    at = When(at_us=when) if isinstance(when, int) else when
    return Fault(id=name, when=at, action=action, duration_us=duration_us)


def short(
    *faults: Fault,
    safety_us: tuple[int, int] = SAFETY_US,
    liveness_us: int = LIVENESS_US,
    every_us: int = 30_000,
    clients: int = 2,
    seed: int = 1,
) -> Schedule:
    """About a second of virtual time and five dozen operations."""
    return schedule(faults, safety_us=safety_us, liveness_us=liveness_us, every_us=every_us, clients=clients, seed=seed)


def virtual(plan: Schedule, parts: Parts | None = None, *, fail_fast: bool = False) -> VirtualRun:
    """A run that has not begun."""
    return VirtualRun(plan, timing=TIMING, driver=MemoryDriver(parts or Parts()), fail_fast=fail_fast)


def in_sim(plan: Schedule, mutant: str | None = None) -> Simulated:
    return virtual(plan, parts_of(mutant)).go()


def recorded(plan: Schedule, folder: Path, mutant: str | None = None) -> RunDir:
    run = RunDir(folder / "run")
    run_sim(plan, TIMING, mutant, run, RunInfo(seed=plan.header.seed, world="sim", mutant=mutant))
    return run


def harness_of(plan: Schedule) -> list[AnyEvent]:
    """What the harness reports in a run of it."""
    run = virtual(plan)
    run.go()
    return run.trace.harness_events


ISOLATED = {"leader": ["others"], "others": ["leader"]}
TWO_LEADERS = (
    fault("f1", 400_000, Kill(["leader"], [150_000]), 150_000),
    fault("f2", 600_000, Partition("isolate_leader", ISOLATED), 180_000),
)
"""What makes a run of `short` mean something: it has a change of leader."""


def of(kind: type[T], events: Sequence[AnyEvent | Op | Event]) -> list[T]:
    return [event for event in events if isinstance(event, kind)]


# ---- the network alone -------------------------------------------------------------------------------------------


class Net:
    """A network whose frames arrive here. `send` numbers them by itself."""

    def __init__(self, model: SimModel | None = None, seed: int = 1) -> None:
        self.scheduler = Scheduler()
        self.frames: list[tuple[int, Frame]] = []
        self.network = SimNetwork(NODES, seed, model or SimModel(), self.scheduler, self._arrived)
        self._in_force = InForce()
        self._sent = 0

    def _arrived(self, frame: Frame) -> None:
        self.frames.append((self.scheduler.now_us, frame))

    def send(self, link: tuple[str, str], count: int = 1, *, every_us: int = 0) -> None:
        """So many frames, the first of them now; time goes on by `every_us` after each."""
        for _ in range(count):
            self._sent += 1
            self.network.send(link[0], 1, link[1], self._sent, f"payload {self._sent}")
            if every_us:
                self.go(every_us)

    def put(self, fault: str, state: LinkState, *links: LinkName) -> None:
        """The fault puts this in force on these links, beside what others do there."""
        self.network.set_links(self._in_force.change(LINKS, fault, dict.fromkeys(links, state)))

    def cut(self, fault: str, *links: LinkName) -> None:
        self.put(fault, LinkState(cut=True), *links)

    def clog(self, fault: str, *links: LinkName) -> None:
        self.put(fault, LinkState(clogged=True), *links)

    def degrade(self, fault: str, node: str, degraded: Degraded) -> None:
        """All links of the node are degraded, in both directions."""
        self.put(fault, LinkState(degraded=(degraded,)), *[link for link in self.network.links if node in link])

    def heal(self, fault: str) -> None:
        self.network.set_links(self._in_force.change(LINKS, fault, {}))

    def go(self, for_us: int) -> None:
        self.scheduler.run_until(self.scheduler.now_us + for_us)

    def numbers(self, link: tuple[str, str] | None = None) -> list[int]:
        """The numbers of what has arrived (on that link), in this order."""
        return [frame.number for _, frame in self.frames if link is None or (frame.sender, frame.to) == link]

    def times(self, link: tuple[str, str] | None = None) -> list[int]:
        return [at_us for at_us, frame in self.frames if link is None or (frame.sender, frame.to) == link]

    def counters(self, link: tuple[str, str]) -> LinkCounters:
        return self.network.counters()[link]


# ---- a cluster without clients and faults ------------------------------------------------------------------------


class _Kept(Trace):
    """A trace that keeps what the nodes report, with the time of the report."""

    def __init__(self, judge: Judge, view: ClusterView, now_us: Callable[[], int]) -> None:
        super().__init__(judge, Tally(), view, None)
        self.reports: list[tuple[int, Event]] = []
        self._now_us = now_us

    def node(self, name: str, incarnation: int, reported: list[Event]) -> None:
        self.reports += [(self._now_us(), event) for event in reported]
        super().node(name, incarnation, reported)


class Nodes:
    """A `VirtualCluster` that is moved by hand: all nodes are up, and what they say is kept."""

    def __init__(
        self, parts: Parts | None = None, *, nodes: Sequence[str] = NODES, model: SimModel | None = None, seed: int = 1
    ) -> None:
        self.scheduler = Scheduler()
        self.judge = Judge()
        self.view = ClusterView(list(nodes), self._happened)
        self.trace = _Kept(self.judge, self.view, lambda: self.scheduler.now_us)
        self.driver = MemoryDriver(parts or Parts())
        self.replies: list[tuple[str, Reply]] = []
        self.refusals: list[tuple[str, str | None]] = []
        self.broken: list[str] = []
        self.cluster = VirtualCluster(
            nodes=list(nodes),
            seed=seed,
            timing=TIMING,
            model=model or SimModel(),
            driver=self.driver,
            scheduler=self.scheduler,
            trace=self.trace,
            view=self.view,
            answer=lambda node, reply: self.replies.append((node, reply)),
            broke=self.broken.append,
        )
        for node in nodes:
            self.cluster.start(node)

    def _happened(self, event: AnchorEvent, number: int, reporter: str) -> None:
        pass

    def go(self, for_us: int) -> None:
        self.scheduler.run_until(self.scheduler.now_us + for_us)

    def step(self) -> None:
        """The next thing that is due."""
        self.scheduler.run_until(self.scheduler.heap[0][0])

    def until(self, condition: Callable[[], T], within_us: int = 20 * LONGEST_US) -> T:
        """Goes on until then, one moment after the other."""
        ends_us = self.scheduler.now_us + within_us
        while not (value := condition()):
            assert self.scheduler.heap and self.scheduler.heap[0][0] <= ends_us, "it did not happen in time"
            self.step()
        return value

    def leader(self) -> str:
        """Goes on until somebody leads and has committed the first entry of its term."""

        def leads() -> str | None:
            name = self.view.leader
            return name if name is not None and self.view.seen["leader_committed"] else None

        name = self.until(leads)
        assert name is not None
        return name

    def followers(self, leader: str) -> list[str]:
        return [node for node in self.view.nodes if node != leader]

    def submit(self, node: str, token: Any, command: bytes) -> bool:
        return self.cluster.submit(node, token, command, lambda leader: self.refusals.append((node, leader)))

    def reports(self, kind: type[T], node: str | None = None) -> list[T]:
        """What nodes reported of that kind, in the order of the run."""
        return [e for _, e in self.trace.reports if isinstance(e, kind) and (node is None or e.node == node)]  # type: ignore[attr-defined]
