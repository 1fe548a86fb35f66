"""`raft-chaos faults`: lists the kinds of faults, and the steered episodes."""

from __future__ import annotations

from typing import Annotated

import typer

from raft_chaos.chaos.cli.result import Result
from raft_chaos.chaos.cli.width import columns
from raft_chaos.chaos.faults.manual import rows
from raft_chaos.chaos.schedule.steered.catalogue import ALL
from raft_chaos.reports.commands.faults import faults_page


def faults(as_json: Annotated[bool, typer.Option("--json", help="One JSON list on stdout.")] = False) -> Result:
    """Lists the kinds of faults, for `run --faults KIND,KIND` and for schedules, and the steered episodes.

    The JSON list has the kinds.
    """
    return Result(page=faults_page(rows(), ALL, columns()), document=rows(), as_json=as_json)
