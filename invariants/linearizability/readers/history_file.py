"""What a reader makes of a file: its operations, where each stands in it, and what was left out. Or what is wrong."""

from __future__ import annotations

import json
from collections.abc import Hashable
from typing import Any

import msgspec

from raft_chaos.invariants.linearizability.operations import Function, Operation


class HistoryError(Exception):
    """A file that cannot be judged. The message names the file and the line, what is wrong and what was expected."""

    def __init__(self, file: str, line: int | None, message: str) -> None:
        super().__init__(f"{file}: {message}" if line is None else f"{file}:{line}: {message}")


class Place(msgspec.Struct, frozen=True, gc=False):
    """Where a file tells of an operation: the lines of its call and its return, and what the clock showed at each."""

    called_line: int
    returned_line: int | None
    called_clock: int | None
    returned_clock: int | None


class Failure(msgspec.Struct, frozen=True, gc=False):
    """An operation that certainly did not happen; its name in answers is its place in the file."""

    key: Hashable
    f: Function
    value: Any
    place: Place


class ReadHistory(msgspec.Struct, frozen=True):
    """The operations in the order of their calls, numbered from 0; `places` says where each of them is told of.

    Their times count the moments of the file. Each line is a moment of its own, later than all before it; but where the
    order of lines rests on nothing but a clock, what has the same time overlaps. Only a process that goes on within a
    tick of the clock comes after itself; if several do, the first to do so (for all there is no such scale of times).

    `ticks` is how many units of the clock make a second, 0 for a file without one.

    `log_order` has, by the index of the log entry that each answer names, the numbers of the operations; it is empty
    where no answer names one.

    `failures` certainly did not happen and tell nothing, so they are not among the operations; `skipped` lines are not
    a client's. `torn`: the last line was cut short, and left out.
    """

    operations: list[Operation]
    places: list[Place]
    ticks: int = 0
    log_order: list[int] = []
    failures: list[Failure] = []
    skipped: int = 0
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
