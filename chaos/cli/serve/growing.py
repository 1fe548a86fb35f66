"""Files that grow by a line for each seed or attempt that ends: campaigns, explorations. No byte is read twice."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

from raft_chaos.chaos.cli.read.run_names import Ongoing
from raft_chaos.chaos.cli.serve.folder import NotThereError
from raft_chaos.chaos.run.live.tail import Tail
from raft_chaos.invariants.events import MALFORMED

Line = TypeVar("Line")
File = TypeVar("File", bound="Growing[Any]")


class UnreadableError(Exception):
    """The file is not what its name says. The message says which, and what is wrong."""


class Growing(ABC, Generic[Line]):
    """One file, as far as it was read. `refresh` first. `what` is what it should be, for messages."""

    what: str

    def __init__(self, file: Path, decode: Callable[[bytes], Line]) -> None:
        self.file = file
        self.goes_on = False
        self._tail = Tail(file, decode, follow=False)
        self._seen: tuple[int, int] | None = None

    @property
    def is_replaced(self) -> bool:
        """Whether the file of that name is another one now, or was cut: one that begins anew does that."""
        status = self.file.lstat()
        replaced = self._seen is not None and (status.st_ino != self._seen[0] or status.st_size < self._seen[1])
        self._seen = status.st_ino, status.st_size
        return replaced

    def refresh(self, ongoing: Ongoing) -> None:
        """Reads what the file has got since the last call. Raises UnreadableError."""
        try:
            for line in self._tail.read():
                self._take(line)
            self.goes_on = not self._has_ended and ongoing.writes(self.file)
        except (OSError, *MALFORMED) as error:
            raise UnreadableError(f"{self.file.name}: cannot be read as {self.what} ({error})") from None
        if not self._has_begun:
            raise UnreadableError(f"{self.file.name}: expected the header of {self.what} in its first line")

    def close(self) -> None:
        self._tail.close()

    @abstractmethod
    def page(self) -> str:
        """Its page, as one HTML document."""

    @abstractmethod
    def _take(self, line: Line) -> None: ...

    @property
    @abstractmethod
    def _has_begun(self) -> bool:
        """Whether its header was read."""

    @property
    @abstractmethod
    def _has_ended(self) -> bool:
        """Whether it says that nothing will follow."""


class GrowingFiles(Generic[File]):
    """Those of one kind. `find` has the path that belongs to a name, or raises NotThereError; `make` opens it."""

    def __init__(self, find: Callable[[str], Path], make: Callable[[Path], File]) -> None:
        self._find = find
        self._make = make
        self._open: dict[str, File] = {}

    def all(self, names: Sequence[str], ongoing: Ongoing) -> list[File]:
        """Those of these names that can be read; all others are closed."""
        for gone in self._open.keys() - set(names):
            self._open.pop(gone).close()
        there = []
        for name in names:
            try:
                there.append(self.one(name, ongoing))
            except (UnreadableError, NotThereError):
                continue
        return there

    def one(self, name: str, ongoing: Ongoing) -> File:
        """The file of that name, read up to its end. Raises NotThereError, UnreadableError."""
        path = self._find(name)
        file = self._open.setdefault(name, self._make(path))
        try:
            if file.is_replaced:
                file.close()
                file = self._open[name] = self._make(path)
            file.refresh(ongoing)
        except (OSError, UnreadableError) as error:
            self._open.pop(name).close()
            if isinstance(error, OSError):
                raise NotThereError(name) from error
            raise
        return file

    def close(self) -> None:
        for file in self._open.values():
            file.close()
