"""`raft-chaos report`: prints the report of a saved run, finished or interrupted; of several, or of a campaign."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from raft_chaos.chaos.campaign.file import CampaignError
from raft_chaos.chaos.cli.common import fail
from raft_chaos.chaos.cli.read.run_names import offered, resolve
from raft_chaos.chaos.cli.read.saved import render_saved
from raft_chaos.chaos.cli.result import Result
from raft_chaos.chaos.cli.width import columns
from raft_chaos.invariants.rundir import RunDirError
from raft_chaos.reports.write import Format


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...",
            help="A run (its directory, the beginning of its name, latest), several, or a campaign's folder or file.",
            callback=resolve,
            autocompletion=offered,
        ),
    ],
    shape: Annotated[Format, typer.Option("--format", help="What to print.")] = "text",
) -> Result:
    """Prints the report of a saved run, or of several together. With --format html: a page for a browser."""
    try:
        return Result(page=[render_saved(runs, shape, columns()).removesuffix("\n")])
    except (RunDirError, CampaignError, ValueError) as error:
        fail(str(error))
