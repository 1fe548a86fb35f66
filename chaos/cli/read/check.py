"""`raft-chaos check` and `raft-chaos report`: what a saved run says, finished or cut short.

`check` also judges a history from elsewhere (`check_history`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
import typer
from tabulate import tabulate

from raft_chaos.chaos.cli.common import fail
from raft_chaos.chaos.cli.read.check_history import check_history
from raft_chaos.chaos.judgement.analysis import Analysis, analyse
from raft_chaos.chaos.schedule.data import ScheduleError
from raft_chaos.invariants.linearizability.operations import Model
from raft_chaos.invariants.linearizability.readers.formats import Format as HistoryFormat
from raft_chaos.invariants.rundir import RunDir, RunDirError
from raft_chaos.invariants.verdict import EXIT_CODE, Verdict
from raft_chaos.reports.write import render

RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")]
Format = Literal["text", "markdown", "json", "junit"]


def check(
    run: Annotated[Path | None, typer.Argument(metavar="RUN", help="A run directory.")] = None,
    history: Annotated[
        Path | None, typer.Option("--history", help="A file of client operations instead, of any system.")
    ] = None,
    model: Annotated[
        Model | None, typer.Option("--model", help="What they were on; needed where a format fits several.")
    ] = None,
    form: Annotated[
        HistoryFormat | None, typer.Option("--format", help="How the file is written; by default guessed.")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", metavar="FILE", help="Draw a violation of --history: .html or .svg.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Judges a saved run again, from its events and history; exit codes as of the run itself.

    With --history: whether the client operations in a file are linearizable.
    """
    if history is not None:
        if run is not None:
            fail(f"--history: expected either a run or a history, got {run} and {history}")
        check_history(history, form, model, as_json, picture)
    if run is None:
        fail("expected a run directory, or --history FILE")
    for name, given in (("--model", model), ("--format", form), ("--picture", picture)):
        if given is not None:
            fail(f"{name}: only with --history; a run has its own")
    try:
        analysis = analyse(RunDir(run))
    except (RunDirError, ScheduleError) as error:
        fail(str(error))
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(_document(run, analysis))).decode())
    else:
        rows = [[v.invariant, v.outcome, v.judged, _why(v)] for v in analysis.invariants]
        print(
            tabulate(
                rows, ["invariant", "verdict", "judged", ""], tablefmt="simple", maxcolwidths=[None, None, None, 60]
            )
        )
        for reason in analysis.vacuous:
            print(f"missing: {reason}")
        print(f"{analysis.verdict}: {run}")
        if analysis.verdict == "violated":
            print(f"The witnesses: raft-chaos check --json. To reproduce:\n{RunDir(run).load_info().repro}")
    raise typer.Exit(EXIT_CODE[analysis.verdict])


def report(
    run: RunPath,
    shape: Annotated[Format, typer.Option("--format", help="What to print.")] = "text",
) -> None:
    """Prints the report of a saved run."""
    try:
        print(render(RunDir(run), shape), end="")
    except RunDirError as error:
        fail(str(error))


def known_nodes(run: RunDir, wanted: list[str]) -> list[str]:
    """What was given as --node, each of which must be a node of the run. Raises RunDirError for what is no run."""
    there = run.load_info().nodes
    for node in wanted:
        if node not in there:
            fail(f"--node: {node!r} is no node of {run.path}; there are {', '.join(there)}")
    return wanted


def _why(verdict: Verdict) -> str:
    return verdict.violations[0].message if verdict.violations else verdict.reason


def _document(run: Path, analysis: Analysis) -> dict[str, object]:
    return {
        "verdict": analysis.verdict,
        "run_dir": str(run),
        "invariants": {verdict.invariant: verdict.outcome for verdict in analysis.invariants},
        "vacuous": analysis.vacuous,
        "stats": analysis.stats,
        "violations": [violation for verdict in analysis.invariants for violation in verdict.violations],
    }
