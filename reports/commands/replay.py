"""Nodes lived again from their journals: what was equal, where an incarnation first differs, a violation's turn.

The structs are the documents; the pages are made of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
from tabulate import tabulate

from raft_chaos.invariants.events import AnyEvent, decode
from raft_chaos.invariants.trace import Difference
from raft_chaos.invariants.verdict import Violation
from raft_chaos.reports.event_lines import event_line
from raft_chaos.reports.text import US_PER_S, count, json_value, visible

Exact = Literal["exact", "different"]


class ReplayedNode(msgspec.Struct, frozen=True):
    """One node: how much of it was the same again, and what its incarnations died of."""

    node: str
    incarnations: int
    incarnations_different: int
    turns: int
    events: int
    deaths: Sequence[str]


class TurnDifference(msgspec.Struct, frozen=True, kw_only=True):
    """The first turn of an incarnation that diverges from the recording: its inputs, and what the code does now.

    `recorded` and `now` are the lines of an event that differs, `fields` what differs in it.
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
    """All nodes that were replayed, and their differences in the order of time."""

    verdict: Exact
    run_dir: str
    nodes: Sequence[ReplayedNode]
    differences: Sequence[TurnDifference]


class Reached(msgspec.Struct, frozen=True, kw_only=True):
    """The turn that reported a violation: what the node takes in it, does or dies of, and what it is after it."""

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


def replayed_page(done: Replayed) -> Iterator[str]:
    """A row a node, then the first difference of each node in full and the others in a line each, in order of time."""
    rows = [[n.node, n.incarnations, n.incarnations_different or "", n.turns, n.events] for n in done.nodes]
    yield from tabulate(rows, ["node", "incarnations", "differ", "turns equal", "events equal"]).split("\n")
    for node in done.nodes:
        yield from (visible(f"{node.node} died, now as then: {death}") for death in node.deaths)
    incarnations = count(sum(node.incarnations for node in done.nodes), "incarnation")
    if not done.differences:
        turns, events = sum(node.turns for node in done.nodes), sum(node.events for node in done.nodes)
        yield (
            f"exact: {incarnations}, {count(turns, 'turn')} and {count(events, 'event')} "
            "are the same again, bit for bit"
        )
        return
    firsts: dict[str, TurnDifference] = {}
    rest = [one for one in done.differences if firsts.setdefault(one.node, one) is not one]
    for one in firsts.values():
        yield ""
        yield from turn_difference_page(one)
    if rest:
        yield "\nIn later incarnations of these nodes, each from its own recorded log:"
        yield from (f"  {_where(one)}: {visible(one.what)}" for one in rest)
    yield f"\ndifferent: {len(done.differences)} of {incarnations}"


def turn_difference_page(one: TurnDifference) -> Iterator[str]:
    """Where an incarnation first differs: what came in, what was recorded, what comes out now."""
    yield f"{_where(one)}: {visible(one.what)}"
    yield from _block("it takes:", one.inputs)
    if one.recorded is not None or one.now is not None:
        yield f"  recorded: {_event(one.recorded)}"
        yield f"  now:      {_event(one.now)}"
    yield from (f"    {field}: {json_value(then)}, {json_value(now)}" for field, (then, now) in one.fields.items())
    if one.does_now is not None:
        yield from _block("it does now:", one.does_now)


def reached_page(there: Reached, event: AnyEvent | None) -> Iterator[str]:
    """The turn, which reported `event` (None: that the node ended), and the node as it is after it."""
    yield _where(there)
    if event is not None:
        yield f"  reports: {event_line(event).strip()}"
    yield from _block("it takes:", there.inputs)
    if there.dies is None:
        yield from _block("it does:", there.does)
    else:
        yield visible(f"  it dies: {there.dies}")
    if there.state:
        yield from _block("then it is:", there.state)


def violation_page(found: Violation) -> Iterator[str]:
    yield visible(f"VIOLATED {found.invariant}: {found.message}")
    yield visible(f"  {found.rule}")


def made_again_document(run: Path, events: int, trace_sha256: str, found: Difference | None) -> dict[str, Any]:
    """A run of `sim` that was made again as a whole."""
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
    """An event's line as `raft-chaos trace` has it, or as it is if it is none."""
    if text is None:
        return "nothing"
    try:
        return event_line(decode(text.encode())).strip()
    except (msgspec.MsgspecError, UnicodeError):
        return visible(text)


def _block(title: str, lines: Sequence[str]) -> Iterator[str]:
    yield f"  {title}{'' if lines else ' nothing'}"
    yield from (f"    {visible(text)}" for text in lines)
