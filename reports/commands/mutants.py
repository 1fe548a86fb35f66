"""A table of the mutants, the mistakes that can be injected into our Raft."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from tabulate import tabulate


class MutantRow(msgspec.Struct, frozen=True):
    """One mutant: its mistake, where the mistake is known from, and the invariants that it should violate."""

    id: str
    mistake: str
    source: str
    invariants: list[str]


def mutants_page(rows: Sequence[MutantRow]) -> list[str]:
    cells = [[row.id, row.mistake, row.source, ", ".join(row.invariants)] for row in rows]
    headers = ["id", "what is wrong", "source", "should break"]
    return tabulate(cells, headers, tablefmt="simple", maxcolwidths=[None, 36, 16, 22]).split("\n")
