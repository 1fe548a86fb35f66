"""A disk that is cut off from its node: the node ends after so many operations, of a start or of a sync."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from raft_chaos.raft.storage.disk import Disk

P = ParamSpec("P")
T = TypeVar("T")


class InterruptedNodeError(Exception):
    """The node ends between two operations on its disk."""


class InterruptedDisk:
    """A disk that carries out so many `operations`, and none after them. Asking for a name is no operation, and reading
    is none unless it `counts_reads`."""

    def __init__(self, disk: Disk, operations: int, *, counts_reads: bool = True) -> None:
        self._disk = disk
        self._left = operations
        self.describe = disk.describe
        self.list = self._counted(disk.list) if counts_reads else disk.list
        self.read = self._counted(disk.read) if counts_reads else disk.read
        self.read_at = self._counted(disk.read_at) if counts_reads else disk.read_at
        self.append = self._counted(disk.append)
        self.overwrite = self._counted(disk.overwrite)
        self.truncate = self._counted(disk.truncate)
        self.sync = self._counted(disk.sync)
        self.rename = self._counted(disk.rename)
        self.remove = self._counted(disk.remove)
        self.sync_folder = self._counted(disk.sync_folder)
        self.close = disk.close

    def _counted(self, operation: Callable[P, T]) -> Callable[P, T]:
        def counted(*args: P.args, **kwargs: P.kwargs) -> T:
            if not self._left:
                raise InterruptedNodeError
            self._left -= 1
            return operation(*args, **kwargs)

        return counted
