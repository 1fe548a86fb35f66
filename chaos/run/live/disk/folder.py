"""The operations on the files of a lossy disk. Each is made at once in the folder beneath, and noted in `unsynced`.

Files are named as the kernel does: by the folder's `File` and a name in it. Errors are those of the system (OSError).
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from contextlib import suppress

from raft_chaos.chaos.run.live import kernel
from raft_chaos.chaos.run.live.disk.file import HANDLE, File
from raft_chaos.chaos.run.live.disk.unsynced import Extents, Grave, Lost, Unsynced

ROOT = 1
"""The number of the folder itself."""
KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE = 0x1, 0x2, 0x10
"""The modes of fallocate(2)."""


class LossyFolder:
    """A folder whose unsynced changes can be lost. `graves` is an empty folder on the same file system, for files that
    have lost a name. Nobody else changes either of them meanwhile."""

    def __init__(self, folder: int, graves: int) -> None:
        self.root = File(ROOT, folder, os.fstat(folder))
        self.root.lookups = 1
        self._graves = graves
        self._buried = 0
        self._numbers = ROOT
        self._files = {ROOT: self.root}
        self._by_key = {self.root.key: self.root}
        self._unsynced = Unsynced(self._settle)

    def __getitem__(self, number: int) -> File:
        if (file := self._files.get(number)) is None:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return file

    # ---- names ----------------------------------------------------------------------------------------------------

    def look_up(self, folder: File, name: bytes) -> File:
        """The file of this name, which must be forgotten as often as it was looked up or made."""
        file = self._found(folder, name)
        file.lookups += 1
        return file

    def forget(self, number: int, lookups: int) -> None:
        file = self._files.get(number)
        if file is not None and file is not self.root:
            file.lookups = max(0, file.lookups - lookups)
            self._settle(file)

    def _found(self, folder: File, name: bytes) -> File:
        handle = os.open(name, HANDLE, dir_fd=folder.handle)
        status = os.fstat(handle)
        if (known := self._by_key.get((status.st_dev, status.st_ino))) is not None:
            os.close(handle)
            return known
        self._numbers += 1
        file = File(self._numbers, handle, status)
        self._files[file.number] = self._by_key[file.key] = file
        return file

    def _settle(self, file: File) -> None:
        file.settle()
        if not file.is_held:
            self._files.pop(file.number, None)
            self._by_key.pop(file.key, None)

    def make(self, folder: File, name: bytes, mode: int, owner: tuple[int, int], device: int = 0) -> File:
        """A file, or whatever else `mode` says."""
        if stat.S_ISDIR(mode):
            return self._made(folder, name, owner, lambda: os.mkdir(name, stat.S_IMODE(mode), dir_fd=folder.handle))
        return self._made(folder, name, owner, lambda: os.mknod(name, mode, device, dir_fd=folder.handle))

    def make_symlink(self, folder: File, name: bytes, to: bytes, owner: tuple[int, int]) -> File:
        return self._made(folder, name, owner, lambda: os.symlink(to, name, dir_fd=folder.handle))

    def make_link(self, file: File, folder: File, name: bytes) -> File:
        return self._made(folder, name, None, lambda: os.link(file.path, name, dst_dir_fd=folder.handle))

    def _made(self, folder: File, name: bytes, owner: tuple[int, int] | None, make: Callable[[], None]) -> File:
        make()
        file = self.look_up(folder, name)
        if owner is not None and owner != (os.geteuid(), os.getegid()):
            os.chown(name, *owner, dir_fd=folder.handle, follow_symlinks=False)
        self._unsynced.made(folder, name, file)
        return file

    def remove(self, folder: File, name: bytes) -> None:
        """An unlink, or an rmdir of an empty folder."""
        self._unsynced.removed(folder, name, self._bury(folder, name))

    def rename(self, folder: File, name: bytes, new_folder: File, new_name: bytes, *, replace: bool) -> None:
        moved, grave = self._found(folder, name), None
        with suppress(FileNotFoundError):
            there = self._found(new_folder, new_name)
            if there is moved or not replace:
                self._settle(moved)
                self._settle(there)
            if not replace:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
            if there is moved:
                return  # two names of one file: POSIX has both stay
            grave = self._bury(new_folder, new_name)
        os.rename(name, new_name, src_dir_fd=folder.handle, dst_dir_fd=new_folder.handle)
        self._unsynced.renamed(folder, name, new_folder, new_name, moved, grave)

    def _bury(self, folder: File, name: bytes) -> Grave:
        file = self._found(folder, name)
        if file.is_folder and os.listdir(file.path):
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY))
        self._buried += 1
        grave = Grave(file, self._graves, b"%d" % self._buried)
        os.rename(name, grave.name, src_dir_fd=folder.handle, dst_dir_fd=self._graves)
        file.removed += 1
        return grave

    def names(self, folder: File) -> list[tuple[bytes, int, int]]:
        """The name, the inode and the type of each entry."""
        with os.scandir(folder.path) as entries:
            found = [(os.fsencode(one.name), one.inode(), one.stat(follow_symlinks=False).st_mode) for one in entries]
        return sorted(found)

    # ---- content --------------------------------------------------------------------------------------------------

    def open(self, file: File) -> None:
        file.opens += 1
        try:
            assert file.content >= 0
        except OSError:
            file.opens -= 1
            raise

    def release(self, file: File) -> None:
        file.opens -= 1
        self._settle(file)

    def read(self, file: File, offset: int, size: int) -> bytes:
        return os.pread(file.content, size, offset)

    def write(self, file: File, offset: int, data: memoryview | bytes) -> int:
        """All of it, or OSError."""
        size = file.size
        old = os.pread(file.content, min(len(data), size - offset), offset) if offset < size else b""
        written = os.pwrite(file.content, data, offset)
        self._unsynced.wrote(file, offset, written, old, size)
        return written

    def resize(self, file: File, size: int) -> None:
        before = file.size
        if size != before:
            cut_off = _extents(file.content, size, before)
            os.ftruncate(file.content, size)
            self._unsynced.resized(file, before, cut_off)
        self._settle(file)

    def allocate(self, file: File, mode: int, offset: int, length: int) -> None:
        """fallocate(2): room for these bytes, or zeros in their place. Other modes are not supported."""
        size = file.size
        if mode & ~KEEP_SIZE in (PUNCH_HOLE, ZERO_RANGE):
            end = min(offset + length, size) if mode & KEEP_SIZE else offset + length
            old = os.pread(file.content, max(0, end - offset), offset)
            kernel.fallocate(file.content, mode, offset, length)
            if end > offset:
                self._unsynced.wrote(file, offset, end - offset, old, size)
        elif mode in (0, KEEP_SIZE):
            kernel.fallocate(file.content, mode, offset, length)
            if file.size != size:
                self._unsynced.resized(file, size, ())
        else:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    # ---- the disk -------------------------------------------------------------------------------------------------

    def sync(self, file: File, *, data_only: bool) -> None:
        """What `unsynced` says is durable now. Nothing else has to be done: this machine's own power does not fail."""
        self._unsynced.sync(file, data_only)
        self._settle(file)

    def lose(self, keep_permille: int) -> Lost:
        return self._unsynced.lose(keep_permille)


def _extents(descriptor: int, start: int, end: int) -> Extents:
    """The content between these offsets, without its holes."""
    extents = []
    while start < end:
        try:
            start = os.lseek(descriptor, start, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                break  # nothing but a hole is left
            raise
        hole = min(end, os.lseek(descriptor, start, os.SEEK_HOLE))
        if start < hole:
            extents.append((start, os.pread(descriptor, hole - start, start)))
        start = hole
    return extents
