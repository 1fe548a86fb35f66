"""Keeps real nodes from the processor, in slices: SIGSTOP while a node waits, SIGCONT while it runs.

It needs no rights, and touches only process groups that were started here. If the controller dies while a node waits,
the reaper kills the node, stopped or not. A pause of the same node wins: what it has stopped, no slice continues.
"""

from __future__ import annotations

import asyncio
import time

from raft_chaos.chaos.faults.starve import CpuShare, Waits
from raft_chaos.chaos.run.live.cluster import LiveCluster


class CpuSlices:
    """The slices of all nodes of a run, a task for each node that is starved."""

    def __init__(self, cluster: LiveCluster) -> None:
        self._cluster = cluster
        self._slicing: dict[str, asyncio.Task[None]] = {}
        self._waits: dict[str, Waits] = {}

    async def starve(self, node: str, share: CpuShare | None) -> None:
        """The node has this share from now on; all of the processor with None."""
        if (slicing := self._slicing.pop(node, None)) is not None:
            slicing.cancel()
            await asyncio.wait({slicing})
            if not slicing.cancelled():
                slicing.result()  # raises what ended it
        if share is not None:
            self._slicing[node] = asyncio.get_running_loop().create_task(self._slice(node, share))

    def waits(self, node: str) -> Waits:
        """How often the node was seen stopped at the end of a slice, and how long these took."""
        return self._waits.get(node, Waits(0, 0))

    async def _slice(self, node: str, share: CpuShare) -> None:
        while True:
            began = time.monotonic()
            child = self._cluster.hold_back(node)
            try:
                await asyncio.sleep(share.wait_us / 1e6)
            finally:
                if child is not None and self._cluster.let_run(node, child):
                    times, waited_us, _ = self.waits(node)
                    self._waits[node] = Waits(times + 1, waited_us + round((time.monotonic() - began) * 1e6))
            await asyncio.sleep(share.run_us / 1e6)
