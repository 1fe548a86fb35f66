"""The nodes of a run in virtual time without clients and faults: a test advances time and sees what they report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from builders.schedules import LONGEST_US, NODES, TIMING
from raft_chaos.chaos.judgement.tally import Tally
from raft_chaos.chaos.run.cluster_view import ClusterView
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.chaos.run.sim.cluster import VirtualCluster
from raft_chaos.chaos.run.sim.scheduler import Scheduler
from raft_chaos.chaos.run.sim.trace import Trace
from raft_chaos.chaos.schedule.data import AnchorEvent, SimModel
from raft_chaos.invariants.events import Event
from raft_chaos.invariants.judge import Judge
from raft_chaos.raft.replica.output import Reply
from raft_chaos.raft.server.parts import Parts

T = TypeVar("T")


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
    """A `VirtualCluster` that is moved by hand: all nodes are up, and what they say is kept.

    Answers to commands and broken connections are kept too, unless `answer` and `broke` take them.
    """

    def __init__(
        self,
        parts: Parts | None = None,
        *,
        nodes: Sequence[str] = NODES,
        model: SimModel | None = None,
        seed: int = 1,
        answer: Callable[[str, Reply], None] | None = None,
        broke: Callable[[str], None] | None = None,
    ) -> None:
        self.scheduler = Scheduler()
        self.judge = Judge(voters=nodes)
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
            answer=answer or (lambda node, reply: self.replies.append((node, reply))),
            broke=broke or self.broken.append,
        )
        for node in nodes:
            self.cluster.start(node)

    def _happened(self, event: AnchorEvent, number: int, reporter: str) -> None:
        pass

    def go(self, for_us: int) -> None:
        self.scheduler.run_until(self.scheduler.now_us + for_us)

    def step(self) -> None:
        """Runs the next scheduled action."""
        self.scheduler.run_until(self.scheduler.heap[0][0])

    def until(self, condition: Callable[[], T], within_us: int = 20 * LONGEST_US) -> T:
        """Runs until this time, one moment after the other."""
        ends_us = self.scheduler.now_us + within_us
        while not (value := condition()):
            assert self.scheduler.heap and self.scheduler.heap[0][0] <= ends_us, "it did not happen in time"
            self.step()
        return value

    def leader(self) -> str:
        """Runs until a node leads and has committed the first entry of its term."""

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
        """The nodes' events of this type, in the order of the run."""
        return [e for _, e in self.trace.reports if isinstance(e, kind) and (node is None or e.node == node)]  # type: ignore[attr-defined]
