"""What a reader makes of a file: its operations, where each stands in it, and what was left out. Or what is wrong."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from invariants.linearizability.operations import Operation


class HistoryError(Exception):
    """A file that cannot be judged. The message names the file and the line, what is wrong and what was expected."""

    def __init__(self, file: str, line: int | None, message: str) -> None:
        super().__init__(f"{file}: {message}" if line is None else f"{file}:{line}: {message}")


class ReadHistory(msgspec.Struct, frozen=True):
    """The operations in the order of their calls, numbered from 0.

    Their times are the numbers of the lines that tell of them: the order of the lines is the order in which the
    clients' harness saw things happen, which is finer than its clock. Where several share a line, each is later than
    the one before, and `moved` has the true line of a time that is not its own.

    `failed` operations certainly did not happen and tell nothing, so they are not among the operations; `skipped`
    lines are not a client's. `torn`: the last line was cut short, and left out.
    """

    operations: list[Operation]
    moved: dict[int, int] = {}
    failed: int = 0
    skipped: int = 0
    torn: bool = False

    @property
    def keys(self) -> int:
        """How many keys the operations are on."""
        return len({operation.key for operation in self.operations})

    def line_of(self, time: int) -> int:
        """The line of a call or return."""
        return self.moved.get(time, time)


def decoded(file: str, raw: bytes) -> str:
    """The text of a file. Raises HistoryError for what is not UTF-8."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise HistoryError(file, line, f"expected UTF-8, got the byte 0x{raw[error.start]:02x}") from None


def shown(value: Any) -> str:
    """A value of JSON in an error message, short enough for a line."""
    return shortened(json.dumps(value, ensure_ascii=False, default=repr))


def shortened(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."
