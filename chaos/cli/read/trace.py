"""`raft-chaos trace` and `raft-chaos diff`: what happened in a saved run, and where two of them part."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from raft_chaos.chaos.cli.common import fail, print_lines
from raft_chaos.chaos.cli.read.check import RunPath, known_nodes
from raft_chaos.invariants.rundir import RunDir, RunDirError
from raft_chaos.invariants.trace import KINDS, Difference, Relation, concerned, digest, first_difference, kind_of
from raft_chaos.invariants.verdict import EXIT_VALID, EXIT_VIOLATED
from raft_chaos.reports.event_lines import line, transcript
from raft_chaos.reports.text import US_PER_S, count, json_value, visible

EXIT_EQUAL, EXIT_DIFFERENT = EXIT_VALID, EXIT_VIOLATED

_MARK: dict[Relation, str] = {"same": "*", "cause": "<", "other": " "}


def trace(
    run: RunPath,
    node: Annotated[
        list[str] | None, typer.Option(help="Only this node's events, and what the harness did to it; repeatable.")
    ] = None,
    from_s: Annotated[float, typer.Option("--from", metavar="SECONDS", help="Nothing before this time.")] = 0.0,
    until_s: Annotated[
        float,
        typer.Option("--until", metavar="SECONDS", help="Nothing after this time.", show_default="the end"),
    ] = math.inf,
    kind: Annotated[
        str | None, typer.Option(metavar="KIND,KIND", help="Only these kinds of events; op: client operations.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="The first so many lines.")] = None,
) -> None:
    """Prints what happened in a saved run, one line an event, in the order in which it happened."""
    kinds = _kinds(kind)
    if not from_s <= until_s:
        fail(f"--until: expected a time that is not before --from ({from_s:g} s), got {until_s:g}")
    try:
        nodes = set(known_nodes(RunDir(run), node or [])) or None
        items = (
            item.event
            for item in RunDir(run).trace()
            if from_s <= item.event.t_us / US_PER_S <= until_s
            and (kinds is None or kind_of(item.event) in kinds)
            and (nodes is None or not nodes.isdisjoint(concerned(item.event)))
        )
        print_lines(transcript(islice(items, limit)))
    except RunDirError as error:
        fail(str(error))


def diff(
    left: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")],
    right: Annotated[Path, typer.Argument(metavar="RUN", help="Another one.")],
    context: Annotated[int, typer.Option(min=0, help="How many of the lines that led to it are shown.")] = 10,
) -> None:
    """Compares two saved runs, event by event. Exit codes: 0 equal, 1 different."""
    try:
        for run in (left, right):
            RunDir(run).load_info()  # an empty folder is no run, and equals none
        found = first_difference(RunDir(left).trace(), RunDir(right).trace(), context)
        if found is None:
            sha256, events = digest(RunDir(left).trace())
            print_lines([f"equal: {count(events, 'event')}, SHA-256 {sha256}"])
            raise typer.Exit(EXIT_EQUAL)
    except RunDirError as error:
        fail(str(error))
    print_lines(describe_difference(found, str(left), str(right)))
    raise typer.Exit(EXIT_DIFFERENT)


# ---- arguments ---------------------------------------------------------------------------------------------------


def _kinds(text: str | None) -> set[str] | None:
    if text is None:
        return None
    kinds = [part.strip() for part in text.split(",")]
    for kind in kinds:
        if kind not in KINDS:
            fail(f"--kind: {kind!r} is unknown; expected some of {', '.join(KINDS)}")
    return set(kinds)


# ---- what is printed ---------------------------------------------------------------------------------------------


def describe_difference(found: Difference, left: str, right: str) -> Iterator[str]:
    """Where two runs, named `left` and `right`, part, and what led to it; a line each."""
    yield f"{count(found.common, 'event')} equal, then the runs differ."
    if found.before:
        yield "Before that (* the same node or client, < what happened before it elsewhere):"
    yield from (f"{_MARK[relation]} {line(item.event)}" for relation, item in found.before)
    for path, item in ((left, found.left), (right, found.right)):
        yield f"{visible(path)}:"
        yield f"  {line(item.event)}" if item is not None else "  nothing more"
    if found.fields:
        yield "They differ in:"
        yield from (f"  {field}: {json_value(a)}, {json_value(b)}" for field, (a, b) in found.fields.items())
    elif found.left is not None and found.right is not None:
        yield "They are the same event, written in other bytes."
