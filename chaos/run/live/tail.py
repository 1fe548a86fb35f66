"""A file of lines, read while somebody else writes it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from raft_chaos.invariants.regular_file import open_regular

ALL = sys.maxsize

T = TypeVar("T")


class Tail(Generic[T]):
    """A growing file of JSON lines. Each read continues where the last one ended, and keeps an unfinished line back.

    `follow` is False where the file may be anybody's: a symbolic link is then refused.
    """

    def __init__(self, file: Path, decode: Callable[[bytes], T], *, follow: bool = True) -> None:
        self._file = file
        self._decode = decode
        self._follow = follow
        self._fd: int | None = None
        self._rest = b""

    def read(self, most_bytes: int = ALL) -> list[T]:
        """What is new, or of very much the beginning. Raises OSError if the file is not a regular one."""
        if self._fd is None:
            try:
                self._fd = open_regular(self._file, follow=self._follow)
            except FileNotFoundError:
                return []
        found: list[T] = []
        while most_bytes > 0 and (data := os.read(self._fd, 1 << 20)):
            most_bytes -= len(data)
            *lines, self._rest = (self._rest + data).split(b"\n")
            found.extend(map(self._decode, lines))
        return found

    @property
    def unfinished_bytes(self) -> int:
        """How much of the last line is there."""
        return len(self._rest)

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
