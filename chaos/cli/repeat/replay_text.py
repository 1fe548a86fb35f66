"""What `raft-chaos replay` says of a replay: lines for a person, and JSON documents."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from tabulate import tabulate

from raft_chaos.chaos.replay import format
from raft_chaos.chaos.replay.result import Difference, RunReplay
from raft_chaos.chaos.replay.simulated import SimReplay
from raft_chaos.chaos.replay.violation import Reached, Reported
from raft_chaos.invariants.events import decode
from raft_chaos.invariants.rundir import RunDir
from raft_chaos.reports.event_lines import line
from raft_chaos.reports.text import US_PER_S, count, json_value, visible

Document = dict[str, Any]


# ---- all nodes ---------------------------------------------------------------------------------------------------


def all_nodes(done: RunReplay) -> Iterator[str]:
    """A row a node, then the first difference of each node in full and the others in a line each, in order of time."""
    rows = [[one.node, one.incarnations, len(one.differences) or "", one.turns, one.events] for one in done.nodes]
    yield from tabulate(rows, ["node", "incarnations", "differ", "turns equal", "events equal"]).splitlines()
    for node in done.nodes:
        yield from (visible(f"{node.node} died, now as then: {death}") for death in node.deaths)
    incarnations = sum(one.incarnations for one in done.nodes)
    differences = done.differences
    if not differences:
        turns, events = sum(one.turns for one in done.nodes), sum(one.events for one in done.nodes)
        yield (
            f"exact: {count(incarnations, 'incarnation')}, {count(turns, 'turn')} and {count(events, 'event')} "
            "came to the same again, bit for bit"
        )
        return
    firsts: dict[str, Difference] = {}
    rest = [one for one in differences if firsts.setdefault(one.node, one) is not one]
    for one in firsts.values():
        yield ""
        yield from difference(one)
    if rest:
        yield "\nIn later incarnations of these nodes, each from its own recorded log:"
        yield from (f"  {_where(one)}: {visible(one.what)}" for one in rest)
    yield f"\ndifferent: {len(differences)} of {count(incarnations, 'incarnation')}"


def difference(one: Difference) -> Iterator[str]:
    """Where an incarnation first differs: what came in, what was recorded, what comes out now."""
    yield f"{_where(one)}: {visible(one.what)}"
    yield from _block("it takes:", format.took(one.inputs))
    if one.recorded is not None or one.now is not None:
        yield f"  recorded: {_event(one.recorded)}"
        yield f"  now:      {_event(one.now)}"
    yield from (f"    {field}: {json_value(then)}, {json_value(now)}" for field, (then, now) in one.fields.items())
    if one.output is not None:
        yield from _block("it does now:", format.did(one.output))


def _where(one: Difference) -> str:
    return f"{one.node}#{one.incarnation}, turn {one.turn}, at {one.at_us / US_PER_S:.6f} s"


def _event(text: str | None) -> str:
    """An event's line as `raft-chaos trace` has it, or as it is if it is none."""
    if text is None:
        return "nothing"
    try:
        return line(decode(text.encode())).strip()
    except (msgspec.MsgspecError, UnicodeError):
        return visible(text)


def _block(title: str, lines: list[str]) -> Iterator[str]:
    yield f"  {title}{'' if lines else ' nothing'}"
    yield from (f"    {visible(text)}" for text in lines)


# ---- up to a violation -------------------------------------------------------------------------------------------


def violation(reported: Reported) -> Iterator[str]:
    found = reported.violation
    yield visible(f"VIOLATED {found.invariant}: {found.message}")
    yield visible(f"  {found.rule}")


def reached(reported: Reported, there: Reached) -> Iterator[str]:
    """The turn that reported it, and the node as it is after it."""
    turn, node = there.turn, there.incarnation.node
    at = f"{turn.recorded.at_us / US_PER_S:.6f} s"
    yield f"{reported.node}#{reported.incarnation}, turn {turn.number}, at {at}"
    if reported.event is not None:
        yield f"  reports: {line(reported.event).strip()}"
    yield from _block("it takes:", format.took(turn.recorded.inputs))
    if turn.output is not None:
        yield from _block("it does:", format.did(turn.output))
    if turn.error is not None:
        yield visible(f"  it dies: {type(turn.error).__name__}: {turn.error}")
    if node is not None:
        yield from _block("then it is:", format.state(node.replica.core))


# ---- documents ---------------------------------------------------------------------------------------------------


def document(run: RunDir, done: RunReplay) -> Document:
    return {
        "verdict": "different" if done.differences else "exact",
        "run_dir": str(run.path),
        "nodes": [
            {
                "node": one.node,
                "incarnations": one.incarnations,
                "incarnations_different": len(one.differences),
                "turns": one.turns,
                "events": one.events,
                "deaths": one.deaths,
            }
            for one in done.nodes
        ],
        "differences": [difference_document(one) for one in done.differences],
    }


def difference_document(one: Difference) -> Document:
    return {
        "node": one.node,
        "incarnation": one.incarnation,
        "turn": one.turn,
        "at_us": one.at_us,
        "inputs": format.took(one.inputs),
        "what": one.what,
        "recorded": one.recorded,
        "now": one.now,
        "fields": one.fields,
        "does_now": format.did(one.output) if one.output is not None else None,
    }


def sim_document(run: RunDir, done: SimReplay) -> Document:
    found = done.difference
    return {
        "verdict": "exact" if found is None else "different",
        "run_dir": str(run.path),
        "events": done.events,
        "trace_sha256": done.trace_sha256,
        "difference": {
            "common": found.common,
            "recorded": found.left.event if found.left is not None else None,
            "now": found.right.event if found.right is not None else None,
            "fields": found.fields,
        }
        if found is not None
        else None,
    }


def reached_document(run: RunDir, reported: Reported, there: Reached) -> Document:
    turn, node = there.turn, there.incarnation.node
    return {
        "verdict": "exact",
        "run_dir": str(run.path),
        "violation": reported.violation,
        "node": reported.node,
        "incarnation": reported.incarnation,
        "turn": turn.number,
        "at_us": turn.recorded.at_us,
        "inputs": format.took(turn.recorded.inputs),
        "does": format.did(turn.output) if turn.output is not None else [],
        "dies": f"{type(turn.error).__name__}: {turn.error}" if turn.error is not None else None,
        "state": format.state(node.replica.core) if node is not None else [],
    }
