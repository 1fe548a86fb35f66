"""What a node has changed and not synced: the changes in their order, each with what it takes to undo it.

The folder always has the newest content. A loss undoes changes from the last one backwards, so what remains is a state
that POSIX allows after a power failure, and that the usual file systems of Linux (ext4 and XFS, as they are mounted by
default) can leave behind:

- **Content** (writes, sizes) is durable once an fsync or fdatasync of that file has returned, never before.
- **Names** (created, renamed, removed) are changed in a journal, in one order for the whole disk. An fsync of a file or
  folder makes durable the last change that concerns it, and with it every change of a name before that. An fdatasync
  does the same, except that a write which leaves the size as it was concerns nothing but the content.

So a new file survives with the first fsync of itself, and a rename with an fsync of its folder, or with any later
change that is synced; a file that is renamed before it is synced keeps its new name and loses its content. Modes,
owners and times are never lost. Nothing becomes durable by itself, however long it waits.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from raft_chaos.chaos.run.live.disk.file import File

WHOLE_PERMILLE = 1000


class Lost(NamedTuple):
    """What a loss took: so many written bytes, and so many changes of names."""

    written: int
    names: int


Extents: TypeAlias = Sequence[tuple[int, bytes]]
"""Parts of a file's content, each with its offset."""


@dataclass(frozen=True, slots=True)
class Written:
    """Bytes were written at an offset; there were the `old` ones before, and the file had this size."""

    place: int
    file: File
    offset: int
    length: int
    old: bytes
    size: int

    def undo(self, kept: int) -> None:
        """All but the first `kept` bytes."""
        if self.old[kept:]:
            os.pwrite(self.file.content, self.old[kept:], self.offset + kept)
        os.ftruncate(self.file.content, max(self.size, self.offset + kept if kept else 0))


@dataclass(frozen=True, slots=True)
class Resized:
    """The file got another size; these parts were cut off."""

    place: int
    file: File
    size: int
    cut_off: Extents
    length: int = 1

    def undo(self, kept: int) -> None:
        os.ftruncate(self.file.content, self.size)
        for offset, old in self.cut_off:
            os.pwrite(self.file.content, old, offset)


@dataclass(frozen=True, slots=True)
class Made:
    """A name came into being."""

    place: int
    folder: File
    name: bytes
    file: File
    length: int = 1

    @property
    def concerned(self) -> tuple[File, ...]:
        return self.folder, self.file

    def undo(self, kept: int) -> None:
        (os.rmdir if self.file.is_folder else os.unlink)(self.name, dir_fd=self.folder.handle)


class Grave(NamedTuple):
    """Where a file is that lost a name, until that is durable: under a name of its own, in a folder beside the data."""

    file: File
    folder: int
    name: bytes

    def restore(self, folder: File, name: bytes) -> None:
        os.rename(self.name, name, src_dir_fd=self.folder, dst_dir_fd=folder.handle)
        self.file.removed -= 1

    def remove(self) -> None:
        (os.rmdir if self.file.is_folder else os.unlink)(self.name, dir_fd=self.folder)
        self.file.removed -= 1


@dataclass(frozen=True, slots=True)
class Removed:
    """A name went out of being."""

    place: int
    folder: File
    name: bytes
    grave: Grave
    length: int = 1

    @property
    def concerned(self) -> tuple[File, ...]:
        return self.folder, self.grave.file

    def undo(self, kept: int) -> None:
        self.grave.restore(self.folder, self.name)


@dataclass(frozen=True, slots=True)
class Renamed:
    """A file got another name, perhaps that of a file which thereby lost it."""

    place: int
    folder: File
    name: bytes
    new_folder: File
    new_name: bytes
    file: File
    grave: Grave | None
    length: int = 1

    @property
    def concerned(self) -> tuple[File, ...]:
        return self.folder, self.new_folder, self.file

    def undo(self, kept: int) -> None:
        os.rename(self.new_name, self.name, src_dir_fd=self.new_folder.handle, dst_dir_fd=self.folder.handle)
        if self.grave is not None:
            self.grave.restore(self.new_folder, self.new_name)


ContentChange: TypeAlias = Written | Resized
NameChange: TypeAlias = Made | Removed | Renamed


