"""The state of each node, and what was done to it that outlives an incarnation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar

from raft_chaos.chaos.processes.shortage import oom_kills
from raft_chaos.chaos.processes.supervisor import Child, Supervisor
from raft_chaos.chaos.run.live.log_reader import LogReader
from raft_chaos.chaos.run.live.network.backend import Network
from raft_chaos.chaos.run.live.watcher import Watcher
from raft_chaos.chaos.run.nodes.driver import DiskState
from raft_chaos.chaos.targets.addresses import Ports
from raft_chaos.chaos.targets.protocol import Running, Stopping, Target
from raft_chaos.invariants.events import HARNESS, HarnessEvent, NodeKilled, NodeLaunched, NodePaused, NodeResumed
from raft_chaos.invariants.rundir import RunDir
from raft_chaos.raft.server.node_clock import NodeClock
from raft_chaos.raft.state.features import NONE, Features
from raft_chaos.raft.storage.failing import Failing

if TYPE_CHECKING:
    from raft_chaos.chaos.run.live.disk.disk import Disk
    from raft_chaos.chaos.run.live.disk.unsynced import Lost

_Subject = TypeVar("_Subject", NodeLaunched, NodeKilled, NodePaused, NodeResumed)
State: TypeAlias = Literal["down", "up", "paused", "exited"]


@dataclass
class LiveNode:
    """One node; `exited` means that it ended by itself, and is not started again. One whose disk failed may be."""

    name: str
    state: State = "down"
    incarnation: int = 0
    running: Running | None = None
    lossy: Disk | None = None  # of this incarnation, if the harness serves its data
    lost: Lost | None = None  # at its last kill
    slow_sync_us: tuple[int, int] = (0, 0)
    slowed_syncs: int = 0
    failing: Failing | None = None  # what its disk is to fail at
    disk: DiskState = field(default_factory=DiskState)  # what was done to it, as far as the node knows
    clock: NodeClock = field(default_factory=NodeClock)  # of its machine: it outlives restarts
    exit_code: int | None = None  # of its last incarnation, if that ended by itself
    pausing: bool = False  # it is about to be seen paused
    asked: Stopping | None = None  # how it was asked to end, if it was
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Nodes:
    """The nodes of a run, none of which is started yet."""

    def __init__(
        self,
        *,
        supervisor: Supervisor,
        target: Target,
        network: Network,
        watcher: Watcher,
        run: RunDir,
        nodes: list[str],
        seed: int,
        epoch_us: int,
        now_us: Callable[[], int],
        report: Callable[[HarnessEvent], None],
        ports: Ports | None = None,
        secret_file: Path | None = None,
        logs: LogReader | None = None,
        features: Features = NONE,
    ) -> None:
        self.target = target
        self._supervisor = supervisor
        self._network = network
        self._watcher = watcher
        self._run = run
        self._seed = seed
        self._epoch_us = epoch_us
        self._now_us = now_us
        self._report = report
        self._ports = ports or {}
        self._secret_file = secret_file
        self._logs = logs
        self._features = features
        self._begun = False
        self._nodes = {name: LiveNode(name) for name in nodes}
        self._oom_kills = oom_kills()

    @property
    def names(self) -> Sequence[str]:
        """All nodes, in the order of the run."""
        return list(self._nodes)

    def state(self, node: str) -> State:
        return self._nodes[node].state

    def incarnation(self, node: str) -> int:
        return self._nodes[node].incarnation

    def exit_code(self, node: str) -> int | None:
        """The exit code of its last incarnation; None if that did not end by itself, or was asked to."""
        return self._nodes[node].exit_code

    def url(self, node: str) -> str | None:
        """Where clients reach the node, or reached it last; None before its first start."""
        running = self._nodes[node].running
        return running.http_url if running else None

    def child(self, node: str) -> Child | None:
        """The process of its last incarnation; None before its first start."""
        running = self._nodes[node].running
        return running.child if running else None

    def slow_sync_us(self, node: str) -> tuple[int, int]:
        """The slowdown of its syncs (least, most); 0, 0: none."""
        return self._nodes[node].slow_sync_us

    def lost(self, node: str) -> Lost | None:
        """What the node's disk lost at its last kill; None if it has no such disk."""
        return self._nodes[node].lost

    def _is_running(self, one: LiveNode, incarnation: int) -> bool:
        return one.incarnation == incarnation and one.state in ("up", "paused")

    def _child(self, one: LiveNode) -> Child:
        assert one.running is not None
        return one.running.child

    def _event(self, kind: type[_Subject], one: LiveNode) -> _Subject:
        return kind(node=HARNESS, inc=1, t_us=self._now_us(), subject=one.name, subject_inc=one.incarnation)
