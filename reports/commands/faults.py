"""The kinds of faults, a paragraph for each, and a table of the steered episodes that are made of them."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Protocol

from raft_chaos.reports.tables import Column, Table, text_table

INDENT = 4
WIDEST = 100


class FaultRow(Protocol):
    """One kind: its name, the worlds that have it, what it does, how its effect is seen, what a node may then do, and
    its fields in a schedule."""

    @property
    def kind(self) -> str: ...
    @property
    def worlds(self) -> str: ...
    @property
    def does(self) -> str: ...
    @property
    def seen(self) -> str: ...
    @property
    def then(self) -> str: ...
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
    lines: list[str] = []
    for row in rows:
        said = [
            f"{row.does}.",
            f"Seen by: {_lower(row.seen)}.",
            f"What a node may then do: {_lower(row.then)}." if row.then else "",
            f"Worlds: {row.worlds or 'none with our own nodes'}.",
            f"Fields: {', '.join(row.fields)}",
        ]
        lines += [row.kind, *(line for text in said for line in _indented(text, width)), ""]
    cells = [[row.name, row.about, ", ".join(row.kinds), row.source] for row in episodes]
    columns = [Column("episode"), *(Column(name, wraps=True) for name in ("brings about", "by", "seen in"))]
    return [*lines, *text_table(Table("Steered episodes", columns, cells, longest=len(episodes)), width)]


def _lower(sentence: str) -> str:
    """The sentence as a part of another one."""
    return sentence[:1].lower() + sentence[1:]


def _indented(text: str, width: int) -> list[str]:
    """The text in lines; those after the first are indented further."""
    first, others = " " * INDENT, " " * INDENT + "  "
    return textwrap.wrap(text, max(20, min(width, WIDEST)), initial_indent=first, subsequent_indent=others)
