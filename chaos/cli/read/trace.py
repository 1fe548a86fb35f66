"""`raft-chaos trace` and `raft-chaos diff`: print the events of a saved run, and the first difference of two runs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from raft_chaos.chaos.cli.common import fail, no_such
from raft_chaos.chaos.cli.read.run_names import RunPath, known_nodes, offered, resolve
from raft_chaos.chaos.cli.result import Result
from raft_chaos.chaos.cli.width import columns
from raft_chaos.invariants.events import AnyEvent
from raft_chaos.invariants.history import Op
from raft_chaos.invariants.rundir import RunDir, RunDirError
from raft_chaos.invariants.seal import changed
from raft_chaos.invariants.trace import KINDS, concerned, digest, first_difference, kind_of
from raft_chaos.invariants.verdict import EXIT_VALID, EXIT_VIOLATED
from raft_chaos.reports.commands.difference import difference_page
from raft_chaos.reports.event_lines import event_lines
from raft_chaos.reports.text import US_PER_S, count, prose

EXIT_EQUAL, EXIT_DIFFERENT = EXIT_VALID, EXIT_VIOLATED


def trace(
    run: RunPath,
    node: Annotated[
        list[str] | None,
        typer.Option(metavar="NODE", help="Only this node's events, and the harness's actions on it; repeatable."),
    ] = None,
    from_s: Annotated[float, typer.Option("--from", metavar="SECONDS", help="Nothing before this time.")] = 0.0,
    until_s: Annotated[
        float,
        typer.Option("--until", metavar="SECONDS", help="Nothing after this time.", show_default="the end"),
    ] = math.inf,
    kind: Annotated[
        str | None, typer.Option(metavar="KIND,KIND", help="Only these kinds of events; op: client operations.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Only this many lines, from the beginning.")
    ] = None,
) -> Result:
    """Prints a saved run, one event per line, in the order of its trace. A damaged run is shown as it is now."""
    kinds = _kinds(kind)
    if not from_s <= until_s:
        fail(f"--until: expected a time that is not before --from ({from_s:g} s), got {until_s:g}")
    try:
        nodes = set(known_nodes(RunDir(run), node or [])) or None
    except RunDirError as error:
        fail(str(error))
    items = (
        item.event
        for item in RunDir(run).trace()
        if from_s <= item.event.t_us / US_PER_S <= until_s
        and (kinds is None or kind_of(item.event) in kinds)
        and (nodes is None or not nodes.isdisjoint(concerned(item.event)))
    )
    return Result(page=_lines(islice(items, limit)), notes=_damage(run))


def _damage(*runs: Path) -> Iterator[str]:
    """A line for each run whose evidence is not what it was: what is shown is then not what happened."""
    for path in runs:
        run = RunDir(path)
        if differences := changed(run, run.load_info()):
            yield f"raft-chaos: {path}: the evidence of this run is damaged: {'; '.join(differences)}"


def _lines(items: Iterable[AnyEvent | Op]) -> Iterator[str]:
    """Yields a line for each event while reading. Ends with exit code 254 at a line that cannot be read."""
    try:
        yield from event_lines(items)
    except RunDirError as error:
        fail(str(error))


def diff(
    left: RunPath,
    right: Annotated[
        Path, typer.Argument(metavar="RUN", help="Another one.", callback=resolve, autocompletion=offered)
    ],
    context: Annotated[
        int, typer.Option(min=0, metavar="N", help="How many of the lines that led to it to show.")
    ] = 10,
) -> Result:
    """Compares two saved runs, event by event. Exit codes: 0 equal, 1 different."""
    try:
        for run in (left, right):
            RunDir(run).load_info()  # an empty folder is no run, and equals none
        found = first_difference(RunDir(left).trace(), RunDir(right).trace(), context)
        if found is None:
            sha256, events = digest(RunDir(left).trace())
            equal = prose(f"equal: {count(events, 'event')}, SHA-256 {sha256}", columns(), "", "  ")
            return Result(EXIT_EQUAL, equal, notes=_damage(left, right), judged=True)
    except RunDirError as error:
        fail(str(error))
    page = difference_page(found, str(left), str(right), columns())
    return Result(EXIT_DIFFERENT, page, notes=_damage(left, right), judged=True)


# ---- arguments ---------------------------------------------------------------------------------------------------


def _kinds(text: str | None) -> set[str] | None:
    if text is None:
        return None
    kinds = [part.strip() for part in text.split(",")]
    for kind in kinds:
        if kind not in KINDS:
            no_such("--kind", kind, KINDS)
    return set(kinds)