class Unsynced:
    """All changes that a loss would undo. Each method that notes one is called once it has been made.

    `settle` is told of each file of which nothing can be undone any more.
    """

    def __init__(self, settle: Callable[[File], None]) -> None:
        self._settle = settle
        self._places = 0
        self._names: deque[NameChange] = deque()
        self._content: dict[File, list[ContentChange]] = {}
        self._owing: dict[File, None] = {}

    def wrote(self, file: File, offset: int, length: int, old: bytes, size: int) -> None:
        grew = offset + length > size
        self._note_content(Written(self._next((file,), journalled=grew), file, offset, length, old, size))

    def resized(self, file: File, size: int, cut_off: Extents) -> None:
        self._note_content(Resized(self._next((file,)), file, size, cut_off))

    def made(self, folder: File, name: bytes, file: File) -> None:
        self._note_name(Made(self._next((folder, file)), folder, name, file))

    def removed(self, folder: File, name: bytes, grave: Grave) -> None:
        self._note_name(Removed(self._next((folder, grave.file)), folder, name, grave))

    def renamed(
        self, folder: File, name: bytes, new_folder: File, new_name: bytes, file: File, grave: Grave | None
    ) -> None:
        place = self._next((folder, new_folder, file))
        self._note_name(Renamed(place, folder, name, new_folder, new_name, file, grave))

    def _next(self, concerned: Iterable[File], *, journalled: bool = True) -> int:
        """The place of the next change, which concerns these files."""
        self._places += 1
        for file in concerned:
            file.changed = self._places
            file.journalled = self._places if journalled else file.journalled
        return self._places

    def _note_content(self, change: ContentChange) -> None:
        change.file.undoable += 1
        self._content.setdefault(change.file, []).append(change)

    def _note_name(self, change: NameChange) -> None:
        for file in change.concerned:
            file.undoable += 1
        self._names.append(change)

    def sync(self, file: File, data_only: bool) -> None:
        """An fsync of the file or folder, or an fdatasync: what it makes durable is never undone."""
        if data_only:  # a later fsync makes more names durable, so the place of its last change is not forgotten
            file.owes = True
            self._owing[file] = None
        self._forget_content(file)
        upto = file.journalled if data_only else file.changed
        while self._names and self._names[0].place <= upto:
            self._is_durable(self._names.popleft())
        self._owe_less()

    def lose(self, keep_permille: int) -> Lost:
        """Undoes all but the first changes: this many thousandths of the written bytes stay. A change of a name or size
        counts as one byte. The last write that stays may be torn at any byte."""
        changes = [change for several in self._content.values() for change in several]
        in_order: list[ContentChange | NameChange] = sorted([*changes, *self._names], key=lambda change: change.place)
        left = sum(change.length for change in in_order) * keep_permille // WHOLE_PERMILLE
        undone: list[tuple[ContentChange | NameChange, int]] = []
        for change in in_order:
            kept = min(left, change.length)
            left -= kept
            if kept < change.length:
                undone.append((change, kept))
        for change, kept in reversed(undone):
            change.undo(kept)
        while self._names and not (undone and self._names[0].place >= undone[0][0].place):
            self._is_durable(self._names.popleft())
        for name_change in self._names:
            self._unpin(name_change.concerned)
            if isinstance(name_change, Renamed) and name_change.grave is not None:
                self._settle(name_change.grave.file)
        self._names.clear()
        self._owe_less()
        for file in list(self._content):
            self._forget_content(file)
        written = sum(change.length - kept for change, kept in undone if isinstance(change, Written))
        return Lost(written, sum(not isinstance(change, ContentChange) for change, _ in undone))

    def _owe_less(self) -> None:
        """A file owes nothing once each name that changed before its last change is durable, or lost."""
        for file in [file for file in self._owing if not (self._names and self._names[0].place <= file.changed)]:
            del self._owing[file]
            file.owes = False
            self._settle(file)

    def _forget_content(self, file: File) -> None:
        self._unpin([file] * len(self._content.pop(file, ())))

    def _is_durable(self, change: NameChange) -> None:
        """Nothing brings back what lost its name by it; the content of a file without a name is nobody's loss."""
        grave = None if isinstance(change, Made) else change.grave
        if grave is not None:
            if os.fstat(grave.file.handle).st_nlink <= 1:
                self._forget_content(grave.file)
            grave.remove()
            self._settle(grave.file)
        self._unpin(change.concerned)

    def _unpin(self, files: Sequence[File]) -> None:
        for file in files:
            file.undoable -= 1
        for file in dict.fromkeys(files):
            self._settle(file)
