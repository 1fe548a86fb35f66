"""The nodes of a live run: which incarnation of each is up, and what the harness does to it.

Every change is reported as a harness event once it has been seen to be so: launched when it answers, killed when the
process group is gone, paused when it is in the stopped state.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, TypeVar

import psutil

from raft_chaos.chaos.processes.supervisor import Child, Supervisor
from raft_chaos.chaos.run.live.network.frame_proxy import ProxyClient
from raft_chaos.chaos.run.live.watcher import Watcher
from raft_chaos.chaos.targets.protocol import Launch, Running, Target, TargetError, tail
from raft_chaos.invariants.events import (
    HARNESS,
    HarnessEvent,
    NodeExited,
    NodeKilled,
    NodeLaunched,
    NodePaused,
    NodeResumed,
    NodeSampled,
)
from raft_chaos.invariants.rundir import RunDir

_Subject = TypeVar("_Subject", NodeLaunched, NodeKilled, NodePaused, NodeResumed)
State: TypeAlias = Literal["down", "up", "paused", "exited"]


@dataclass
class _Node:
    """One node; `exited` means that it ended by itself, and stays as it is for all to see."""

    name: str
    state: State = "down"
    incarnation: int = 0
    running: Running | None = None
    slow_sync_us: tuple[int, int] = (0, 0)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class LiveCluster:
    """Real processes, started, killed, paused and resumed. Signals go only to process groups that were started here."""

    def __init__(
        self,
        *,
        supervisor: Supervisor,
        target: Target,
        proxy: ProxyClient,
        watcher: Watcher,
        run: RunDir,
        nodes: list[str],
        seed: int,
        epoch_us: int,
        now_us: Callable[[], int],
        report: Callable[[HarnessEvent], None],
    ) -> None:
        self.target = target
        self._supervisor = supervisor
        self._proxy = proxy
        self._links = proxy.addresses()
        self._watcher = watcher
        self._run = run
        self._seed = seed
        self._epoch_us = epoch_us
        self._now_us = now_us
        self._report = report
        self._nodes = {name: _Node(name) for name in nodes}

    # ---- what is so -----------------------------------------------------------------------------------------------

    def state(self, node: str) -> State:
        return self._nodes[node].state

    def incarnation(self, node: str) -> int:
        return self._nodes[node].incarnation

    def url(self, node: str) -> str | None:
        """Where clients reach the node, or reached it last; None before its first start."""
        running = self._nodes[node].running
        return running.http_url if running else None

    # ---- what is done ---------------------------------------------------------------------------------------------

    async def start(self, node: str) -> bool:
        """Starts the next incarnation of a node that is down; returns whether it answers now."""
        one = self._nodes[node]
        async with one.lock:
            if one.state != "down":
                return one.state == "up"
            one.incarnation += 1
            peers = {peer: ("127.0.0.1", self._links[node, peer]) for peer in self._nodes if peer != node}
            launch = Launch(self._run, self._seed, node, one.incarnation, peers, self._epoch_us)
            self._watcher.follow(node, self._run.node_events(node, one.incarnation))
            try:
                one.running = await asyncio.to_thread(self.target.start, self._supervisor, launch)
            except TargetError as error:
                if self._supervisor.is_closed:
                    return False  # killed by the end of the run, which says nothing about it
                self._exited(one, exit_code=1, log_tail=str(error))
                return False
            one.state = "up"
            if one.slow_sync_us != (0, 0):
                await asyncio.to_thread(one.running.slow_sync, *one.slow_sync_us)
            if one.running.raft_port is not None:
                self._proxy.set_target(node, one.running.raft_port)
            self._report(self._event(NodeLaunched, one))
            return True

    async def kill(self, nodes: Sequence[str]) -> list[str]:
        """SIGKILL to all of them at once; returns those that were running, now seen gone."""
        self.find_exits()  # one that has just ended by itself must not pass for killed
        hit = [self._nodes[node] for node in nodes if self._nodes[node].state in ("up", "paused")]
        for one in hit:
            one.state = "down"
            self._watcher.gone(one.name)  # at once: nobody may take it for the leader while it dies
            self._child(one).strike()
        for one in hit:
            async with one.lock:
                await asyncio.to_thread(self._child(one).kill)
                self._proxy.set_target(one.name, None)
                self._report(self._event(NodeKilled, one))
        return [one.name for one in hit]

    async def pause(self, node: str) -> bool:
        """SIGSTOP; returns whether it was running and is stopped now."""
        one = self._nodes[node]
        async with one.lock:
            if one.state != "up":
                return False
            await asyncio.to_thread(self._child(one).pause)
            if not self._child(one).is_alive:
                return False
            one.state = "paused"
            self._report(self._event(NodePaused, one))
            return True

    async def resume(self, node: str) -> None:
        one = self._nodes[node]
        async with one.lock:
            if one.state == "paused":
                self._child(one).resume()
                one.state = "up"
                if one.running is not None:
                    # What its disk was told meanwhile, it could not hear.
                    await asyncio.to_thread(one.running.slow_sync, *one.slow_sync_us)
                self._report(self._event(NodeResumed, one))

    async def slow_sync(self, node: str, min_us: int, max_us: int) -> int:
        """Slows the node's syncs from now on, restarts included; returns how many were slowed since the last call."""
        one = self._nodes[node]
        async with one.lock:
            one.slow_sync_us = (min_us, max_us)
            if one.state != "up" or one.running is None:
                return 0
            return await asyncio.to_thread(one.running.slow_sync, min_us, max_us)

    # ---- what is noticed ------------------------------------------------------------------------------------------

    def find_exits(self) -> None:
        """Reports nodes that ended although nobody asked them to."""
        for one in self._nodes.values():
            if one.state in ("up", "paused") and (code := self._child(one).exit_code) is not None:
                self._child(one).kill()  # whatever it leaves behind in its group
                self._exited(one, code, tail(self._run.node(one.name) / "stderr.log"))

    def sample(self) -> None:
        """Reports what each running node uses of the machine."""
        for one in self._nodes.values():
            if one.state != "up":
                continue
            info = self._child(one).info
            try:
                with info.oneshot():
                    event = NodeSampled(
                        node=HARNESS,
                        inc=1,
                        t_us=self._now_us(),
                        subject=one.name,
                        subject_inc=one.incarnation,
                        cpu_percent=info.cpu_percent(),
                        rss_bytes=info.memory_info().rss,
                        open_files=info.num_fds(),
                        threads=info.num_threads(),
                    )
            except psutil.Error:
                continue  # it has just ended, which `find_exits` will tell
            self._report(event)

    def _exited(self, one: _Node, exit_code: int, log_tail: str) -> None:
        one.state = "exited"
        self._watcher.gone(one.name)
        self._report(
            NodeExited(
                node=HARNESS,
                inc=1,
                t_us=self._now_us(),
                subject=one.name,
                subject_inc=one.incarnation,
                exit_code=exit_code,
                log_tail=log_tail,
            )
        )

    def _child(self, one: _Node) -> Child:
        assert one.running is not None
        return one.running.child

    def _event(self, kind: type[_Subject], one: _Node) -> _Subject:
        return kind(node=HARNESS, inc=1, t_us=self._now_us(), subject=one.name, subject_inc=one.incarnation)
