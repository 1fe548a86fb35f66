"""`raft-chaos mutants`: which mistakes can be put into the cluster on purpose."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer
from tabulate import tabulate

from raft_chaos.chaos.mutants import MUTANTS


def mutants(as_json: Annotated[bool, typer.Option("--json", help="One JSON list on stdout.")] = False) -> None:
    """Lists the mutants: our Raft with exactly one mistake, for `run --mutant ID`."""
    rows = [
        {"id": m.id, "mistake": m.mistake, "source": m.source, "invariants": list(m.invariants)}
        for m in MUTANTS.values()
    ]
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(rows)).decode())
        return
    table = [[m.id, m.mistake, m.source, ", ".join(m.invariants)] for m in MUTANTS.values()]
    headers = ["id", "what is wrong", "source", "should break"]
    print(tabulate(table, headers, tablefmt="simple", maxcolwidths=[None, 36, 16, 22]))
