"""The content of a window: the core, a few operations near it, and the faults and leaders of that time."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Any, Literal

import msgspec

from raft_chaos.invariants.linearizability import format
from raft_chaos.invariants.linearizability.blocks import return_of
from raft_chaos.invariants.linearizability.operations import Operation
from raft_chaos.invariants.linearizability.readers.history_file import Place, ReadHistory
from raft_chaos.reports.text import visible

MOST_CORE = 24
"""A core is a handful of operations. Of a core that could not be reduced, the first operations are shown."""

MOST_NEAR = 14
MOST_SPANS = 10


class Bar(msgspec.Struct, frozen=True):
    """An operation, and its place in its history. `core`: it belongs to the core of the violation."""

    operation: Operation
    place: Place
    core: bool

    @property
    def text(self) -> str:
        """What it did. An operation without a name of its own begins with its process: "3: read #7 returned null"."""
        operation = self.operation
        who = "" if operation.label else f"{operation.process}: "
        if operation.status == "unknown":
            return visible(f"{who}{format.noun(operation)} (outcome unknown)")
        plain = operation.f in ("write", "append", "delete") and operation.status == "ok"
        return visible(f"{who}{format.noun(operation) if plain else format.sentence(operation)}")

    @property
    def ends(self) -> float:
        """The moment of its return; infinite if it never returned, or may take effect later."""
        return return_of(self.operation)


class Span(msgspec.Struct, frozen=True):
    """A fault that was in force, or a node that led. `begin` and `end` are in units of the history's clock (None: the
    end of the run)."""

    kind: Literal["fault", "leader"]
    label: str
    begin: int
    end: int | None


class Window(msgspec.Struct, frozen=True):
    """`bars` are in order of their calls. `left_out` counts the operations on the key in this time that are not drawn,
    `cut` those of the core. `ticks` is the number of clock units per second, 0 if the history has no clock."""

    key: Any
    argument: str
    bars: list[Bar]
    spans: list[Span]
    left_out: int
    cut: int
    ticks: int

    @property
    def core(self) -> list[Bar]:
        return [bar for bar in self.bars if bar.core]

    def clocks(self, *, core: bool) -> tuple[int, int] | None:
        """The first call and the last return of its operations, by the clock; None without a clock."""
        return _clocks(self.core if core else self.bars)


def window(history: ReadHistory, core: Collection[int], key: Any, argument: str, spans: Iterable[Span] = ()) -> Window:
    """The window around the operations with these numbers, which are on one key."""
    shown = sorted(core)[:MOST_CORE]
    numbers = set(shown)
    own = [operation for operation in history.operations if operation.key == key and operation.number not in core]
    inside = [history.operations[number] for number in shown]
    near, left_out = _near(inside, own, argument)
    drawn = sorted(inside + near, key=lambda operation: (operation.called, operation.number))
    bars = [Bar(o, history.places[o.number], o.number in numbers) for o in drawn]
    return Window(key, argument, bars, _meanwhile(bars, spans), left_out, len(core) - len(shown), history.ticks)


def _near(core: list[Operation], others: list[Operation], argument: str) -> tuple[list[Operation], int]:
    """A few of the other operations: those that the argument names, then the closest; and the number of others that
    overlap the core."""
    moments = sorted({moment for o in core for moment in (o.called, o.returned) if moment is not None})
    begin, end = moments[0], moments[-1]
    overlapping = [o for o in others if o.called <= end and (o.returned is None or o.returned >= begin)]
    named = _named(argument, others)

    def distance(operation: Operation) -> tuple[bool, int, int]:
        ends = [moment for moment in (operation.called, operation.returned) if moment is not None]
        return not format.changes(operation), min(abs(a - b) for a in ends for b in moments), operation.number

    known = {operation.number for operation in named}
    rest = sorted((o for o in overlapping if o.number not in known), key=distance)
    kept = rest[: MOST_NEAR - len(named)]
    return named + kept, len(rest) - len(kept)


def _named(argument: str, others: list[Operation]) -> list[Operation]:
    """The operations that the argument names: they wrote the value that was read, or may have written it."""
    mentioned = [o for o in others if (name := format.name(o)) in argument and _is_whole(name, argument)]
    return mentioned[:MOST_NEAR]


def _is_whole(name: str, argument: str) -> bool:
    """Whether the text has the name, and not only as the beginning of a longer name."""
    return re.search(rf"{re.escape(name)}(?![\w/])", argument) is not None


def _clocks(bars: list[Bar]) -> tuple[int, int] | None:
    places = [bar.place for bar in bars]
    clocks = [c for place in places for c in (place.called_clock, place.returned_clock) if c is not None]
    return (min(clocks), max(clocks)) if clocks else None


def _meanwhile(bars: list[Bar], spans: Iterable[Span]) -> list[Span]:
    """The faults and leaders of the window's time."""
    return during(sorted(spans, key=lambda span: (span.begin, span.label)), _clocks(bars), MOST_SPANS)


def during(spans: Iterable[Span], clocks: tuple[int, int] | None, most: int) -> list[Span]:
    """The spans that overlap this time, leaders first; of each kind at most the last few."""
    if clocks is None:
        return []
    begin, end = clocks
    inside = [span for span in spans if span.begin <= end and (span.end is None or span.end >= begin)]
    return [span for kind in ("leader", "fault") for span in [s for s in inside if s.kind == kind][-most:]]
