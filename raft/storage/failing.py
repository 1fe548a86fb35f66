"""At what a disk fails on demand, as data."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

DiskOperation: TypeAlias = Literal["append", "sync", "rename", "read", "read_back"]
"""`read` is of a file, while a node starts; `read_back` is of an entry that the node has not in memory."""
DiskErrorName: TypeAlias = Literal["EIO", "ENOSPC"]


class Failing(msgspec.Struct, frozen=True):
    """`operation` fails with `error`: always, or only the next time, and then works again as if nothing had happened.

    A failed append has written half of its bytes. A failed sync loses what was not synced, and the next sync succeeds
    without it: so does Linux, which takes a page that it could not write for clean.
    """

    operation: DiskOperation
    error: DiskErrorName
    once: bool = False
