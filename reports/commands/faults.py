"""A table of the kinds of faults."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tabulate import tabulate


class FaultRow(Protocol):
    """One kind: its name, the worlds that have it, its effect, and its fields in a schedule."""

    @property
    def kind(self) -> str: ...
    @property
    def worlds(self) -> str: ...
    @property
    def does(self) -> str: ...
    @property
    def fields(self) -> list[str]: ...


def faults_page(rows: Sequence[FaultRow]) -> list[str]:
    cells = [[row.kind, row.worlds, row.does, ", ".join(row.fields)] for row in rows]
    headers = ["kind", "worlds", "what it does", "fields in a schedule"]
    return tabulate(cells, headers, tablefmt="simple", maxcolwidths=[None, 8, 34, 20]).split("\n")
