"""stdout and stderr of the console command, whatever is at their other end.

A reader may close its pipe, a disk may be full, the shell may have closed the descriptor (`>&-`), and an encoding may
lack a character.

stderr     is only for people. What cannot be written there is lost, and nothing ends because of it.
stdout     has the result. What cannot be written there raises LostOutputError, once; `ends` decides the exit code.
characters that the encoding does not have are shown as "?".
"""

from __future__ import annotations

import errno
import os
import sys
from typing import Any, TextIO, cast


class LostOutputError(Exception):
    """stdout cannot be written. Not an OSError, which could be anything."""

    def __init__(self, error: OSError) -> None:
        super().__init__(error.strerror)
        self.is_pipe = error.errno == errno.EPIPE
        """Whether its reader has gone, such as `head`, which is no failure."""


def prepare() -> None:
    """Replaces sys.stdout and sys.stderr. The first thing that a console command does."""
    closed = _open_closed()
    sys.stdout = cast(TextIO, _Stdout(sys.stdout, 1, is_closed=1 in closed))
    sys.stderr = cast(TextIO, _Stderr(sys.stderr, 2, is_closed=2 in closed))


def can_show(text: str) -> bool:
    """Whether the encoding of stdout has all characters of the text."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _open_closed() -> list[int]:
    """Opens /dev/null under each standard descriptor that is closed. Otherwise the next file of a run would get the
    number, and every message to stderr would go into that file."""
    closed = []
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            closed.append(number)
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # gets the lowest free number, which is this one
    return closed


class _Stream:
    """Everything but writing goes to the stream itself."""

    def __init__(self, stream: TextIO | None, number: int, *, is_closed: bool) -> None:
        if stream is None:  # this is what Python makes of a closed descriptor
            stream = open(number, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        stream.reconfigure(errors="replace")  # type: ignore[attr-defined]
        self._stream = stream
        self._number = number
        self._is_closed = is_closed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str | bytes) -> int:
        if isinstance(text, bytes):
            raise TypeError("expected text")
        if not text:
            return 0
        try:
            if self._is_closed:
                self._is_closed = False
                raise OSError(errno.EBADF, "it is closed")
            return self._stream.write(text)
        except OSError as error:
            self._give_up(error)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        """Sends the rest, and what the buffer still has, to /dev/null: Python flushes it once more when it ends."""
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self._number)
        os.close(null)
        self._stream.flush()


class _Stderr(_Stream):
    """What cannot be written is lost."""


class _Stdout(_Stream):
    """What cannot be written is an error."""

    def _give_up(self, error: OSError) -> None:
        super()._give_up(error)
        raise LostOutputError(error) from None
