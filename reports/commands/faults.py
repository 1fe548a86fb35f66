"""A table of the kinds of faults."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from raft_chaos.reports.tables import Column, Table, text_table


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


def faults_page(rows: Sequence[FaultRow], width: int) -> list[str]:
    cells = [[row.kind, row.worlds, row.does, ", ".join(row.fields)] for row in rows]
    columns = [Column("kind"), *(Column(name, wraps=True) for name in ("worlds", "does", "fields in a schedule"))]
    return text_table(Table("Faults", columns, cells, longest=len(rows)), width)
