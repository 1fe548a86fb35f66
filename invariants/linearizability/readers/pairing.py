"""Pairs invocations with their completions and makes operations of them. All formats share this.

A process has at most one open operation. An operation that ended as `info`, or did not end, has an unknown outcome: it
may have taken effect, or may still do so at any later time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Literal

from raft_chaos.invariants.linearizability.operations import Function, Operation, Status
from raft_chaos.invariants.linearizability.readers.event_order import NO_CLOCK, EventOrder, Timestamp, Unit
from raft_chaos.invariants.linearizability.readers.history_file import Failure, HistoryError, Place, ReadHistory, shown

Ending = Literal["ok", "fail", "info"]


class Paired:
    """One operation while the file is read. A reader sets `result`; `status`, if a failed operation reported what it
    found; `label`, if the file names the operation; and `index`, if the answer names a log entry."""

    __slots__ = (
        "called", "expected", "f", "index", "key", "label", "process", "result", "returned", "status", "value",
    )  # fmt: skip

    def __init__(self, called: Timestamp, process: Any, f: Function, key: Any, value: Any, expected: Any) -> None:
        self.called = called
        self.process = process
        self.f = f
        self.key = key
        self.value = value
        self.expected = expected
        self.result: Any = None
        self.returned: Timestamp | None = None
        self.status: Status | Literal["failed"] = "unknown"
        self.label = ""
        self.index: int | None = None

    def operation(self, number: int) -> Operation:
        assert self.status != "failed"
        returned = None if self.returned is None else self.returned.number
        rest = self.value, self.expected, self.result, self.status, self.process, self.label
        return Operation(number, self.key, self.f, self.called.number, returned, *rest)

    def place(self) -> Place:
        """Its lines and times in the file."""
        called, returned = self.called, self.returned
        if returned is None:
            return Place(called.line, None, called.clock, None)
        return Place(called.line, returned.line, called.clock, returned.clock)


class Pairing:
    """Takes the calls and returns of one file, in order. `shown` formats values as the file does; `unit` is the unit of
    the lines' times. All methods raise HistoryError for lines that contradict each other."""

    def __init__(self, file: str, unit: Unit = NO_CLOCK, shown: Callable[[Any], str] = shown) -> None:
        self.file = file
        self.order = EventOrder(unit)
        self._shown = shown
        self._paired: list[Paired] = []
        self._open: dict[Any, Paired] = {}

    def on_time(self, line: int, clock: int | None, *, ordered: bool = False) -> None:
        """The time of the next line. It must not go back, unless the lines are `ordered` by something else."""
        if wrong := self.order.on_time(clock, ordered):
            raise self.error(line, wrong)

    def call(self, line: int, process: Any, f: Function, key: Any, value: Any = None, expected: Any = None) -> Paired:
        """An invocation."""
        before = self._open.get(process)
        if before is not None:
            raise self.error(
                line,
                f"process {self._shown(process)} calls {f}, but its {before.f} of line {before.called.line} has not "
                "ended; expected at most one open operation a process",
            )
        paired = Paired(self.order.call(line, process), process, f, key, value, expected)
        self._paired.append(paired)
        self._open[process] = paired
        return paired

    def end(self, line: int, process: Any, functions: Function | tuple[Function, ...], ending: Ending) -> Paired:
        """A completion of an operation with one of these functions. Sets the status that `ending` implies."""
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
            paired.returned = self.order.end(line, process)
            if wrong := self.order.too_early(paired.called, paired.returned):
                raise self.error(line, f"{wrong}: {self.where(paired)}")
            paired.status = "ok" if ending == "ok" else "failed"
        return paired

    def where(self, paired: Paired) -> str:
        """An operation in an error message: "write of 'x' in line 3"."""
        key = "" if paired.key is None else f" of {self._shown(paired.key)}"
        return f"{paired.f}{key} in line {paired.called.line}"

    def same(self, line: int, what: str, completed: Any, paired: Paired, called: Any) -> None:
        """Checks that a completion repeats a value of its invocation. Raises HistoryError if it contradicts it."""
        if completed != called:
            raise self.error(
                line,
                f"has the {what} {self._shown(completed)}; expected {self._shown(called)} as in the "
                f"{self.where(paired)}",
            )

    def error(self, line: int, message: str) -> HistoryError:
        return HistoryError(self.file, line, message)

    def _drop_repeated_labels(self) -> None:
        """Removes labels that several operations share."""
        count = Counter(paired.label for paired in self._paired if paired.label)
        for paired in self._paired:
            if count[paired.label] > 1:
                paired.label = ""

    def history(self, *, skipped: int = 0) -> ReadHistory:
        """The whole history, at the end of the file. Raises HistoryError if it has no operation of a client."""
        if not self._paired:
            raise HistoryError(self.file, None, "holds no operation of a client")
        self._drop_repeated_labels()
        self.order.finish()
        happened = [paired for paired in self._paired if paired.status != "failed"]
        failed = [paired for paired in self._paired if paired.status == "failed"]
        return ReadHistory(
            [paired.operation(number) for number, paired in enumerate(happened)],
            [paired.place() for paired in happened],
            self.order.unit.ticks if any(paired.called.clock is not None for paired in happened) else 0,
            _log_order(happened),
            [Failure(paired.key, paired.f, paired.value, paired.place()) for paired in failed],
            skipped,
        )


def _log_order(happened: list[Paired]) -> list[int]:
    """The numbers of the operations by the log entries of their answers. At one entry, writes come before reads."""
    placed = [
        (paired.index, paired.f == "read", number)
        for number, paired in enumerate(happened)
        if paired.index is not None and paired.returned is not None
    ]
    return [number for _, _, number in sorted(placed)]
