"""The page of a kill matrix: mutants by invariants, each cell as dark as the share of hunts that it stands for."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from raft_chaos.reports.campaign.matrix import matrix_summary, matrix_tables
from raft_chaos.reports.campaign.matrix_view import MatrixView
from raft_chaos.reports.html.page import page
from raft_chaos.reports.tables import Table
from raft_chaos.reports.text import count


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """One cell: the share in percent, and whether this invariant should convict this mutant."""

    percent: int
    expected: bool
    label: str


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A mutant and its cells, in the order of the invariants."""

    mutant: str
    cells: list[Share]


class MatrixPage(msgspec.Struct, frozen=True, kw_only=True):
    """What the template `matrix.html.j2` shows."""

    headline: str
    summary: list[str]
    command: str
    invariants: list[str]
    rows: list[Row]
    tables: list[tuple[str, Table]]


def matrix_html(view: MatrixView, command: str, more: Sequence[Table] = ()) -> str:
    """The page, as one HTML document. `command` makes the matrix again; `more` tables come last."""
    hunted = view.hunted
    convicted = [mutant for mutant in hunted if view.convictors(mutant)]
    shown = [one for one in view.invariants if view.convicts(one)]
    content = MatrixPage(
        headline=f"{len(convicted)} of {count(len(hunted), 'mutant')} convicted, by {count(len(shown), 'invariant')}",
        summary=matrix_summary(view),
        command=command,
        invariants=shown,
        rows=[Row(mutant=mutant, cells=[_cell(view, mutant, one) for one in shown]) for mutant in hunted],
        tables=[(f"table-{number}", table) for number, table in enumerate((*matrix_tables(view), *more))],
    )
    return page("matrix", pictures=False, matrix=content)


def _cell(view: MatrixView, mutant: str, invariant: str) -> Share:
    percent = round(100 * view.share(mutant, invariant))
    label = f"{mutant}, {invariant}: in {percent} % of its hunts"
    return Share(percent=percent, expected=invariant in view.mutants[mutant], label=label)
