"""A file of JSON lines to which one process appends, so that work which was stopped, or killed, goes on.

A lock keeps others out. Each line is one unbuffered write, so a kill can tear only the last line, and opening the file
cuts that off. Any other damage is an error.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from raft_chaos.invariants.events import MALFORMED

Line = TypeVar("Line")
_encode = msgspec.json.Encoder().encode


def whole_lines(path: Path, decode: Callable[[bytes], Line]) -> list[Line]:
    """The lines of a file that another process may be appending to, without a torn last one.

    Raises OSError, and what `decode` raises (`MALFORMED`).
    """
    return [decode(text) for text in path.read_bytes().splitlines(keepends=True) if text.endswith(b"\n")]


class LineFile(Generic[Line]):
    """The file, open and locked; it is made if it is absent. Close it in the end.

    `noun` says in messages whose file it is: "campaign". `observe` gets each line that it already has, with its number
    from 1, and may raise. Raises `error` if it is damaged or another process has it open, OSError if it cannot be made.
    """

    def __init__(
        self,
        path: Path,
        decode: Callable[[bytes], Line],
        noun: str,
        error: type[Exception],
        observe: Callable[[int, Line], None] = lambda number, line: None,
    ) -> None:
        self.path = path
        self._decode = decode
        self._noun = noun
        self._error = error
        self._fd = self._locked()
        try:
            os.ftruncate(self._fd, self._read(observe))
            self._earlier_bytes = os.fstat(self._fd).st_size
        except BaseException:
            self.close()
            raise

    @property
    def is_new(self) -> bool:
        """Whether it had no line when it was opened."""
        return not self._earlier_bytes

    def append(self, line: Line) -> None:
        """Raises `error` if the disk took only a part of the line."""
        text = _encode(line) + b"\n"
        if os.write(self._fd, text) != len(text):
            raise self._error(f"{self.path}: a line was written in part only; is the disk full?")

    def earlier(self) -> Iterator[Line]:
        """The lines that it had when it was opened, one at a time: there may be millions."""
        with self.path.open("rb") as file:
            while file.tell() < self._earlier_bytes:
                yield self._decode(file.readline())

    def close(self) -> None:
        os.close(self._fd)

    def _locked(self) -> int:
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK, 0o644)
        if not stat.S_ISREG(os.fstat(fd).st_mode):  # a pipe or a device would never end
            os.close(fd)
            raise self._error(f"{self.path}: expected a regular file, got a pipe or a device")
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            raise self._error(f"{self.path}: this {self._noun} is under way in another process; let it end") from None
        return fd

    def _read(self, observe: Callable[[int, Line], None]) -> int:
        """Shows every whole line; returns the bytes of these lines."""
        whole = 0
        with self.path.open("rb") as file:
            for number, text in enumerate(file, 1):
                if not text.endswith(b"\n"):
                    break
                try:
                    line = self._decode(text)
                except MALFORMED as error:
                    raise self._error(
                        f"{self.path}:{number}: not a line of this {self._noun} ({error}); remove the file to begin "
                        "anew"
                    ) from None
                observe(number, line)
                whole += len(text)
        return whole
