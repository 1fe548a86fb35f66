"""A disk whose power can fail, and whose operations can: `FaultDisk` wraps any other disk.

It keeps unsynced writes in the process, so that SIGKILL loses exactly what a power cut would lose: the operating system
would keep them, and hide a missing sync. So it does with names that were not synced (`unsynced_names`). On demand its
operations fail, as those of a broken or full disk do.

If only the process ends, its unsynced writes are still in the cache of the operating system: the next process reads
them, and a power failure loses them all the same. They are then in a file, from which the next `FaultDisk` takes them.
"""

from __future__ import annotations

import errno
import os
from typing import NoReturn, TypeAlias

import msgspec
from msgspec.structs import replace

from raft_chaos.raft.storage.disk import Disk
from raft_chaos.raft.storage.failing import DiskOperation, Failing
from raft_chaos.raft.storage.name_changes import PageCache
from raft_chaos.raft.storage.unsynced_names import UnsyncedNames

BLOCK = 64
"""A hole is this long. A real disk loses whole sectors; smaller blocks also make holes in small records."""
HOLES = 16
"""How many blocks in a row a pattern of holes describes."""
PAGE_CACHE = ".page_cache"
"""What outlives the process, and not the power. The file is the operating system's, so no process sees it."""


Appended: TypeAlias = list[bytes]

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(PageCache).decode


