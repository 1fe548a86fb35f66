"""A disk whose power can fail, and whose operations can: `FaultDisk` wraps any other disk.

It keeps unsynced writes in the process, so that SIGKILL loses exactly what a power cut would lose: the operating system
would keep them, and hide a missing sync. On demand its operations fail, as those of a broken or full disk do.
"""

from __future__ import annotations

import errno
import os

from raft_chaos.raft.storage.disk import Disk
from raft_chaos.raft.storage.failing import DiskOperation, Failing

BLOCK = 64
"""A hole is this long. A real disk loses whole sectors; smaller blocks also make holes in small records."""
HOLES = 16
"""How many blocks in a row a pattern of holes describes."""


class FaultDisk:
    """Keeps written bytes in this process until they are synced; a kill forgets them.

    `slow_sync_us` is the range from which the host draws the additional time of each sync (0, 0: none);
    `slowed_syncs` counts the syncs that it delayed. `failing` is what fails, `failed` how often it did.
    """

    def __init__(self, disk: Disk, failing: Failing | None = None) -> None:
        self.disk = disk
        self.slow_sync_us = (0, 0)
        self.slowed_syncs = 0
        self.failing = failing
        self.failed = 0
        self._unsynced: dict[str, list[bytes]] = {}  # appended
        self._overwritten: dict[str, bytes] = {}

    def list(self) -> list[str]:
        return sorted({*self.disk.list(), *self._unsynced, *self._overwritten})

    def read(self, name: str, offset: int = 0, size: int | None = None) -> bytes:
        self._fail_if_due("read", name)
        return self._whole(name) if size is None else self._part(name, offset, size)

    def _whole(self, name: str) -> bytes:
        pending, over = self._unsynced.get(name, []), self._overwritten.get(name, b"")
        below = b"" if (pending or over) and name not in self.disk.list() else self.disk.read(name)
        return over + below[len(over) :] + b"".join(pending)

    def read_at(self, name: str, offset: int, size: int) -> bytes:
        self._fail_if_due("read_back", name)
        return self._part(name, offset, size)

    def _part(self, name: str, offset: int, size: int) -> bytes:
        if name in self._overwritten or name not in self.disk.list():
            return self._whole(name)[offset : offset + size]
        # Of what is durable nothing is in this process. A sync may move bytes to the disk meanwhile, in its thread.
        data = self.disk.read_at(name, offset, size)
        if len(data) == size or name not in self._unsynced:
            return data
        return self._whole(name)[offset : offset + size]

    def append(self, name: str, data: bytes) -> None:
        pending = self._unsynced.setdefault(name, [])
        if self.failing is not None and self.failing.operation == "append":
            pending.append(data[: len(data) // 2])
            self._fail_if_due("append", name)
        pending.append(data)

    def overwrite(self, name: str, data: bytes) -> None:
        self._overwritten[name] = data + self._overwritten.get(name, b"")[len(data) :]

    def truncate(self, name: str, size: int) -> None:
        self._flush(name)
        self.disk.truncate(name, size)

    def sync(self, name: str) -> None:
        if self.failing is not None and self.failing.operation == "sync":
            self._unsynced.pop(name, None)
            self._overwritten.pop(name, None)
            self._fail_if_due("sync", name)
        self._flush(name)
        self.disk.sync(name)

    def rename(self, name: str, new_name: str) -> None:
        self._fail_if_due("rename", name)
        # A rename makes no bytes durable: unsynced bytes can still be lost, under the new name.
        pending, over = self._unsynced.pop(name, None), self._overwritten.pop(name, None)
        self._unsynced.pop(new_name, None)
        self._overwritten.pop(new_name, None)
        if pending is not None or over is not None:
            self.disk.append(name, b"")  # creates the file, which may not exist yet
        if pending is not None:
            self._unsynced[new_name] = pending
        if over is not None:
            self._overwritten[new_name] = over
        self.disk.rename(name, new_name)

    def remove(self, name: str) -> None:
        self._flush(name)
        self.disk.remove(name)

    def sync_folder(self) -> None:
        self.disk.sync_folder()

    def describe(self, name: str) -> str:
        return self.disk.describe(name)

    def close(self) -> None:
        """Forgets unsynced bytes, as a power cut would."""
        self.forget()
        self.disk.close()

    # ---- what a crash does ----

    def unsynced_bytes(self, name: str) -> int:
        """How many appended bytes of the file a power cut would lose."""
        return sum(map(len, self._unsynced.get(name, ())))

    def let_through(self, name: str, size: int, holes: int = 0) -> None:
        """The first `size` unsynced bytes reach the disk without a sync: a write torn at any byte.

        If bit n of `holes` is set, block n of each `HOLES` of them does not: zeros stand in its place.
        """
        if pending := self._unsynced.pop(name, None):
            self.disk.append(name, with_holes(b"".join(pending)[:size], holes))

    def let_all_through(self) -> None:
        """All unsynced bytes reach the disk: only the process ended, and its operating system goes on."""
        for name in [*self._unsynced, *self._overwritten]:
            self._flush(name)

    def forget(self) -> None:
        """Loses all unsynced bytes."""
        self._unsynced.clear()
        self._overwritten.clear()

    # ---- the inside ----

    def _flush(self, name: str) -> None:
        if pending := self._unsynced.pop(name, None):
            self.disk.append(name, b"".join(pending))
        if (over := self._overwritten.pop(name, None)) is not None:
            self.disk.overwrite(name, over)

    def _fail_if_due(self, operation: DiskOperation, name: str) -> None:
        failing = self.failing
        if failing is None or failing.operation != operation:
            return
        self.failed += 1
        if failing.once:
            self.failing = None
        code = getattr(errno, failing.error)
        raise OSError(code, os.strerror(code), self.describe(name))


def with_holes(data: bytes, holes: int) -> bytes:
    """The data with zeros in each block whose bit of the pattern is set."""
    if not holes:
        return data
    blocks = [data[at : at + BLOCK] for at in range(0, len(data), BLOCK)]
    return b"".join(bytes(len(block)) if holes >> place % HOLES & 1 else block for place, block in enumerate(blocks))
