"""A table as terminal text or as Markdown. tabulate draws it; this file decides the content of the cells.

Terminal text fits the terminal. A table that is too wide gets narrower in steps:

    columns     headers break between words, and the columns that may wrap become narrower, the widest first
    below       if that is not enough, and few rows have texts that may wrap, each stands below its row
    blocks      otherwise each row becomes a block: its name, and below it what is in its columns

Columns of numbers and names never wrap in a table, since broken numbers are unreadable, and nothing is ever cut. A
column that is empty in all rows is left out, except the first, which names the rows.
"""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from raft_chaos.reports.text import NARROW, USUAL, count, markdown, prose, visible

NARROWEST, LONGEST_NAME = 12, 28
LONGEST = 40
_GAP = 2
"""The blanks between two columns of tabulate's "plain" format."""
_GLUE = "\0"
"""A blank at which no line ends; no visible text has it."""


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


def text_table(table: Table, width: int = USUAL) -> list[str]:
    """The lines of a table for a terminal of `width` columns, without its title."""
    width = max(width, NARROW)
    table, more = shortened(table)
    widths = _fit(table.columns, table.rows, width)
    drawn = _drawn(table, widths) if widths is not None else _below(table, width) or list(_blocks(table, width))
    notes = [line for note in (more, *table.note.splitlines()) for line in textwrap.wrap(note, width)]
    return [line.rstrip() for line in [*drawn, *notes]]


def titled(table: Table, width: int = USUAL) -> list[str]:
    """The same with its title."""
    return [table.title, "=" * len(table.title), *text_table(table, width)]


def markdown_table(table: Table) -> list[str]:
    """The lines of a table for GitHub, without its title."""
    table, more = shortened(table)
    rows = [[markdown(cell) for cell in row] for row in table.rows]
    drawn = _tabulated(rows, table.columns, "pipe", [markdown(column.header) for column in table.columns])
    notes = [line for note in (more, *table.note.splitlines()) if note for line in ("", markdown(note))]
    return [*drawn, *notes]


def _fit(columns: list[Column], rows: list[list[str]], width: int) -> list[int] | None:
    """The width of each column: that of its longest text, or less if the table would be too wide. None if none fits."""
    cells = [max((len(row[n]) for row in rows), default=0) for n in range(len(columns))]
    widths = [max(len(column.header), cell) for column, cell in zip(columns, cells, strict=True)]
    least = [
        max(_longest_word(column.header), _narrowest(row[n] for row in rows) if column.wraps else cells[n])
        for n, column in enumerate(columns)
    ]
    gaps = _GAP * (len(widths) - 1)
    if sum(least) + gaps > width:
        return None
    for _ in range(sum(widths) + gaps - width):
        widest = max((n for n in range(len(widths)) if widths[n] > least[n]), key=lambda n: widths[n])
        widths[widest] -= 1
    return widths


def _narrowest(cells: Iterable[str]) -> int:
    """How narrow a column of these cells may become: names stay in one piece, and paths break."""
    cells = list(cells)
    word = max(map(_longest_word, cells), default=0)
    return min(max(NARROWEST, word if word <= LONGEST_NAME else 0), max(map(len, cells), default=0))


def _longest_word(text: str) -> int:
    return max(map(len, text.split()), default=0)


def _drawn(table: Table, widths: list[int]) -> list[str]:
    headers = [_wrapped(column.header, width) for column, width in zip(table.columns, widths, strict=True)]
    rows = [[_wrapped(cell, width) for cell, width in zip(row, widths, strict=True)] for row in table.rows]
    # The header is passed as a row: with `headers`, tabulate makes each column two blanks wider than needed.
    return _tabulated([headers, _rules([headers, *rows]), *rows], table.columns, "plain")


def _rules(rows: list[list[str]]) -> list[str]:
    """The dashes below each header, as wide as the column."""
    return ["-" * max(len(line) for cell in column for line in cell.split("\n")) for column in zip(*rows, strict=True)]


def _wrapped(text: str, width: int) -> str:
    return text if len(text) <= width else "\n".join(textwrap.wrap(text, width, break_on_hyphens=False))


def _tabulated(rows: list[list[str]], columns: list[Column], shape: str, headers: Sequence[str] = ()) -> list[str]:
    """The lines that tabulate draws. It is imported with the first table: it takes as long as a small command."""
    from tabulate import tabulate

    aligned = [column.align for column in columns]
    drawn = tabulate(rows, headers=headers, tablefmt=shape, disable_numparse=True, colalign=aligned)
    return drawn.splitlines()


# ---- texts below rows --------------------------------------------------------------------------------------------


def _below(table: Table, width: int) -> list[str]:
    """The columns that never wrap as a table, and each text of another column below its row.

    [] if they do not fit either, or if most rows have such texts: then these would tear the table apart.
    """
    rigid = [n for n, column in enumerate(table.columns) if n == 0 or not column.wraps]
    texts = [n for n in range(len(table.columns)) if n not in rigid]
    columns = [table.columns[n] for n in rigid]
    rows = [[row[n] for n in rigid] for row in table.rows]
    widths = _fit(columns, rows, width)
    wordy = sum(any(row[n] for n in texts) for row in table.rows)
    if widths is None or len(rigid) < 2 or wordy > len(rows) / 2:
        return []
    head, lines = _split(_drawn(Table("", columns, rows), widths), len(rows))
    told = [
        [line for n in texts if row[n] for line in prose(f"{table.columns[n].header}: {row[n]}", width, "  ", "    ")]
        for row in table.rows
    ]
    return [*head, *(line for row, below in zip(lines, told, strict=True) for line in (row, *below))]


def _split(lines: list[str], rows: int) -> tuple[list[str], list[str]]:
    """The header's lines and those of the rows, of which each has one: nothing in them wraps but the header."""
    return lines[:-rows], lines[-rows:]


# ---- blocks ------------------------------------------------------------------------------------------------------


def _blocks(table: Table, width: int) -> Iterator[str]:
    """Each row as a block, its cells in order. Long ones have lines of their own; short ones share lines, unbroken."""
    for row in table.rows:
        name, *cells = zip(table.columns, row, strict=True)
        header = name[0].header.removeprefix("what")
        yield from prose(f"{header} {name[1] or '-'}".strip(), width, "", "  ")
        told = [f"{column.header}: {cell}".strip(": ") for column, cell in cells if cell]
        for long, some in groupby(told, key=lambda pair: len(pair) > width - 4):
            if long:
                yield from (line for pair in some for line in prose(pair, width, "  ", "    "))
            else:
                shared = prose(", ".join(pair.replace(" ", _GLUE) for pair in some), width, "  ", "  ")
                yield from (line.replace(_GLUE, " ") for line in shared)


def unbroken(text: str, width: int, first: str = "", later: str = "") -> list[str]:
    """The same for a line of an event or a log, which keeps its blanks if it fits."""
    return [first + text] if len(first) + len(text) <= width else prose(text, width, first, later)


def command_lines(purpose: str, command: Iterable[str], width: int) -> list[str]:
    """A command with its purpose, on one line, or the command on a line of its own. It never wraps, so that it can be
    copied."""
    line = visible(shlex.join(command))
    return [f"{purpose}: {line}"] if len(purpose) + 2 + len(line) <= width else [f"{purpose}:", line]


def flowing(texts: Iterable[str], width: int) -> list[str]:
    """Each text in lines of at most `width`, with later lines two blanks further in."""
    return [line for text in texts for line in prose(text, width, "", "  ")]
