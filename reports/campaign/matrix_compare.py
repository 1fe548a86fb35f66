"""Two kill matrices, before and after a change: how much sooner or later each mutant is convicted, and whether that is
more than chance.

Chance is judged by ranks (Mann and Whitney 1947): all hunts of a mutant, before and after, are put in order of their
CPU time. If nothing changed, each order is as probable as any other one. A hunt without a conviction ranks last, and so
does one that took at least as long as one that gave up, since the two matrices may have had different budgets.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from math import exp, inf, log, sqrt
from statistics import mean

from raft_chaos.reports.campaign.matrix_view import Hunted, MatrixView, median_of
from raft_chaos.reports.tables import Column, Table

BEYOND = 2.58
"""Standard deviations: chance alone gives more in one mutant of a hundred."""


def comparison(before: MatrixView, after: MatrixView) -> Table:
    """The mutants that both have hunts of in sim, the ones that became slowest first."""
    ratios, rows = {}, {}
    for mutant in after.hunted:
        old, new = before.of(mutant), after.of(mutant)
        if not old:
            continue
        times = [median_of(hunts, _seconds) for hunts in (old, new)]
        ratios[mutant] = _ratio(*times)
        gave_up_s = min((one.seconds for one in (*old, *new) if not one.violated), default=inf)
        moved = deviations([_time(one, gave_up_s) for one in old], [_time(one, gave_up_s) for one in new])
        mark = ("slower" if moved > 0 else "faster") if abs(moved) > BEYOND else ""
        seeds = [median_of(hunts, lambda one: one.seeds) for hunts in (old, new)]
        rows[mutant] = [mutant, *map(_cell, (*seeds, *times)), _cell(ratios[mutant], "x"), mark]
    finite = [ratio for ratio in ratios.values() if 0 < ratio < inf]
    beyond = [[row[-1] for row in rows.values()].count(mark) for mark in ("slower", "faster")]
    notes = [
        "Medians in sim; CPU s: compare only matrices of the same machine. The last column marks more than chance.",
        f"All mutants: {exp(mean(map(log, finite))):.2f}x the CPU time (geometric mean); beyond chance {beyond[0]} "
        f"slower, {beyond[1]} faster."
        if finite
        else "No mutant was convicted in both.",
    ]
    names = ("seeds before", "after", "CPU s before", "after", "ratio")
    columns = [Column("mutant"), *(Column(name, "right") for name in names), Column("beyond chance")]
    order = sorted(rows, key=lambda mutant: -ratios[mutant])
    return Table("Before and after", columns, [rows[mutant] for mutant in order], "\n".join(notes), longest=len(rows))


def deviations(before: Sequence[float], after: Sequence[float]) -> float:
    """How far the values after lie above those before, in standard deviations of chance; 0 if it cannot be told."""
    both = sorted([*((value, False) for value in before), *((value, True) for value in after)])
    total = len(both)
    ranks_after, ties, passed = 0.0, 0, 0
    for _, group in groupby(both, key=lambda pair: pair[0]):
        alike = list(group)
        rank = passed + (len(alike) + 1) / 2
        ranks_after += rank * sum(is_after for _, is_after in alike)
        ties += len(alike) ** 3 - len(alike)
        passed += len(alike)
    if total < 2:
        return 0.0
    variance = len(before) * len(after) / 12 * (total + 1 - ties / (total * (total - 1)))
    return (ranks_after - len(after) * (total + 1) / 2) / sqrt(variance) if variance > 0 else 0.0


def _seconds(one: Hunted) -> float:
    return one.seconds


def _time(one: Hunted, gave_up_s: float) -> float:
    return one.seconds if one.seconds < gave_up_s else inf


def _ratio(before: float, after: float) -> float:
    if before == after:
        return 1.0
    return after / before if 0 < before < inf else 0.0 if before == inf else inf


def _cell(value: float, unit: str = "") -> str:
    if value == inf:
        return "never"
    return f"{value:.2f}{unit}" if unit else f"{value:.1f}" if value != int(value) else f"{value:.0f}"
