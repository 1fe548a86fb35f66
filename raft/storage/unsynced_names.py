"""The changes of names in a folder that was not synced since: files that were made, renamed or removed.

POSIX promises nothing about them before an fsync of the folder. ext4 and XFS write such changes in their order; ext2
and btrfs write those of different files in any order (Pillai et al., OSDI 2014). So any of them may be lost in a power
failure, but for two rules that all of these keep: a rename is done whole or not at all, and changes that concern the
same name are done in order, so if one is lost, those behind it are lost, too. An fsync of the file is not enough.

Changes are kept in this process until they are durable, with the content of files that have no durable name yet.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Sequence
from threading import Lock

from raft_chaos.raft.storage.disk import Disk
from raft_chaos.raft.storage.name_changes import Made, NameChange, Removed, Renamed


class UnsyncedNames:
    """A folder as its process sees it, over a `disk` that has the durable names. Content goes through at once, to where
    the file is on the disk, under whatever name. `hidden` files of the disk are not the process's."""

    def __init__(self, disk: Disk, hidden: Sequence[str] = ()) -> None:
        self.disk = disk
        self.changes: list[NameChange] = []
        self._durable = {name for name in disk.list() if name not in hidden}
        self._places: dict[str, str | bytearray | None] = {}
        """Where a file is whose name has changed: under its durable name, in this process, or nowhere."""
        self._moving = Lock()  # a node reads entries back while its other thread syncs

    def change(self, changes: Iterable[NameChange]) -> None:
        """Makes these changes, which stay unsynced. Raises FileNotFoundError."""
        for change in changes:
            if isinstance(change, Made):
                self._places[change.name] = change.content
            elif isinstance(change, Renamed):
                place = self._place(change.name)
                self._places[change.name] = None
                self._places[change.new_name] = place
            else:
                self._place(change.name)
                self._places[change.name] = None
            self.changes.append(change)

    def let_through(self, survives: Sequence[bool]) -> None:
        """The power fails. Of the changes these reach the disk, unless one before them on the same name does not."""
        lost: set[str] = set()
        with self._moving:
            for change, there in zip(self.changes, survives, strict=True):
                if there and lost.isdisjoint(change.concerned):
                    self._carry_out(change)
                else:
                    lost.update(change.concerned)
            self.changes.clear()
            self._places.clear()

    def _carry_out(self, change: NameChange) -> None:
        if isinstance(change, Made):
            self.disk.append(change.name, bytes(change.content))
            self.disk.sync(change.name)
            self._durable.add(change.name)
        elif isinstance(change, Renamed):
            self.disk.rename(change.name, change.new_name)
            self._durable.discard(change.name)
            self._durable.add(change.new_name)
        else:
            self.disk.remove(change.name)
            self._durable.discard(change.name)

    def _place(self, name: str) -> str | bytearray:
        place = self._find(name)
        if place is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self.describe(name))
        return place

    def _find(self, name: str) -> str | bytearray | None:
        return self._places.get(name, name if name in self._durable else None)

    # ---- a disk ---------------------------------------------------------------------------------------------------

    def list(self) -> list[str]:
        there = {name for name, place in self._places.items() if place is not None}
        return sorted((self._durable - self._places.keys()) | there)

    def make(self, name: str) -> None:
        """Makes the file if it is not there."""
        if self._find(name) is None:
            self.change([Made(name, bytearray())])

    def read(self, name: str, offset: int = 0, size: int | None = None) -> bytes:
        place = self._place(name)
        if isinstance(place, str):
            return self.disk.read(place, offset, size)
        return bytes(memoryview(place)[offset : None if size is None else offset + size])

    def read_at(self, name: str, offset: int, size: int) -> bytes:
        with self._moving:
            place = self._place(name)
            if isinstance(place, str):
                return self.disk.read_at(place, offset, size)
            return bytes(memoryview(place)[offset : offset + size])

    def append(self, name: str, data: bytes) -> None:
        place = self._place(name)
        if isinstance(place, str):
            self.disk.append(place, data)
        else:
            place.extend(data)

    def overwrite(self, name: str, data: bytes) -> None:
        place = self._place(name)
        if isinstance(place, str):
            self.disk.overwrite(place, data)
        else:
            place[: len(data)] = data

    def truncate(self, name: str, size: int) -> None:
        place = self._place(name)
        if isinstance(place, str):
            self.disk.truncate(place, size)
        else:
            del place[size:]

    def sync(self, name: str) -> None:
        place = self._place(name)
        if isinstance(place, str):
            self.disk.sync(place)

    def rename(self, name: str, new_name: str) -> None:
        self.change([Renamed(name, new_name)])

    def remove(self, name: str) -> None:
        self.change([Removed(name)])

    def sync_folder(self) -> None:
        self.let_through([True] * len(self.changes))
        self.disk.sync_folder()

    def describe(self, name: str) -> str:
        return self.disk.describe(name)

    def close(self) -> None:
        self.disk.close()
