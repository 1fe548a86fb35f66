"""Files as a node sees them.

`Disk` is one folder. It has two implementations: the operating system's (`OsDisk`) and memory (`MemoryDisk`).
`fault_disk` wraps either.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Protocol

from raft_chaos.invariants.regular_file import open_regular, read_regular


class Disk(Protocol):
    """One folder of files. `append`, `overwrite` and `truncate` are durable after `sync` of that file; creating,
    renaming and removing after `sync_folder`. `append` and `overwrite` create a missing file; everything else raises
    FileNotFoundError for one. Any failure is an OSError."""

    def list(self) -> list[str]: ...
    def read(self, name: str, offset: int = 0, size: int | None = None) -> bytes:
        """The file, or a part of it; less than `size` bytes if it ends before. For a node that starts."""
        ...

    def read_at(self, name: str, offset: int, size: int) -> bytes:
        """The same part, for a node that runs, whose other thread may append to the file meanwhile."""
        ...

    def append(self, name: str, data: bytes) -> None: ...
    def overwrite(self, name: str, data: bytes) -> None:
        """Writes `data` over the beginning of the file. A file is either appended to or overwritten."""
        ...

    def truncate(self, name: str, size: int) -> None: ...
    def sync(self, name: str) -> None: ...
    def rename(self, name: str, new_name: str) -> None: ...
    def remove(self, name: str) -> None: ...
    def sync_folder(self) -> None: ...
    def describe(self, name: str) -> str:
        """The file's name in messages for people."""
        ...

    def close(self) -> None: ...


class FolderInUseError(Exception):
    """Another process uses this folder."""


class OsDisk:
    """A real folder. Locked while open: two nodes in one folder would damage each other's log.

    Its files are regular ones. Whatever else has their name is an error, and never waited for (O_NONBLOCK).
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._folder_fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        self._files: dict[str, int] = {}  # open for appending
        self._overwritten: dict[str, int] = {}  # open for writing in place, which O_APPEND does not allow
        self._read: dict[str, int] = {}  # open for reading parts
        try:
            fcntl.flock(self._folder_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._folder_fd)
            raise FolderInUseError(
                f"{folder}: another process uses this data folder; end it, or choose another"
            ) from None

    def list(self) -> list[str]:
        return sorted(os.listdir(self.folder))

    def read(self, name: str, offset: int = 0, size: int | None = None) -> bytes:
        return read_regular(self.folder / name) if size is None else self.read_at(name, offset, size)

    def read_at(self, name: str, offset: int, size: int) -> bytes:
        if name not in self._read:
            self._read[name] = open_regular(self.folder / name)
        parts: list[bytes] = []
        while size > 0 and (part := os.pread(self._read[name], size, offset)):
            parts.append(part)
            offset, size = offset + len(part), size - len(part)
        return b"".join(parts)

    def append(self, name: str, data: bytes) -> None:
        view, fd = memoryview(data), self._open(name, os.O_CREAT)
        while view:
            written = os.write(fd, view)
            view = view[written:]

    def overwrite(self, name: str, data: bytes) -> None:
        if name not in self._overwritten:
            flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
            self._overwritten[name] = os.open(self.folder / name, flags, 0o644)
        written = 0
        while written < len(data):
            written += os.pwrite(self._overwritten[name], data[written:], written)

    def truncate(self, name: str, size: int) -> None:
        os.ftruncate(self._open(name), size)

    def sync(self, name: str) -> None:
        os.fdatasync(self._open(name))

    def rename(self, name: str, new_name: str) -> None:
        self._forget(name)
        self._forget(new_name)
        os.rename(self.folder / name, self.folder / new_name)

    def remove(self, name: str) -> None:
        self._forget(name)
        os.remove(self.folder / name)

    def sync_folder(self) -> None:
        os.fsync(self._folder_fd)

    def describe(self, name: str) -> str:
        return str(self.folder / name)

    def close(self) -> None:
        for name in [*self._files, *self._overwritten, *self._read]:
            self._forget(name)
        os.close(self._folder_fd)

    def _open(self, name: str, create: int = 0) -> int:
        if name not in self._files:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK | create
            self._files[name] = os.open(self.folder / name, flags, 0o644)
        return self._files[name]

    def _forget(self, name: str) -> None:
        for files in (self._files, self._overwritten, self._read):
            if name in files:
                os.close(files.pop(name))


class MemoryDisk:
    """A folder in memory; for tests and simulation."""

    def __init__(self) -> None:
        self.files: dict[str, bytearray] = {}

    def list(self) -> list[str]:
        return sorted(self.files)

    def read(self, name: str, offset: int = 0, size: int | None = None) -> bytes:
        return bytes(memoryview(self._file(name))[offset : None if size is None else offset + size])

    def read_at(self, name: str, offset: int, size: int) -> bytes:
        return self.read(name, offset, size)

    def append(self, name: str, data: bytes) -> None:
        self.files.setdefault(name, bytearray()).extend(data)

    def overwrite(self, name: str, data: bytes) -> None:
        self.files.setdefault(name, bytearray())[: len(data)] = data

    def truncate(self, name: str, size: int) -> None:
        del self._file(name)[size:]

    def sync(self, name: str) -> None:
        self._file(name)

    def rename(self, name: str, new_name: str) -> None:
        self.files[new_name] = self._file(name)
        del self.files[name]

    def remove(self, name: str) -> None:
        self._file(name)
        del self.files[name]

    def sync_folder(self) -> None:
        pass

    def describe(self, name: str) -> str:
        return name

    def close(self) -> None:
        pass

    def _file(self, name: str) -> bytearray:
        if name not in self.files:
            raise FileNotFoundError(name)
        return self.files[name]
