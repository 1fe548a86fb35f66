"""A file or folder of a lossy disk, by whatever names it has."""

from __future__ import annotations

import os
import stat

HANDLE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


class File:
    """The kernel knows it by `number`, and remembers it until it has forgotten as many look-ups as it was told of.

    `handle` stays with the file whatever happens to its names. `changed` is the place of the last change that an fsync
    of the file makes durable, and `journalled` that of the last one that an fdatasync does (see `unsynced`).
    """

    def __init__(self, number: int, handle: int, status: os.stat_result) -> None:
        self.number = number
        self.handle = handle
        self.key = (status.st_dev, status.st_ino)
        self.is_folder = stat.S_ISDIR(status.st_mode)
        self.lookups = 0
        self.opens = 0
        self.undoable = 0  # changes of it that may be undone
        self.removed = 0  # names that it has lost, and may have again
        self.owes = False  # whether an fsync of it would still make older changes of names durable
        self.changed = 0
        self.journalled = 0
        self._content: int | None = None

    @property
    def path(self) -> str:
        """A name under which this process finds the file, also when it has no other name left."""
        return f"/proc/self/fd/{self.handle}"

    @property
    def size(self) -> int:
        return os.fstat(self.handle).st_size

    @property
    def is_held(self) -> bool:
        """Whether somebody may still ask for it."""
        return bool(self.lookups or self.opens or self.undoable or self.removed or self.owes)

    @property
    def content(self) -> int:
        """A descriptor with which to read its content, and to write it if this user may."""
        if self._content is None:
            try:
                self._content = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
            except PermissionError:
                self._content = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        return self._content

    def settle(self) -> None:
        """Closes what nobody needs any more."""
        if self._content is not None and not self.opens and not self.undoable:
            os.close(self._content)
            self._content = None
        if not self.is_held and self.handle >= 0:
            os.close(self.handle)
            self.handle = -1