class FaultDisk:
    """Keeps written bytes in this process until they are synced; a kill forgets them.

    `slow_sync_us` is the range from which the host draws the additional time of each sync (0, 0: none);
    `slowed_syncs` counts the syncs that it delayed. `failing` is what fails, `failed` how often it did.
    """

    def __init__(self, disk: Disk, failing: Failing | None = None) -> None:
        cached = disk.read(PAGE_CACHE) if PAGE_CACHE in disk.list() else None
        self.disk = UnsyncedNames(disk, hidden=[PAGE_CACHE])
        self.slow_sync_us = (0, 0)
        self.slowed_syncs = 0
        self.failing = failing
        self.failed = 0
        self._unsynced: dict[str, Appended] = {}
        self._overwritten: dict[str, bytes] = {}
        if cached is not None:
            disk.remove(PAGE_CACHE)
            self._take(_decode(cached))

    def list(self) -> list[str]:
        return self.disk.list()

    def read(self, name: str, offset: int = 0, size: int | None = None) -> bytes:
        self._fail_if_due("read", name)
        return self._whole(name) if size is None else self._part(name, offset, size)

    def _whole(self, name: str) -> bytes:
        pending, over = self._unsynced.get(name, []), self._overwritten.get(name, b"")
        below = self.disk.read(name)
        return over + below[len(over) :] + b"".join(pending)

    def read_at(self, name: str, offset: int, size: int) -> bytes:
        self._fail_if_due("read_back", name)
        return self._part(name, offset, size)

    def _part(self, name: str, offset: int, size: int) -> bytes:
        if name in self._overwritten:
            return self._whole(name)[offset : offset + size]
        # Of what is durable nothing is in this process. A sync may move bytes to the disk meanwhile, in its thread.
        data = self.disk.read_at(name, offset, size)
        if len(data) == size or name not in self._unsynced:
            return data
        return self._whole(name)[offset : offset + size]

    def append(self, name: str, data: bytes) -> None:
        if (pending := self._unsynced.get(name)) is None:
            self.disk.make(name)
            pending = self._unsynced[name] = []
        if self._is_due("append"):
            pending.append(data[: len(data) // 2])
            self._fail(name)
        pending.append(data)

    def overwrite(self, name: str, data: bytes) -> None:
        self.disk.make(name)
        self._overwritten[name] = data + self._overwritten.get(name, b"")[len(data) :]

    def truncate(self, name: str, size: int) -> None:
        data = b"".join(self._unsynced.pop(name, ()))
        if data and size > (durable := len(self.disk.read(name))):
            self._unsynced[name] = [data[: size - durable]]
        else:
            self._flush(name)
            self.disk.truncate(name, size)

    def sync(self, name: str) -> None:
        if self._is_due("sync"):
            self._drop(name)
            self._fail(name)
        self._flush(name)
        self.disk.sync(name)

    def rename(self, name: str, new_name: str) -> None:
        self._fail_if_due("rename", name)
        self.disk.rename(name, new_name)
        # A rename makes no bytes durable: unsynced bytes can still be lost, under the new name.
        pending, over = self._drop(name)
        self._drop(new_name)
        if pending is not None:
            self._unsynced[new_name] = pending
        if over is not None:
            self._overwritten[new_name] = over

    def remove(self, name: str) -> None:
        self.disk.remove(name)
        self._drop(name)

    def sync_folder(self) -> None:
        self.disk.sync_folder()

    def describe(self, name: str) -> str:
        return self.disk.describe(name)

    def close(self) -> None:
        """Forgets unsynced bytes, as a power cut would."""
        self.forget()
        self.disk.close()

    # ---- what a crash does ----

    def unsynced(self) -> int:
        """How much a power cut would lose: of appended bytes, and of changes of names, each of which counts as one."""
        return len(self.disk.changes) + sum(map(self.unsynced_bytes, self._unsynced))

    def unsynced_bytes(self, name: str) -> int:
        """How many appended bytes of the file a power cut would lose."""
        return sum(map(len, self._unsynced.get(name, ())))

    def lose(self, keep: int, holes: int = 0) -> None:
        """The power fails. The first `keep` of what is unsynced reach the disk, names before bytes.

        If bit n of `holes` is set, name n and block n of each `HOLES` of them do not (`unsynced_names`). Then bytes are
        written in any order, so overwritten ones may get there: those of file n, unless bit n from the top is set.
        """
        names = len(self.disk.changes)
        left = max(0, keep - names)
        for name in [*self._unsynced]:
            size = self.unsynced_bytes(name)
            self.let_through(name, left, holes)
            left = max(0, left - size)
        for place, name in enumerate(self._overwritten):
            if holes and keep and not _is_hole(holes, HOLES - 1 - place):
                self.disk.overwrite(name, self._overwritten[name])
        self.disk.let_through([place < keep and not _is_hole(holes, place) for place in range(names)])
        self.forget()

    def let_through(self, name: str, size: int, holes: int = 0) -> None:
        """The first `size` unsynced bytes reach the disk without a sync: a write torn at any byte.

        If bit n of `holes` is set, block n of each `HOLES` of them does not: zeros stand in its place.
        """
        if pending := self._unsynced.pop(name, None):
            self.disk.append(name, with_holes(b"".join(pending)[:size], holes))

    def let_all_through(self) -> None:
        """All that is unsynced reaches the disk: the operating system has written it back."""
        for name in [*self._unsynced, *self._overwritten]:
            self._flush(name)
        self.disk.sync_folder()

    def leave_cache(self) -> None:
        """Only the process ends: what is unsynced stays in the cache of the operating system, for the next one."""
        appended = {name: b"".join(pending) for name, pending in self._unsynced.items()}
        cache = PageCache(self.disk.changes, appended, self._overwritten)
        if cache != PageCache([], {}, {}):
            self.disk.disk.append(PAGE_CACHE, _encode(cache))
        self.forget()

    def forget(self) -> None:
        """Loses all that is unsynced."""
        self._unsynced.clear()
        self._overwritten.clear()
        self.disk.let_through([False] * len(self.disk.changes))

    # ---- the inside ----

    def _take(self, cache: PageCache) -> None:
        """What an earlier process left in the cache of the operating system is unsynced still."""
        self.disk.change(cache.changes)
        self._unsynced = {name: [data] for name, data in cache.appended.items()}
        self._overwritten = cache.overwritten

    def _drop(self, name: str) -> tuple[Appended | None, bytes | None]:
        """What is unsynced of the content of this file, which is nobody's any more."""
        return self._unsynced.pop(name, None), self._overwritten.pop(name, None)

    def _flush(self, name: str) -> None:
        if pending := self._unsynced.pop(name, None):
            self.disk.append(name, b"".join(pending))
        if (over := self._overwritten.pop(name, None)) is not None:
            self.disk.overwrite(name, over)

    def _fail_if_due(self, operation: DiskOperation, name: str) -> None:
        if self._is_due(operation):
            self._fail(name)

    def _is_due(self, operation: DiskOperation) -> bool:
        failing = self.failing
        if failing is None or failing.operation != operation:
            return False
        if failing.after > 0:
            self.failing = replace(failing, after=failing.after - 1)
        return failing.after <= 0

    def _fail(self, name: str) -> NoReturn:
        failing = self.failing
        assert failing is not None, "an operation is due"
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
    return b"".join(bytes(len(block)) if _is_hole(holes, place) else block for place, block in enumerate(blocks))


def _is_hole(holes: int, place: int) -> bool:
    return bool(holes >> place % HOLES & 1)
