"""The mutants: a table of the mistakes that can be put into the cluster."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from tabulate import tabulate


class MutantRow(msgspec.Struct, frozen=True):
    """One mutant: what is wrong in it, where the mistake is known from, and the invariants that it should break."""

    id: str
    mistake: str
    source: str
    invariants: list[str]


def mutants_page(rows: Sequence[MutantRow]) -> list[str]:
    cells = [[row.id, row.mistake, row.source, ", ".join(row.invariants)] for row in rows]
    headers = ["id", "what is wrong", "source", "should break"]
    return tabulate(cells, headers, tablefmt="simple", maxcolwidths=[None, 36, 16, 22]).split("\n")
