"""Invocations and what became of them, made into operations: the part that all formats share.

A process has at most one operation open. What ended as `info` has an unknown outcome, and so has what never ended;
both may have happened, or may yet, however late.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from invariants.linearizability.operations import Function, Operation, Status
from invariants.linearizability.readers.history_file import Failure, HistoryError, Place, ReadHistory, shown

Ending = Literal["ok", "fail", "info"]


class Unit(NamedTuple):
    """The unit of a file's times: its name, how many make a second, and by how many a clock may slip back.

    Where several threads take the time and then write a line, a line may be a little older than the one before.
    """

    name: str
    ticks: int
    slip: int = 0


NO_CLOCK = Unit("", 0)


class Moment(NamedTuple):
    """When a call or a return was: a number that grows, its line, and what the clock showed."""

    number: int
    line: int
    clock: int | None


class Paired:
    """One operation on its way. A reader sets `result`, `status` where a failed operation told what it found, and
    where the file has one, `label`, its name there, and `index`, the log entry that its answer names."""

    __slots__ = (
        "called", "expected", "f", "index", "key", "label", "process", "result", "returned", "status", "value",
    )  # fmt: skip

    def __init__(self, called: Moment, process: Any, f: Function, key: Any, value: Any, expected: Any) -> None:
        self.called = called
        self.process = process
        self.f = f
        self.key = key
        self.value = value
        self.expected = expected
        self.result: Any = None
        self.returned: Moment | None = None
        self.status: Status | Literal["failed"] = "unknown"
        self.label = ""
        self.index: int | None = None

    def operation(self, number: int) -> Operation:
        assert self.status != "failed"
        returned = None if self.returned is None else self.returned.number
        told = self.value, self.expected, self.result, self.status, self.process, self.label
        return Operation(number, self.key, self.f, self.called.number, returned, *told)

    def place(self) -> Place:
        """Where it stands in the file."""
        called, returned = self.called, self.returned
        if returned is None:
            return Place(called.line, None, called.clock, None)
        return Place(called.line, returned.line, called.clock, returned.clock)


class Pairing:
    """Takes the calls and returns of one file, in its order. `shown` writes values as the file does; `unit` is that of
    its lines' times."""

    def __init__(self, file: str, unit: Unit = NO_CLOCK, shown: Callable[[Any], str] = shown) -> None:
        self.file = file
        self._unit = unit
        self._shown = shown
        self._paired: list[Paired] = []
        self._open: dict[Any, Paired] = {}
        self._clock: int | None = None
        self._latest: int | None = None
        self._ordered = True
        self._moment = Moment(0, 0, None)
        self._ended_now: set[Any] = set()

    def on_time(self, line: int, clock: int | None, *, ordered: bool = False) -> None:
        """The time that a line gives for itself. It must not go back, unless the lines are `ordered` by more."""
        if clock is not None and not ordered:
            if self._latest is not None and clock < self._latest - self._unit.slip:
                raise self.error(
                    line,
                    f"time goes back from {self._latest} to {clock} {self._unit.name}; expected lines in order of time",
                )
            self._latest = max(clock, self._latest if self._latest is not None else clock)
        self._clock = clock
        self._ordered = ordered or clock is None

    def _now(self, line: int, begins: Any = None) -> Moment:
        """The moment of the line at hand; `begins` is the process that calls something."""
        number = self._moment.number
        if self._ordered or self._clock != self._moment.clock or begins in self._ended_now:
            number += 1
            self._ended_now.clear()
        self._moment = Moment(number, line, self._clock)
        return self._moment

    def call(self, line: int, process: Any, f: Function, key: Any, value: Any = None, expected: Any = None) -> Paired:
        """An invocation."""
        before = self._open.get(process)
        if before is not None:
            raise self.error(
                line,
                f"process {self._shown(process)} calls {f}, but its {before.f} of line {before.called.line} has not "
                "ended; expected at most one open operation a process",
            )
        paired = Paired(self._now(line, process), process, f, key, value, expected)
        self._paired.append(paired)
        self._open[process] = paired
        return paired

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
            paired.returned = self._now(line)
            self._in_time(paired, paired.returned)
            self._ended_now.add(process)
            paired.status = "ok" if ending == "ok" else "failed"
        return paired

    def _in_time(self, paired: Paired, returned: Moment) -> None:
        """A clock may slip between the lines of several threads, but no operation ends before it was called."""
        called = paired.called.clock
        if not self._ordered and called is not None and returned.clock is not None and returned.clock < called:
            unit = self._unit.name
            raise self.error(
                returned.line, f"ends at {returned.clock} {unit}, before its call at {called}: {self.where(paired)}"
            )

    def where(self, paired: Paired) -> str:
        """An operation in an error message: "write of 'x' in line 3"."""
        key = "" if paired.key is None else f" of {self._shown(paired.key)}"
        return f"{paired.f}{key} in line {paired.called.line}"

    def same(self, line: int, what: str, told: Any, paired: Paired, called: Any) -> None:
        """A completion may repeat what was called, but not contradict it."""
        if told != called:
            raise self.error(
                line,
                f"has the {what} {self._shown(told)}; expected {self._shown(called)} as in the {self.where(paired)}",
            )

    def error(self, line: int, message: str) -> HistoryError:
        return HistoryError(self.file, line, message)

    def _named(self) -> None:
        """A name that several operations have is none."""
        count = Counter(paired.label for paired in self._paired if paired.label)
        for paired in self._paired:
            if count[paired.label] > 1:
                paired.label = ""

    def history(self, *, skipped: int = 0, torn: bool = False) -> ReadHistory:
        """All of it, at the end of the file. Raises HistoryError if no client did anything."""
        if not self._paired:
            raise HistoryError(self.file, None, "holds no operation of a client")
        self._named()
        happened = [paired for paired in self._paired if paired.status != "failed"]
        failed = [paired for paired in self._paired if paired.status == "failed"]
        return ReadHistory(
            [paired.operation(number) for number, paired in enumerate(happened)],
            [paired.place() for paired in happened],
            self._unit.ticks if any(paired.called.clock is not None for paired in happened) else 0,
            _log_order(happened),
            [Failure(paired.key, paired.f, paired.value, paired.place()) for paired in failed],
            skipped,
            torn,
        )


def _log_order(happened: list[Paired]) -> list[int]:
    """Of answers that name the same entry, what changed something comes before what saw it, and both in their order."""
    placed = [
        (paired.index, paired.f == "read", number)
        for number, paired in enumerate(happened)
        if paired.index is not None and paired.returned is not None
    ]
    return [number for _, _, number in sorted(placed)]
