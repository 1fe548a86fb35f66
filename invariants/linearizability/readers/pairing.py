"""Invocations and what became of them, made into operations: the part that all formats share.

A process has at most one operation open. What ended as `info` has an unknown outcome, and so has what never ended;
both may have happened, or may yet, however late.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from invariants.linearizability.operations import Function, Operation, Status
from invariants.linearizability.readers.history_file import HistoryError, ReadHistory, shown

Ending = Literal["ok", "fail", "info"]


class Paired:
    """One operation on its way. A reader sets `result`, and `status` where a failed operation told what it found."""

    __slots__ = ("called", "expected", "f", "key", "process", "result", "returned", "status", "value")

    def __init__(self, called: int, process: Any, f: Function, key: Any, value: Any, expected: Any) -> None:
        self.called = called
        self.process = process
        self.f = f
        self.key = key
        self.value = value
        self.expected = expected
        self.result: Any = None
        self.returned: int | None = None
        self.status: Status | Literal["failed"] = "unknown"


class Pairing:
    """Takes the calls and returns of one file, in its order. `shown` writes values as the file does."""

    def __init__(self, file: str, shown: Callable[[Any], str] = shown) -> None:
        self.file = file
        self._shown = shown
        self._now = 0
        self._moved: dict[int, int] = {}
        self._paired: list[Paired] = []
        self._open: dict[Any, Paired] = {}
        self._told: int | None = None

    def on_time(self, line: int, time: int, unit: str) -> None:
        """The time that a line gives for itself: the order of the lines is trusted only if it agrees."""
        if self._told is not None and time < self._told:
            raise self.error(
                line, f"time goes back from {self._told} to {time} {unit}; expected lines in order of time"
            )
        self._told = time

    def _tick(self, line: int) -> int:
        """The time of a call or return in that line."""
        self._now = max(line, self._now + 1)
        if self._now != line:
            self._moved[self._now] = line
        return self._now

    def _line_of(self, paired: Paired) -> int:
        return self._moved.get(paired.called, paired.called)

    def call(self, line: int, process: Any, f: Function, key: Any, value: Any = None, expected: Any = None) -> None:
        """An invocation."""
        before = self._open.get(process)
        if before is not None:
            raise self.error(
                line,
                f"process {self._shown(process)} calls {f}, but its {before.f} of line {self._line_of(before)} has not "
                "ended; expected at most one open operation a process",
            )
        paired = Paired(self._tick(line), process, f, key, value, expected)
        self._paired.append(paired)
        self._open[process] = paired

    def end(self, line: int, process: Any, functions: Function | tuple[Function, ...], ending: Ending) -> Paired:
        """A completion, of an operation that does one of these: as far as the ending alone says what became of it."""
        paired = self._open.pop(process, None)
        if isinstance(functions, str):
            functions = (functions,)
        named = " or ".join(functions)
        if paired is None:
            raise self.error(
                line,
                f"process {self._shown(process)} ends a {named} ({ending}) without an open one; expected an invocation",
            )
        if paired.f not in functions:
            raise self.error(line, f"ends a {named}, but process {self._shown(process)} called a {self.where(paired)}")
        if ending != "info":
            paired.returned = self._tick(line)
            paired.status = "ok" if ending == "ok" else "failed"
        return paired

    def where(self, paired: Paired) -> str:
        """An operation in an error message: "write of 'x' in line 3"."""
        key = "" if paired.key is None else f" of {self._shown(paired.key)}"
        return f"{paired.f}{key} in line {self._line_of(paired)}"

    def same(self, line: int, what: str, told: Any, paired: Paired, called: Any) -> None:
        """A completion may repeat what was called, but not contradict it."""
        if told != called:
            raise self.error(
                line,
                f"has the {what} {self._shown(told)}; expected {self._shown(called)} as in the {self.where(paired)}",
            )

    def error(self, line: int, message: str) -> HistoryError:
        return HistoryError(self.file, line, message)

    def history(self, *, skipped: int = 0, torn: bool = False) -> ReadHistory:
        """All of it, at the end of the file. Raises HistoryError if no client did anything."""
        if not self._paired:
            raise HistoryError(self.file, None, "holds no operation of a client")
        operations: list[Operation] = []
        for each in self._paired:
            if each.status != "failed":
                operations.append(
                    Operation(
                        len(operations),
                        each.key,
                        each.f,
                        each.called,
                        each.returned,
                        each.value,
                        each.expected,
                        each.result,
                        each.status,
                        each.process,
                    )
                )
        return ReadHistory(operations, self._moved, len(self._paired) - len(operations), skipped, torn)
