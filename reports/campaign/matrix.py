"""The kill matrix as tables: who convicts whom, what each invariant and each kind of fault is needed for.

A hunt is one campaign after one mutant. A mutant that a hunt did not convict counts as longer than any that did.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf
from statistics import median

import msgspec

from raft_chaos.reports.tables import Column, Table, markdown_table, text_table

SLOWER = 3.0
"""A kind of fault is needed for a mutant if its hunts take so many times the seeds without it."""


class Hunted(msgspec.Struct, frozen=True, kw_only=True):
    """One hunt: the mutant, the world, the kind of fault that was left out (""), the seeds it took, the seconds, and
    all invariants that the convicting run violated; none: it was not convicted."""

    mutant: str
    world: str
    without: str
    seeds: int
    seconds: float
    violated: list[str]


@dataclass(frozen=True)
class MatrixView:
    """What a matrix is made from: the hunts, the mutants and invariants in the order in which they are shown, and the
    invariants that each mutant should break."""

    hunts: list[Hunted]
    mutants: dict[str, list[str]]
    invariants: list[str]

    def of(self, mutant: str, world: str = "sim", without: str = "") -> list[Hunted]:
        return self._cells.get((mutant, world, without), [])

    @cached_property
    def _cells(self) -> dict[tuple[str, str, str], list[Hunted]]:
        cells: dict[tuple[str, str, str], list[Hunted]] = {}
        for one in self.hunts:
            cells.setdefault((one.mutant, one.world, one.without), []).append(one)
        return cells

    def share(self, mutant: str, invariant: str) -> float:
        """The share of the mutant's hunts in sim whose convicting run violated the invariant."""
        hunts = self.of(mutant)
        return sum(invariant in one.violated for one in hunts) / len(hunts) if hunts else 0.0

    def convictors(self, mutant: str) -> list[str]:
        """The invariants that convicted it in sim, the most frequent first."""
        return self._convictors[mutant]

    @cached_property
    def _convictors(self) -> dict[str, list[str]]:
        found = {}
        for mutant in self.mutants:
            shares = {invariant: self.share(mutant, invariant) for invariant in self.invariants}
            found[mutant] = sorted((one for one in shares if shares[one]), key=lambda one: -shares[one])
        return found

    def alone(self, invariant: str) -> list[str]:
        """The mutants that only this invariant convicted."""
        return [mutant for mutant in self.mutants if self.convictors(mutant) == [invariant]]


def matrix_tables(view: MatrixView) -> list[Table]:
    """The tables that have something to show."""
    tables = [_mutants(view), _invariants(view), _faults(view), _worlds(view)]
    return [table for table in tables if table.rows]


def matrix_page(view: MatrixView, width: int) -> list[str]:
    """The tables as text."""
    lines: list[str] = []
    for table in matrix_tables(view):
        lines += [table.title, "=" * len(table.title), *text_table(table, width), ""]
    return lines[:-1]


def matrix_markdown(view: MatrixView, command: str) -> str:
    """The tables as a page of Markdown, made by `command`."""
    lines = ["# The kill matrix", "", f"Made by `{command}`."]
    for table in matrix_tables(view):
        lines += ["", f"## {table.title}", "", *markdown_table(table)]
    return "\n".join(lines) + "\n"


def _mutants(view: MatrixView) -> Table:
    rows = []
    for mutant in view.mutants:
        hunts = view.of(mutant)
        if not hunts:
            continue
        convicted = sum(bool(one.violated) for one in hunts)
        by = ", ".join(f"{name} {view.share(mutant, name):.0%}" for name in view.convictors(mutant))
        rows.append([mutant, f"{convicted}/{len(hunts)}", *_medians(hunts), by or "nobody"])
    columns = [
        Column("mutant"),
        Column("convicted", "right"),
        Column("seeds", "right"),
        Column("CPU s", "right"),
        Column("by, in so many of its hunts", wraps=True),
    ]
    note = "Sim; seeds and CPU seconds to conviction are medians; >: the median hunt did not end within its budget."
    return Table("Who convicts whom", columns, rows, note, longest=len(rows))


def _medians(hunts: Sequence[Hunted]) -> list[str]:
    """The median seeds and seconds of the hunts."""
    seeds = median(one.seeds if one.violated else inf for one in hunts)
    seconds = median(one.seconds if one.violated else inf for one in hunts)
    if seeds == inf:
        return [f"> {max(one.seeds for one in hunts)}", f"> {max(one.seconds for one in hunts):.0f}"]
    return [f"{seeds:.0f}", f"{seconds:.1f}"]


def _invariants(view: MatrixView) -> Table:
    rows = []
    for invariant in view.invariants:
        convicts = [mutant for mutant in view.mutants if view.share(mutant, invariant)]
        alone = view.alone(invariant)
        if convicts:
            rows.append([invariant, str(len(convicts)), str(len(alone)), ", ".join(alone) or "redundant here"])
    columns = [
        Column("invariant"),
        Column("convicts", "right"),
        Column("alone", "right"),
        Column("only it convicts", wraps=True),
    ]
    others = [one for one in view.invariants if not any(view.share(mutant, one) for mutant in view.mutants)]
    notes = ["Redundant here: each mutant that it convicts is convicted by another invariant too."]
    notes += [f"Not listed, since they convict none of these: {', '.join(others)}."] if others else []
    return Table("What each invariant is needed for", columns, rows, "\n".join(notes), longest=len(rows))


def _faults(view: MatrixView) -> Table:
    rows = []
    for kind in dict.fromkeys(one.without for one in view.hunts if one.without):
        needing, hunted = [], 0
        for mutant in view.mutants:
            without = view.of(mutant, without=kind)
            if not without or not view.of(mutant):
                continue
            hunted += 1
            if _seeds(without) > SLOWER * _seeds(view.of(mutant)):
                needing.append(mutant)
        rows.append([kind, str(hunted), str(len(needing)), ", ".join(needing)])
    columns = [
        Column("left out"),
        Column("mutants", "right"),
        Column("slower", "right"),
        Column(f"convicted after more than {SLOWER:g} times the seeds, or not at all", wraps=True),
    ]
    return Table("What each kind of fault is needed for", columns, rows, longest=len(rows))


def _seeds(hunts: Sequence[Hunted]) -> float:
    return median(one.seeds if one.violated else inf for one in hunts)


def _worlds(view: MatrixView) -> Table:
    worlds = [world for world in ("lockstep", "live") if any(one.world == world for one in view.hunts)]
    rows = []
    for mutant in view.mutants:
        cells = [_in_world(view.of(mutant, world)) for world in worlds]
        if any(cells):
            rows.append([mutant, *cells])
    columns = [Column("mutant"), *(Column(world, wraps=True) for world in worlds)]
    return Table("With real processes", columns, rows, "One campaign each.", longest=len(rows))


def _in_world(hunts: Sequence[Hunted]) -> str:
    if not hunts:
        return ""
    one = hunts[0]
    after = f"{one.seeds} seed{'' if one.seeds == 1 else 's'}, {one.seconds:.0f} s"
    return f"{', '.join(one.violated)} after {after}" if one.violated else f"not after {after}"
