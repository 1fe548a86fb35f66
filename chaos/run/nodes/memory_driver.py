"""Runs nodes in this process, over disks in memory that outlive them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextvars import ContextVar

from raft_chaos.chaos.faults.damage import Damage
from raft_chaos.chaos.run.nodes.damage import damage as do_damage
from raft_chaos.chaos.run.nodes.step import StepConfig
from raft_chaos.chaos.run.nodes.stepped_node import StepObserver, SteppedNode
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.storage.disk import MemoryDisk

_silent: ContextVar[bool] = ContextVar("silent", default=False)
"""Whether the recovery of a node that this thread starts logs nothing. Other threads go on logging theirs."""
logging.getLogger("raft.wal").addFilter(lambda record: not _silent.get())


class MemoryDriver:
    """Makes each incarnation of a node from the same parts, and from the disk that the one before left.

    `disks` are the disks of nodes whose first incarnation does not start with an empty one.
    """

    def __init__(self, parts: Parts, disks: Mapping[str, MemoryDisk] | None = None) -> None:
        self._parts = parts
        self._disks = dict(disks or {})

    def start(self, config: StepConfig, now_us: int) -> SteppedNode:
        disk = self.disk(config.node)
        # Cutting a torn tail logs a line for the operator of a server. Here it happens thousands of times a minute, and
        # would hide the output of a test that fails.
        before = _silent.set(True)
        try:
            return SteppedNode(config, self._parts, disk, now_us, self._observer(config.node))
        finally:
            _silent.reset(before)

    def _observer(self, node: str) -> StepObserver | None:
        """Who observes the incarnation of this node that starts now, if anybody does."""
        return None

    def damage(self, node: str, damage: Damage) -> str:
        return do_damage(self.disk(node), damage)

    def disk(self, node: str) -> MemoryDisk:
        """The disk that all incarnations of the node share. Tests inspect it, and damage it."""
        return self._disks.setdefault(node, MemoryDisk())
