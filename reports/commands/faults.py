"""A table of the kinds of faults, and one of the steered episodes that are made of them."""

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


class EpisodeRow(Protocol):
    """One episode: its name, what it brings about, the kinds of faults in it, and where that mattered."""

    @property
    def name(self) -> str: ...
    @property
    def about(self) -> str: ...
    @property
    def kinds(self) -> Sequence[str]: ...
    @property
    def source(self) -> str: ...


def faults_page(rows: Sequence[FaultRow], episodes: Sequence[EpisodeRow], width: int) -> list[str]:
    cells = [[row.kind, row.worlds, row.does, ", ".join(row.fields)] for row in rows]
    columns = [Column("kind"), *(Column(name, wraps=True) for name in ("worlds", "does", "fields in a schedule"))]
    faults = text_table(Table("Faults", columns, cells, longest=len(rows)), width)
    cells = [[row.name, row.about, ", ".join(row.kinds), row.source] for row in episodes]
    columns = [Column("episode"), *(Column(name, wraps=True) for name in ("brings about", "by", "seen in"))]
    return [*faults, "", *text_table(Table("Steered episodes", columns, cells, longest=len(episodes)), width)]
