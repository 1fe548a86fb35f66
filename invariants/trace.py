"""The digest of a trace, and the first difference of two traces.

    trace_sha256(run)            SHA-256 over the lines of a saved run, in the order of its trace
    first_difference(a, b)       the first line in which two traces differ, and what led to it; None if there is none

Two traces are equal if they have the same lines, byte for byte, in the same order. A trace is any iterable of
`TraceItem`: `RunDir.trace()` reads one from files.

Of the common lines before a difference, those matter that happened before it (Lamport, 1978): the node's own lines, and
those of another node up to the sending of a message that arrived. HTTP is not traced, so any line may have led to a
client's line.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import zip_longest
from typing import Any, Literal, TypeAlias, get_args

from raft_chaos.invariants.causal_order import message_id
from raft_chaos.invariants.events import (
    HARNESS,
    AnyEvent,
    FaultInjected,
    LeaderObserved,
    MessageReceived,
    MessageSent,
    NodeExited,
    NodeKilled,
    NodeLaunched,
    NodePaused,
    NodeResumed,
    NodeSampled,
)
from raft_chaos.invariants.history import Op
from raft_chaos.invariants.rundir import RunDir, TraceItem

Relation: TypeAlias = Literal["same", "cause", "other"]
"""A line's relation to the difference: of the same node; of another node, but happened before it; not known."""

OP = "op"
"""The kind of a client operation."""

KINDS: tuple[str, ...] = (*(str(type.__struct_config__.tag) for type in get_args(AnyEvent)), OP)
"""All that `kind_of` returns."""

WINDOW = 10_000
"""How many common lines before a difference are searched for what led to it."""


def kind_of(event: AnyEvent | Op) -> str:
    """The event's `kind` as in its file; "op" for a client operation."""
    return OP if isinstance(event, Op) else str(type(event).__struct_config__.tag)


def concerned(event: AnyEvent | Op) -> tuple[str, ...]:
    """The node or client of the line; for an event of the harness also the nodes that it acted on."""
    match event:
        case Op():
            return (event.client,)
        case (
            NodeLaunched()
            | NodeKilled()
            | NodePaused()
            | NodeResumed()
            | NodeExited()
            | NodeSampled()
            | LeaderObserved()
        ):
            return (HARNESS, event.subject)
        case FaultInjected():
            return (HARNESS, *event.targets)
        case _:
            return (event.node,)


# ---- the digest --------------------------------------------------------------------------------------------------


def digest(items: Iterable[TraceItem]) -> tuple[str, int]:
    """SHA-256 over the lines (hexadecimal), and the number of lines."""
    total, count = sha256(), 0
    for item in items:
        total.update(item.line)
        count += 1
    return total.hexdigest(), count


def trace_sha256(run: RunDir) -> str:
    """The digest of a saved run's trace, as in `RunInfo.trace_sha256`. Raises RunDirError like `RunDir.trace`."""
    return digest(run.trace())[0]


# ---- the first difference ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Difference:
    """The first difference: after `common` equal lines come `left` and `right`; None if that trace has ended.

    `fields` maps each field that differs (`kind` included) to its two values. It is empty if a trace ended, or if the
    same event was written in other bytes. `before` has the last of the common lines that led to the difference, in the
    order of the trace.
    """

    common: int
    left: TraceItem | None
    right: TraceItem | None
    fields: dict[str, tuple[Any, Any]]
    before: list[tuple[Relation, TraceItem]]


def first_difference(a: Iterable[TraceItem], b: Iterable[TraceItem], context: int = 10) -> Difference | None:
    """The first line in which the traces differ, with at most `context` of those that led to it."""
    window: deque[TraceItem] = deque(maxlen=WINDOW)
    for common, (left, right) in enumerate(zip_longest(a, b)):
        if left is None or right is None or left.line != right.line:
            ends = [item.event for item in (left, right) if item is not None]
            fields = differing(*ends) if len(ends) == 2 else {}
            return Difference(common, left, right, fields, _led_to(list(window), ends, context))
        window.append(left)
    return None


def differing(left: AnyEvent | Op, right: AnyEvent | Op) -> dict[str, tuple[Any, Any]]:
    """The fields that both events have and whose values differ, `kind` first."""
    pairs: dict[str, tuple[Any, Any]] = {"kind": (kind_of(left), kind_of(right))}
    pairs |= {
        field: (getattr(left, field), getattr(right, field))
        for field in left.__struct_fields__
        if field in right.__struct_fields__
    }
    return {field: pair for field, pair in pairs.items() if pair[0] != pair[1]}


def _led_to(window: Sequence[TraceItem], ends: Sequence[AnyEvent | Op], most: int) -> list[tuple[Relation, TraceItem]]:
    """The last `most` lines that happened before any of `ends`. If there are fewer, other last lines fill the list."""
    same = {name for end in ends for name in concerned(end)}
    of_client = any(isinstance(end, Op) for end in ends)
    past = set(same)  # nodes whose earlier lines all happened before one of `ends`
    awaited = {message_id(end) for end in ends if isinstance(end, MessageReceived)}
    relations: dict[int, Relation] = {}
    for place in range(len(window) - 1, -1, -1):
        if len(relations) >= most:
            break
        event = window[place].event
        if isinstance(event, MessageSent) and message_id(event) in awaited:
            past.add(event.node)
        names = concerned(event)
        if of_client or not past.isdisjoint(names):
            relations[place] = _relation(names, same, of_client)
            if isinstance(event, MessageReceived):
                awaited.add(message_id(event))
    for place in range(len(window) - 1, -1, -1):
        if len(relations) >= most:
            break
        relations.setdefault(place, "other")
    return [(relations[place], window[place]) for place in sorted(relations)]


def _relation(names: Iterable[str], same: set[str], of_client: bool) -> Relation:
    if not same.isdisjoint(names):
        return "same"
    return "other" if of_client else "cause"
