"""The nemesis: carries out a schedule's faults on real processes and links, heals each, and sees what came of it.

Each fault is a task of its own: wait for its moment, inject, hold, heal. When the safety phase ends, those that still
wait never fire, and those in force are healed at once. What is told of a fault, and what excuses one without effect,
is in `chaos.run.fault_log`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from raft_chaos.chaos.faults.actions import Kill, Network, Partition, Pause, SlowSync, kind_of, restarts
from raft_chaos.chaos.faults.grudge import cut_links, resolve
from raft_chaos.chaos.run import fault_log
from raft_chaos.chaos.run.fault_log import FaultBook
from raft_chaos.chaos.run.live.cluster import LiveCluster
from raft_chaos.chaos.run.live.network.rules import LinkFaults
from raft_chaos.chaos.run.live.watcher import Watcher
from raft_chaos.chaos.schedule.data import Fault, ScheduleError
from raft_chaos.invariants.events import HarnessEvent

LEADER_POLL_S = 0.01


class Nemesis:
    """Runs the faults of one schedule. Times count from `zero_us`, the moment at which the warmup began."""

    def __init__(
        self,
        *,
        cluster: LiveCluster,
        links: LinkFaults,
        watcher: Watcher,
        nodes: list[str],
        zero_us: int,
        now_us: Callable[[], int],
        report: Callable[[HarnessEvent], None],
    ) -> None:
        self._cluster = cluster
        self._links = links
        self._watcher = watcher
        self._nodes = nodes
        self._zero_us = zero_us
        self._now_us = now_us
        self._ending = asyncio.Event()
        self.book = FaultBook(nodes, now_us, report)

    async def run(self, faults: Sequence[Fault]) -> None:
        """Returns once `end` was called and everything is healed. Raises what went wrong in the harness itself."""
        async with asyncio.TaskGroup() as group:
            for fault in faults:
                group.create_task(self._one(fault), name=fault.id)

    def end(self) -> None:
        """The safety phase is over: heal all, start no more."""
        self._ending.set()

    # ---- one fault ------------------------------------------------------------------------------------------------

    async def _one(self, fault: Fault) -> None:
        moment = await self._unless_ending(self._moment(fault))
        if moment is None:
            return
        leader, voter = moment
        action = fault.action
        if isinstance(action, Kill):
            await self._kill(fault, action, leader, voter)
        elif isinstance(action, Pause):
            await self._pause(fault, action, leader)
        elif isinstance(action, SlowSync):
            await self._slow_sync(fault, action, leader)
        elif isinstance(action, Partition):
            await self._partition(fault, action, leader)
        elif isinstance(action, Network):
            await self._network(fault, action, leader)
        else:
            raise ScheduleError(f"fault {fault.id}: real processes cannot be made to suffer a {kind_of(action)}")

    async def _moment(self, fault: Fault) -> tuple[str | None, str | None]:
        """Waits until the fault is to fire; returns the leader then, and for a vote the voter."""
        when, voter = fault.when, None
        if when.on is not None:
            reporter = await self._watcher.anchor(when.on, when.nth)
            voter = reporter if when.on == "vote_granted" else None
            await asyncio.sleep(when.after_us / 1e6)
        else:
            await asyncio.sleep(max(0, self._zero_us + (when.at_us or 0) - self._now_us()) / 1e6)
        while self.book.must_wait(fault.action, self._leader()):  # noqa: ASYNC110 - roles change with each event read
            await asyncio.sleep(LEADER_POLL_S)
        return self._leader(), voter

    def _leader(self) -> str | None:
        """The leader, if there is one that runs and reaches others.

        One that is paused or cut off already leads nobody; the next fault on "the leader" is meant for its successor.
        """
        leader = self._watcher.leader
        if leader is None or self._cluster.state(leader) != "up" or self.book.isolates(leader):
            return None
        return leader

    async def _unless_ending(self, waiting: Coroutine[Any, Any, Any]) -> Any:
        """The result of `waiting`, or None if the safety phase ends first."""
        task = asyncio.ensure_future(waiting)
        ending = asyncio.ensure_future(self._ending.wait())
        try:
            await asyncio.wait({task, ending}, return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else None
        finally:
            task.cancel()
            ending.cancel()

    async def _hold(self, duration_us: int) -> None:
        await self._unless_ending(asyncio.sleep(duration_us / 1e6))

    # ---- what each kind does --------------------------------------------------------------------------------------

    async def _kill(self, fault: Fault, action: Kill, leader: str | None, voter: str | None) -> None:
        after_us = restarts(action, leader, voter)
        nodes = list(after_us)
        span = self.book.begin(fault, nodes, leader)
        hit = await self._cluster.kill(nodes)
        self.book.injected(span, fault_log.killing(nodes), hit)
        before = {node: self._cluster.incarnation(node) for node in hit}

        async def start_later(node: str) -> bool:
            await self._hold(after_us[node])
            return await self._cluster.start(node)

        came = await asyncio.gather(*(start_later(node) for node in hit))
        back = [n for n, up in zip(hit, came, strict=True) if up and self._cluster.incarnation(n) > before[n]]
        self.book.healed(span, fault_log.killed(hit, back))

    async def _pause(self, fault: Fault, action: Pause, leader: str | None) -> None:
        nodes = self.book.named(action.nodes, leader)
        span = self.book.begin(fault, nodes, leader)
        stopped = [node for node in nodes if await self._cluster.pause(node)]
        self.book.injected(span, fault_log.pausing(nodes))
        await self._hold(fault.duration_us)
        for node in stopped:
            await self._cluster.resume(node)
        self.book.healed(span, fault_log.paused(nodes, stopped))

    async def _slow_sync(self, fault: Fault, action: SlowSync, leader: str | None) -> None:
        nodes = self.book.named(action.nodes, leader)
        span = self.book.begin(fault, nodes, leader)
        for node in nodes:
            await self._cluster.slow_sync(node, action.min_us, action.max_us)
        self.book.injected(span, fault_log.slowing(nodes, action))
        await self._hold(fault.duration_us)
        syncs = sum([await self._cluster.slow_sync(node, 0, 0) for node in nodes])
        self.book.healed(span, fault_log.slowed(syncs))

    async def _partition(self, fault: Fault, action: Partition, leader: str | None) -> None:
        grudge = resolve(action.grudge, self._nodes, leader)
        links = cut_links(grudge)
        span = self.book.begin(fault, sorted({node for link in links for node in link}), leader)
        before = self._links.counters()
        self._links.cut(fault.id, links)
        self.book.injected(span, fault_log.cutting(action.shape, grudge))
        await self._hold(fault.duration_us)
        self._links.heal(fault.id)
        after = self._links.counters()
        held = {link: after[link].cut - before[link].cut for link in links}
        self.book.healed(span, fault_log.cut(grudge, held))

    async def _network(self, fault: Fault, action: Network, leader: str | None) -> None:
        nodes = self.book.named(action.nodes, leader)
        span = self.book.begin(fault, nodes, leader)
        before = self._links.counters()
        links = self._links.degrade(fault.id, nodes, action)
        self.book.injected(span, fault_log.degrading(nodes, action))
        await self._hold(fault.duration_us)
        self._links.heal(fault.id)
        after = self._links.counters()
        pairs = [(before[link], after[link]) for link in links]
        seen = fault_log.degraded(
            delayed=sum(now.delayed - then.delayed for then, now in pairs),
            lost=sum(now.lost - then.lost for then, now in pairs),
            duplicated=sum(now.duplicated - then.duplicated for then, now in pairs),
            reordered=sum(now.reordered - then.reordered for then, now in pairs),
        )
        self.book.healed(span, seen)
