"""What faults do to the processes of nodes, and to their data while they are down."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack

from raft_chaos.chaos.faults.damage import Damage
from raft_chaos.chaos.faults.stop import Stopped, stopped
from raft_chaos.chaos.processes.supervisor import Child
from raft_chaos.chaos.run.live.cluster.starts import Starts
from raft_chaos.chaos.run.live.emptied import emptied
from raft_chaos.chaos.run.nodes.damage import damage_node
from raft_chaos.chaos.targets.protocol import Wiper
from raft_chaos.invariants.events import NodePaused, NodeResumed

STOP_POLL_S = 0.005


class LiveCluster(Starts):
    """Real processes, started, killed, paused and resumed."""

    async def kill(self, nodes: Sequence[str], keep_permille: Mapping[str, int] | None = None) -> list[str]:
        """SIGKILL to all of them at once; returns those that were running, once they are gone.

        What a lossy disk had not synced is lost, but for the first `keep_permille` thousandths of it. A node that is
        still starting is not hit: it does not run yet.
        """
        running = sorted(node for node in nodes if self.state(node) in ("up", "paused"))
        async with AsyncExitStack() as locks:
            for node in running:  # in one order, so that two kills do not wait for each other
                await locks.enter_async_context(self._nodes[node].lock)
            self.find_exits()  # a node that has just ended by itself must not count as killed
            hit = [self._nodes[node] for node in nodes if node in running and self.state(node) in ("up", "paused")]
            for one in hit:
                self._network.leaving(one.name)  # for all of them before the first ends
            for one in hit:
                one.state = "down"
                self._watcher.gone(one.name)  # at once: nobody may take it for the leader while it dies
                self._child(one).strike()
            for one in hit:
                await asyncio.to_thread(self._child(one).kill)
                self._network.route(one.name, None)
            keep = keep_permille or {}
            await asyncio.gather(*(self._lose_unsynced(one, keep.get(one.name, 0)) for one in hit))
            for one in hit:
                self._report(self._killed(one))
        return [one.name for one in hit]

    async def stop(self, node: str) -> Stopped | None:
        """Asks the node to end by itself, and waits for that as long as its target says; None if it does not run."""
        one = self._nodes[node]
        if one.state not in ("up", "paused") or one.running is None:
            return None
        incarnation, stopping = one.incarnation, one.running.stopping
        self._network.leaving(node)
        one.asked = stopping
        one.running.child.ask(signal.Signals[stopping.signal])
        deadline = time.monotonic() + stopping.within_s
        # Without the lock: another fault may kill the node meanwhile, or resume it.
        while self._is_running(one, incarnation) and time.monotonic() < deadline:
            await asyncio.sleep(STOP_POLL_S)
            self.find_exits()
        in_time = not self._is_running(one, incarnation)
        return stopped(in_time, one.exit_code, round(stopping.within_s * 1e6))

    async def pause(self, node: str) -> None:
        """SIGSTOP, if the node runs; returns once it is stopped, or has ended by itself."""
        one = self._nodes[node]
        if one.state not in ("up", "paused"):
            return  # a node that is still starting does not run yet; do not wait for it
        async with one.lock:
            if self.state(node) != "up":
                return
            child = self._child(one)
            one.pausing = True  # from now on no slice of time continues it
            try:
                await asyncio.to_thread(child.pause)
            finally:
                one.pausing = False
            if self.state(node) == "up" and child.is_alive:
                one.state = "paused"
                self._report(self._event(NodePaused, one))

    async def resume(self, node: str) -> None:
        """SIGCONT, if the node is paused."""
        one = self._nodes[node]
        async with one.lock:
            if one.state != "paused":
                return
            self._child(one).resume()
            one.state = "up"
            self._report(self._event(NodeResumed, one))
            await self._tell_disk(one)  # while it was paused it could not receive a change
            if one.disk.failing != one.failing:
                await self._tell_failing(one)
            await self._tell_clock(one)
        if self.state(node) == "down" and one.exit_code is not None and one.failing is None:
            await self.start(node)  # its disk failed after the pause, and the fault that would start it is over

    def hold_back(self, node: str) -> Child | None:
        """SIGSTOP for a slice of time, if the node is up: unlike a pause, that does not change its state."""
        one = self._nodes[node]
        if one.state != "up" or one.running is None:
            return None
        one.running.child.ask(signal.SIGSTOP)
        return one.running.child

    def let_run(self, node: str, child: Child) -> bool:
        """SIGCONT after the slice, unless the node is paused, too; returns whether it was seen stopped."""
        one = self._nodes[node]
        was_stopped = child.is_stopped
        if one.state != "paused" and not one.pausing:
            child.resume()
        return was_stopped

    async def wipe(self, node: str) -> int:
        """Removes all data of a node that is down; returns how many files that were."""
        one = self._nodes[node]
        async with one.lock:
            if one.state != "down":
                return 0
            files = await asyncio.to_thread(emptied, self._run.node(node) / "data")
            if isinstance(self.target, Wiper):
                await asyncio.to_thread(self.target.wipe, node)
        return files

    async def damage(self, node: str, damage: Damage) -> str:
        """Damages the data of a node that is down; returns what that did, "" if it did nothing."""
        one = self._nodes[node]
        async with one.lock:
            if one.state != "down":
                return ""
            did = await asyncio.to_thread(damage_node, self._run, node, damage)
            one.disk.damaged |= bool(did)
        return did
