"""The result of a replay: what was equal, the first difference of each incarnation, the turn of a violation.

The structs are the documents; the pages are made from them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from raft_chaos.invariants.events import AnyEvent, decode
from raft_chaos.invariants.trace import Difference
from raft_chaos.invariants.verdict import Violation
from raft_chaos.reports.event_lines import event_line
from raft_chaos.reports.tables import Column, Table, flowing, text_table, unbroken
from raft_chaos.reports.text import US_PER_S, count, json_value, prose, visible

Exact = Literal["exact", "different"]


class ReplayedNode(msgspec.Struct, frozen=True):
    """One node: how many of its turns and events were equal, and the errors that its incarnations died of."""

    node: str
    incarnations: int
    incarnations_different: int
    turns: int
    events: int
    deaths: Sequence[str]


class TurnDifference(msgspec.Struct, frozen=True, kw_only=True):
    """The first turn of an incarnation that differs from the recording: its inputs, and its output now.

    `recorded` and `now` are the lines of an event that differs, `fields` are its fields that differ.
    """

    node: str
    incarnation: int
    turn: int
    at_us: int
    inputs: Sequence[str]
    what: str
    recorded: str | None
    now: str | None
    fields: dict[str, tuple[Any, Any]]
    does_now: Sequence[str] | None


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """All nodes that were replayed, and their differences in order of time."""

    verdict: Exact
    run_dir: str
    nodes: Sequence[ReplayedNode]
    differences: Sequence[TurnDifference]


class Reached(msgspec.Struct, frozen=True, kw_only=True):
    """The turn that reported a violation: the node's inputs, its output or its error, and its state after the turn."""

    verdict: Exact = "exact"
    run_dir: str
    violation: Violation
    node: str
    incarnation: int
    turn: int
    at_us: int
    inputs: Sequence[str]
    does: Sequence[str]
    dies: str | None
    state: Sequence[str]


def replayed_page(done: Replayed, width: int) -> Iterator[str]:
    """One row per node, then the first difference of each node in full, then one line for each other difference."""
    rows = [
        [n.node, str(n.incarnations), str(n.incarnations_different or ""), str(n.turns), str(n.events)]
        for n in done.nodes
    ]
    headers = ("incarnations", "differ", "turns equal", "events equal")
    columns = [Column("node"), *(Column(header, "right") for header in headers)]
    yield from text_table(Table("Nodes", columns, rows, longest=len(rows)), width)
    for node in done.nodes:
        said = (visible(f"{node.node} died of the same error as in the recording: {death}") for death in node.deaths)
        yield from flowing(said, width)
    incarnations = count(sum(node.incarnations for node in done.nodes), "incarnation")
    if not done.differences:
        turns, events = sum(node.turns for node in done.nodes), sum(node.events for node in done.nodes)
        amounts = f"{incarnations}, {count(turns, 'turn')} and {count(events, 'event')}"
        yield from prose(f"exact: {amounts} are equal to the recording, bit for bit", width)
        return
    firsts: dict[str, TurnDifference] = {}
    rest = [one for one in done.differences if firsts.setdefault(one.node, one) is not one]
    for one in firsts.values():
        yield ""
        yield from turn_difference_page(one, width)
    if rest:
        yield ""
        yield from prose("In later incarnations of these nodes, each from its own recorded log:", width)
        yield from (
            row for one in rest for row in unbroken(f"{_where(one)}: {visible(one.what)}", width, "  ", "      ")
        )
    yield f"\ndifferent: {len(done.differences)} of {incarnations}"


def turn_difference_page(one: TurnDifference, width: int) -> Iterator[str]:
    """The first difference of an incarnation: its inputs, the recorded event, the event and the output now."""
    yield from prose(f"{_where(one)}: {visible(one.what)}", width, "", "    ")
    yield from _block("inputs:", one.inputs, width)
    if one.recorded is not None or one.now is not None:
        yield from unbroken(_event(one.recorded), width, "  recorded: ", " " * 12)
        yield from unbroken(_event(one.now), width, "  now:      ", " " * 12)
    for field, (then, now) in one.fields.items():
        yield from unbroken(f"{field}: {json_value(then)}, {json_value(now)}", width, "    ", " " * 8)
    if one.does_now is not None:
        yield from _block("output now:", one.does_now, width)


def reached_page(there: Reached, event: AnyEvent | None, width: int) -> Iterator[str]:
    """The turn that reported `event` (None: the end of the node), and the node's state after it."""
    yield _where(there)
    if event is not None:
        yield from unbroken(event_line(event).strip(), width, "  reports: ", " " * 11)
    yield from _block("inputs:", there.inputs, width)
    if there.dies is None:
        yield from _block("output:", there.does, width)
    else:
        yield from prose(visible(f"the node dies: {there.dies}"), width, "  ", "    ")
    if there.state:
        yield from _block("state after the turn:", there.state, width)


def violation_page(found: Violation, width: int) -> Iterator[str]:
    yield from prose(visible(f"VIOLATED {found.invariant}: {found.message}"), width, "", "  ")
    yield from prose(visible(found.rule), width, "  ", "  ")


def made_again_document(run: Path, events: int, trace_sha256: str, found: Difference | None) -> dict[str, Any]:
    """The result of running a run of `sim` again."""
    return {
        "verdict": "exact" if found is None else "different",
        "run_dir": str(run),
        "events": events,
        "trace_sha256": trace_sha256,
        "difference": found
        and {
            "common": found.common,
            "recorded": found.left and found.left.event,
            "now": found.right and found.right.event,
            "fields": found.fields,
        },
    }


def _where(one: TurnDifference | Reached) -> str:
    return f"{one.node}#{one.incarnation}, turn {one.turn}, at {one.at_us / US_PER_S:.6f} s"


def _event(text: str | None) -> str:
    """The line as `raft-chaos trace` prints the event; unchanged if it is no event."""
    if text is None:
        return "nothing"
    try:
        return event_line(decode(text.encode())).strip()
    except (msgspec.MsgspecError, UnicodeError):
        return visible(text)


def _block(title: str, lines: Sequence[str], width: int) -> Iterator[str]:
    yield f"  {title}{'' if lines else ' nothing'}"
    yield from (row for text in lines for row in unbroken(visible(text), width, "    ", " " * 8))
