"""A start that is interrupted: the power fails after so many operations of the recovery on its disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from raft_chaos.raft.storage.disk import Disk

P = ParamSpec("P")
T = TypeVar("T")


class StartInterruptedError(Exception):
    """The node was killed before it was up."""


class InterruptedDisk:
    """A disk that carries out so many `operations`, and none after them. Asking for a name is no operation."""

    def __init__(self, disk: Disk, operations: int) -> None:
        self._disk = disk
        self._left = operations
        self.describe = disk.describe
        self.list = self._counted(disk.list)
        self.read = self._counted(disk.read)
        self.read_at = self._counted(disk.read_at)
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
                raise StartInterruptedError
            self._left -= 1
            return operation(*args, **kwargs)

        return counted
