"""Runs nodes in this process, over disks in memory that outlive them."""

from __future__ import annotations

import logging

from chaos.sim.stepped_node import StepConfig, SteppedNode
from raft.disk import MemoryDisk
from raft.node import Parts

# A torn tail is cut with a line in the log, for whoever runs a server; here it happens thousands of times a minute.
logging.getLogger("raft").addHandler(logging.NullHandler())


class MemoryDriver:
    """Makes each incarnation of a node from the same parts, and from what the one before left on its disk."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._disks: dict[str, MemoryDisk] = {}

    def start(self, config: StepConfig, now_us: int) -> SteppedNode:
        disk = self._disks.setdefault(config.node, MemoryDisk())
        return SteppedNode(config, self._parts, disk, now_us)
