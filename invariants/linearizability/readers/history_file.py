"""The result of reading a history file: its operations, their lines, and what was left out; and the error."""

from __future__ import annotations

import json
from collections.abc import Hashable
from typing import Any

import msgspec

from raft_chaos.invariants.linearizability.operations import Function, Operation


class HistoryError(Exception):
    """A file that cannot be judged. The message names the file and the line, what is wrong, and what was expected."""

    def __init__(self, file: str, line: int | None, message: str) -> None:
        super().__init__(f"{file}: {message}" if line is None else f"{file}:{line}: {message}")


class Place(msgspec.Struct, frozen=True, gc=False):
    """An operation's place in a file: the lines of its call and its return, from 1, and the clock's time at each."""

    called_line: int
    returned_line: int | None
    called_clock: int | None
    returned_clock: int | None


class Failure(msgspec.Struct, frozen=True, gc=False):
    """An operation that certainly did not happen. Answers name it by its lines in the file."""

    key: Hashable
    f: Function
    value: Any
    place: Place


class ReadHistory(msgspec.Struct, frozen=True):
    """The operations in the order of their calls, numbered from 0, and the place of each in the file.

    The operations' times are the numbers of `event_order`: the order of the lines, except that operations with equal
    times of the clock overlap if only the clock orders the lines.

    `ticks` is the number of clock units per second, 0 for a file without a clock.

    `log_order` holds the numbers of the operations, by the index of the log entry that each answer names. It is empty
    if no answer names one.

    `failures` certainly did not happen and say nothing about the state, so they are not among the operations. `skipped`
    counts the lines that are not a client's, and `stale` the reads that owe no linearization. `torn`: the last line was
    cut short and left out.
    """

    operations: list[Operation]
    places: list[Place]
    ticks: int = 0
    log_order: list[int] = []
    failures: list[Failure] = []
    skipped: int = 0
    stale: int = 0
    torn: bool = False

    @property
    def failed(self) -> int:
        """How many operations failed."""
        return len(self.failures)

    @property
    def keys(self) -> int:
        """How many keys the operations are on."""
        return len({operation.key for operation in self.operations})


def decoded(file: str, raw: bytes) -> str:
    """The text of a file. Raises HistoryError if it is not UTF-8."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise HistoryError(file, line, f"expected UTF-8, got the byte 0x{raw[error.start]:02x}") from None


def shown(value: Any) -> str:
    """A JSON value for an error message, shortened to fit on a line."""
    return shortened(json.dumps(value, ensure_ascii=False, default=repr))


def shortened(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."
