"""The first difference of two runs, and what led to it."""

from __future__ import annotations

from collections.abc import Iterator

from raft_chaos.invariants.trace import Difference, Relation
from raft_chaos.reports.event_lines import event_line
from raft_chaos.reports.text import count, json_value, visible

_MARK: dict[Relation, str] = {"same": "*", "cause": "<", "other": " "}


def difference_page(found: Difference, left: str, right: str) -> Iterator[str]:
    """The page, line by line; `left` and `right` are the names of the two runs."""
    yield f"{count(found.common, 'event')} equal, then the runs differ."
    if found.before:
        yield "Before that (* the same node or client, < what happened before it elsewhere):"
    yield from (f"{_MARK[relation]} {event_line(item.event)}" for relation, item in found.before)
    for name, item in ((left, found.left), (right, found.right)):
        yield f"{visible(name)}:"
        yield f"  {event_line(item.event)}" if item is not None else "  nothing more"
    if found.fields:
        yield "They differ in:"
        yield from (f"  {field}: {json_value(a)}, {json_value(b)}" for field, (a, b) in found.fields.items())
    elif found.left is not None and found.right is not None:
        yield "The events are equal, but their bytes differ."
