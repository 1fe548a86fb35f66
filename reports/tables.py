"""A table as terminal text or as Markdown. tabulate draws it; this file decides the content of the cells.

Terminal text should fit 80 columns. If it does not, the columns that may wrap become narrower, the widest first, down
to `NARROWEST`. Columns of numbers and names never wrap, since broken numbers are unreadable; on a very narrow terminal
the lines are too long. A column that is empty in all rows is left out, except the first, which names the rows.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import Literal

from tabulate import tabulate

from raft_chaos.reports.text import count, markdown, visible

NARROWEST = 12
LONGEST = 40
_GAP = 2
"""The blanks between two columns of tabulate's "plain" format."""


@dataclass(frozen=True)
class Column:
    """A column; numbers are aligned right. `wraps` allows line breaks in cells; `keep` shows it even if it is empty."""

    header: str
    align: Literal["left", "right"] = "left"
    wraps: bool = False
    keep: bool = False


@dataclass(frozen=True)
class Table:
    """A title, columns, rows with one text per column, notes below it (legends, a line each), and the most rows that
    are shown."""

    title: str
    columns: list[Column]
    rows: list[list[str]]
    note: str = ""
    longest: int = LONGEST


def shortened(table: Table) -> tuple[Table, str]:
    """The table with its cells made visible, without its empty columns, and cut to its `longest`.

    The second value is a line with the number of rows that are left out, or "".
    """
    cells = [[visible(cell).strip() for cell in row] for row in table.rows[: table.longest]]
    used = [n for n, column in enumerate(table.columns) if n == 0 or column.keep or any(row[n] for row in cells)]
    rows = [[row[n] for n in used] for row in cells]
    unshown = len(table.rows) - len(rows)
    more = f"... and {count(unshown, 'more row')}; the JSON report has all of them" if unshown else ""
    return Table(table.title, [table.columns[n] for n in used], rows, table.note), more


def text_table(table: Table, width: int = 80) -> list[str]:
    """The lines of a table for a terminal of `width` columns, without its title."""
    table, more = shortened(table)
    widths = _fit(table.columns, table.rows, width)
    wrapped = [[_wrap(cell, widths[n], table.columns[n]) for n, cell in enumerate(row)] for row in table.rows]
    headers = [column.header for column in table.columns]
    # The header is passed as a row: with `headers`, tabulate makes each column two blanks wider than needed.
    drawn = tabulate(
        [headers, _rules(headers, wrapped), *wrapped],
        tablefmt="plain",
        disable_numparse=True,
        colalign=[column.align for column in table.columns],
    )
    notes = [line for note in (more, *table.note.splitlines()) for line in textwrap.wrap(note, width)]
    return [line.rstrip() for line in [*drawn.splitlines(), *notes]]


def markdown_table(table: Table) -> list[str]:
    """The lines of a table for GitHub, without its title."""
    table, more = shortened(table)
    drawn = tabulate(
        [[markdown(cell) for cell in row] for row in table.rows],
        headers=[markdown(column.header) for column in table.columns],
        tablefmt="pipe",
        disable_numparse=True,
        colalign=[column.align for column in table.columns],
    )
    notes = [line for note in (more, *table.note.splitlines()) if note for line in ("", markdown(note))]
    return [*drawn.splitlines(), *notes]


def _fit(columns: list[Column], rows: list[list[str]], width: int) -> list[int]:
    """The width of each column: its longest cell. Columns that wrap become narrower until the table fits."""
    widths = [max(len(column.header), *(len(row[n]) for row in rows), 0) for n, column in enumerate(columns)]
    narrowest = [
        max(NARROWEST, len(column.header)) if column.wraps else w for column, w in zip(columns, widths, strict=True)
    ]
    excess = sum(widths) + _GAP * (len(widths) - 1) - width
    while excess > 0:
        spare = [w - least for w, least in zip(widths, narrowest, strict=True)]
        if max(spare, default=0) <= 0:
            break
        widest = max((n for n, room in enumerate(spare) if room > 0), key=lambda n: widths[n])
        widths[widest] -= 1
        excess -= 1
    return widths


def _rules(headers: list[str], rows: list[list[str]]) -> list[str]:
    """The dashes below each header, as wide as the column."""
    lines = [[header, *(line for row in rows for line in row[n].splitlines())] for n, header in enumerate(headers)]
    return ["-" * max(map(len, column)) for column in lines]


def _wrap(cell: str, width: int, column: Column) -> str:
    if not column.wraps:
        return cell
    return "\n".join(textwrap.wrap(cell, width, break_on_hyphens=False))
