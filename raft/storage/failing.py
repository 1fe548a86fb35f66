"""At what a disk fails on demand, and the error of which a node then ends."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

DiskOperation: TypeAlias = Literal["append", "sync", "rename", "read", "read_back"]
"""`read` is of a file, while a node starts; `read_back` is of an entry that the node has not in memory."""
DiskErrorName: TypeAlias = Literal["EIO", "ENOSPC"]


class Failing(msgspec.Struct, frozen=True):
    """`operation` fails with `error`: always, or only `once`, and then works again as if nothing had happened. Before
    that, it succeeds so many times as `after` says.

    A failed append has written half of its bytes. A failed sync loses what was not synced, and the next sync succeeds
    without it: so does Linux, which takes a page that it could not write for clean.
    """

    operation: DiskOperation
    error: DiskErrorName
    once: bool = False
    after: int = 0


READ_BACK = "read an entry back"


class DiskFailedError(OSError):
    """The disk failed at an operation, and the node must end. The message says which, on which file, and what to do."""

    def __init__(self, doing: str, name: str, error: OSError) -> None:
        super().__init__(error.errno, error.strerror, name)
        self.doing = doing

    def __str__(self) -> str:
        return (
            f"{self.filename}: cannot {self.doing}: {self.strerror}. This node ends, since {self._why}. Repair or free "
            "the disk, and start the node again: it continues from what was synced."
        )

    @property
    def _why(self) -> str:
        if self.doing == READ_BACK:
            return "an entry that it cannot read is not one that is missing, and to go on would send or apply others"
        return "nothing says what the disk has of the last write, and to try again would not show it"
