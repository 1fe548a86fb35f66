"""The first difference of two runs, and what led to it."""

from __future__ import annotations

from collections.abc import Iterator

from raft_chaos.invariants.events import AnyEvent
from raft_chaos.invariants.history import Op
from raft_chaos.invariants.trace import Difference, Relation
from raft_chaos.reports.event_lines import event_line
from raft_chaos.reports.tables import unbroken
from raft_chaos.reports.text import count, json_value, prose, visible

CONTINUED = " " * 16
"""The second line of an event begins a little behind the place of its node."""
_MARK: dict[Relation, str] = {"same": "*", "cause": "<", "other": " "}


def difference_page(found: Difference, left: str, right: str, width: int) -> Iterator[str]:
    """The page, line by line; `left` and `right` are the names of the two runs."""
    yield f"{count(found.common, 'event')} equal, then the runs differ."
    if found.before:
        yield from prose("Before that (* the same node or client, < what happened before it elsewhere):", width)
    for relation, item in found.before:
        yield from _event(item.event, f"{_MARK[relation]} ", width)
    for name, here in ((left, found.left), (right, found.right)):
        yield f"{visible(name)}:"
        yield from _event(here.event, "  ", width) if here is not None else ["  nothing more"]
    if found.fields:
        yield "They differ in:"
        for field, (a, b) in found.fields.items():
            yield from unbroken(f"{field}: {json_value(a)}, {json_value(b)}", width, "  ", "      ")
    elif found.left is not None and found.right is not None:
        yield "The events are equal, but their bytes differ."


def _event(event: AnyEvent | Op, mark: str, width: int) -> list[str]:
    return unbroken(event_line(event), width, mark, CONTINUED)
