"""`raft-chaos check`: judges a saved run, finished or interrupted; or a history of another system (`check_history`)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from raft_chaos.chaos.cli.common import fail
from raft_chaos.chaos.cli.read.run_names import HELP, offered, resolve
from raft_chaos.chaos.cli.result import Result
from raft_chaos.chaos.cli.width import columns
from raft_chaos.chaos.replay.confirm import judge_again
from raft_chaos.chaos.run.settings import program, was_scheduled
from raft_chaos.chaos.schedule.data import ScheduleError
from raft_chaos.invariants.linearizability.operations import Model
from raft_chaos.invariants.linearizability.readers.formats import Format as HistoryFormat
from raft_chaos.invariants.rundir import RunDir, RunDirError
from raft_chaos.invariants.verdict import EXIT_CODE
from raft_chaos.reports.commands.verdicts import Judged, judged_document, judged_page


def check(
    run: Annotated[
        Path | None, typer.Argument(metavar="RUN", help=HELP, callback=resolve, autocompletion=offered)
    ] = None,
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
        from raft_chaos.chaos.cli.read.check_history import check_history  # it brings the pictures of a history

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
    return Result(
        EXIT_CODE[judged.verdict], judged_page(judged, columns()), judged_document(judged), as_json, judged=True
    )
