"""What a running node is told over a pipe: how long its syncs take, what its disk fails at, what its clock shows, and
that it is to hand over the leadership.

The first three are in force from then on, also after restarts: a node that cannot be told now is told when it starts or
resumes.
"""

from __future__ import annotations

import asyncio

from raft_chaos.chaos.faults.clock import Ahead
from raft_chaos.chaos.run.live.cluster.nodes import LiveNode
from raft_chaos.chaos.run.live.cluster.observations import Observations
from raft_chaos.raft.storage.failing import Failing

ENDING_S = 2.0
"""How long a node whose disk has failed may take to end."""


class Orders(Observations):
    """Tells nodes of our own what their machine does."""

    async def slow_sync(self, node: str, longer: tuple[int, int]) -> None:
        """Syncs of the node take `longer` (least, most: µs) more from now on, also after restarts."""
        one = self._nodes[node]
        one.slow_sync_us = longer
        async with one.lock:
            await self._tell_disk(one)

    async def slowed_syncs(self, node: str) -> int:
        """How many of its syncs were slowed since the run began, as far as it could report them."""
        one = self._nodes[node]
        async with one.lock:
            await self._tell_disk(one)
        return one.slowed_syncs

    async def break_disk(self, node: str, failing: Failing | None) -> int | None:
        """The node's disk fails at this from now on, also after restarts; at nothing with None. Returns how often it
        has failed in this incarnation, if the node runs and says so."""
        one = self._nodes[node]
        one.failing = failing
        async with one.lock:
            return await self._tell_failing(one)

    async def change_clock(self, node: str, rate_ppm: int, jump_us: int) -> Ahead | None:
        """The node's clock jumps, and gains `rate_ppm` from now on, also after restarts. Returns what that changed, if
        the node runs and says so."""
        one = self._nodes[node]
        one.clock.change(self._now_us(), rate_ppm, jump_us)
        async with one.lock:
            return await self._tell_clock(one)

    @property
    def leader(self) -> str | None:
        """The node that leads, as far as the nodes have reported."""
        return self._watcher.view.leader

    async def transfer(self, node: str, to: str) -> bool:
        """Asks the node to hand over the leadership; returns whether it begins to."""
        one = self._nodes[node]
        async with one.lock:
            if one.state != "up" or one.running is None:
                return False
            return await asyncio.to_thread(one.running.transfer, to)

    async def _tell_disk(self, one: LiveNode) -> None:
        """Sets the slowdown of the disk of a node that is up, and reads how many syncs it has slowed."""
        if one.state == "up" and one.running is not None:
            one.slowed_syncs += await asyncio.to_thread(one.running.slow_sync, *one.slow_sync_us)

    async def _tell_failing(self, one: LiveNode) -> int | None:
        """Tells a node that is up what its disk fails at, and waits for its end if its disk has failed.

        What ended it counts as long as the node may not know that its disk works again: it is told when it resumes.
        """
        one.disk.failing = one.failing or one.disk.failing
        if one.state != "up" or one.running is None:
            return None
        failed = await asyncio.to_thread(one.running.break_disk, one.failing)
        if failed != 0:
            await asyncio.to_thread(one.running.child.ends_within, ENDING_S)
        self.find_exits()
        one.disk.failing = one.failing
        return failed

    async def _tell_clock(self, one: LiveNode) -> Ahead | None:
        """Tells a node that is up what its clock shows."""
        if one.state != "up" or one.running is None:
            return None
        return await asyncio.to_thread(one.running.set_clock, one.clock.segment)
