"""`raft-chaos check` and `raft-chaos report`: judge and report a saved run, finished or interrupted.

`check` also judges the history of another system (`check_history`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from raft_chaos.chaos.cli.common import fail
from raft_chaos.chaos.cli.read.check_history import check_history
from raft_chaos.chaos.cli.result import Result
from raft_chaos.chaos.replay.confirm import judge_again
from raft_chaos.chaos.run.settings import program, was_scheduled
from raft_chaos.chaos.schedule.data import ScheduleError
from raft_chaos.invariants.linearizability.operations import Model
from raft_chaos.invariants.linearizability.readers.formats import Format as HistoryFormat
from raft_chaos.invariants.rundir import RunDir, RunDirError
from raft_chaos.invariants.verdict import EXIT_CODE
from raft_chaos.reports.commands.verdicts import Judged, judged_document, judged_page
from raft_chaos.reports.write import Format, render

RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")]


def check(
    run: Annotated[Path | None, typer.Argument(metavar="RUN", help="A run directory.")] = None,
    history: Annotated[
        Path | None,
        typer.Option("--history", metavar="FILE", help="Instead, a file of client operations of any system."),
    ] = None,
    model: Annotated[
        Model | None, typer.Option("--model", help="The model; needed if the format fits several.")
    ] = None,
    form: Annotated[
        HistoryFormat | None, typer.Option("--format", help="The file's format.", show_default="guessed")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", metavar="FILE", help="Draw a violation of --history: .html or .svg.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> Result:
    """Judges a saved run again, from its events and history. The exit codes are those of `run`.

    With --history: checks whether the client operations in a file are linearizable.
    """
    if history is not None:
        if run is not None:
            fail(f"--history: expected either a run or a history, got {run} and {history}")
        return check_history(history, form, model, as_json, picture)
    if run is None:
        fail("expected a run directory, or --history FILE")
    for name, given in (("--model", model), ("--format", form), ("--picture", picture)):
        if given is not None:
            fail(f"{name}: only with --history; a run has its own")
    try:
        analysis, info = judge_again(RunDir(run)), RunDir(run).load_info()
    except (RunDirError, ScheduleError) as error:
        fail(str(error))
    judged = Judged(
        run=run,
        verdict=analysis.verdict,
        invariants=analysis.invariants,
        vacuous=analysis.vacuous,
        stats=analysis.stats,
        repro=info.repro,
        program=program(),
        can_shrink=was_scheduled(info),
        sealed=info.evidence is not None,
    )
    return Result(EXIT_CODE[judged.verdict], judged_page(judged), judged_document(judged), as_json, judged=True)


def report(
    run: RunPath,
    shape: Annotated[Format, typer.Option("--format", help="What to print.")] = "text",
) -> Result:
    """Prints the report of a saved run."""
    try:
        return Result(page=[render(RunDir(run), shape).removesuffix("\n")])
    except (RunDirError, ValueError) as error:
        fail(str(error))


def known_nodes(run: RunDir, wanted: list[str]) -> list[str]:
    """The nodes given as --node, which must be nodes of the run. Raises RunDirError if the directory is no run."""
    there = run.load_info().nodes
    for node in wanted:
        if node not in there:
            fail(f"--node: {node!r} is no node of {run.path}; there are {', '.join(there)}")
    return wanted
