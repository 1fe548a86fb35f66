"""`raft-chaos mutants`: lists the mistakes that can be injected into our Raft."""

from __future__ import annotations

from typing import Annotated

import typer

from raft_chaos.chaos.cli.result import Result
from raft_chaos.chaos.cli.width import columns
from raft_chaos.chaos.mutants import MUTANTS
from raft_chaos.reports.commands.mutants import MutantRow, mutants_page


def mutants(as_json: Annotated[bool, typer.Option("--json", help="One JSON list on stdout.")] = False) -> Result:
    """Lists the mutants: our Raft with exactly one mistake, for `run --mutant ID`."""
    rows = [MutantRow(m.id, m.mistake, m.source, list(m.invariants), m.survives) for m in MUTANTS.values()]
    return Result(page=mutants_page(rows, columns()), document=rows, as_json=as_json)
