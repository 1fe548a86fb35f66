"""A table of the mutants, the mistakes that can be injected into our Raft."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from raft_chaos.reports.tables import Column, Table, text_table


class MutantRow(msgspec.Struct, frozen=True):
    """One mutant: its mistake, where the mistake is known from, the invariants that it should violate, and, if it
    survives campaigns, why."""

    id: str
    mistake: str
    source: str
    invariants: list[str]
    survives: str = ""


def mutants_page(rows: Sequence[MutantRow], width: int) -> list[str]:
    cells = [[row.id, row.mistake, row.source, _breaks(row)] for row in rows]
    columns = [Column("id"), *(Column(name, wraps=True) for name in ("what is wrong", "source", "should break"))]
    return text_table(Table("Mutants", columns, cells, longest=len(rows)), width)


def _breaks(row: MutantRow) -> str:
    survives = f"survives: {row.survives}" if row.survives else ""
    return "; ".join(filter(None, (", ".join(row.invariants), survives)))
