"""How often the leader changes with a mistake and without it, on the same seeds: a finding, which changes no verdict.

Each seed has two numbers of one schedule, so the difference is taken by seed: the seeds differ from each other far more
than the mistake may matter. Only sums are kept, all of whole numbers, so that a campaign of millions of seeds gives the
same whatever the order in which they end.

The interval is Student's t interval of the mean difference, with n - 1 degrees of freedom (Student, "The probable error
of a mean", Biometrika 6, 1908). It draws nothing, so the same seeds give the same interval. Few seeds of a skewed
difference make it a rough one; from some dozens on that hardly matters.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from raft_chaos.reports.tables import Column, Table
from raft_chaos.reports.text import count

PAIRED: dict[str, str] = {"elections": "leaders elected", "max_term": "highest term"}
"""The statistics that are compared, with their labels."""

CONFIDENCE = 0.95
FEWEST = 2
"""One difference alone says nothing of how much differences vary."""

MOST_EXACT = 200
"""Up to so many degrees of freedom the quantile is exact; beyond it, a series is to within 1e-8."""


@dataclass
class Difference:
    """One statistic with the mistake and without it: sums over the seeds of both values, and of their difference's
    square."""

    seeds: int = 0
    mutant: int = 0
    baseline: int = 0
    squares: int = 0

    def add(self, mutant: int, baseline: int) -> None:
        self.seeds += 1
        self.mutant += mutant
        self.baseline += baseline
        self.squares += (mutant - baseline) ** 2

    @property
    def mean(self) -> float:
        """The mean difference by seed, of at least one seed."""
        return (self.mutant - self.baseline) / self.seeds

    @property
    def interval(self) -> tuple[float, float] | None:
        """The bounds of the mean difference at `CONFIDENCE`; None for fewer than two seeds."""
        if self.seeds < FEWEST:
            return None
        n, total = self.seeds, self.mutant - self.baseline
        variance = (n * self.squares - total * total) / (n * (n - 1))
        half = t_quantile(n - 1) * math.sqrt(variance / n)
        return self.mean - half, self.mean + half


class Paired:
    """The differences of a campaign. Empty if its seeds were not compared."""

    def __init__(self) -> None:
        self.differences: dict[str, Difference] = {}

    def add(self, stats: Mapping[str, float | int | str], baseline: Mapping[str, int]) -> None:
        """Adds a seed: its own numbers, and those without the mistake, of which there may be none."""
        for name in PAIRED:
            if name in baseline and name in stats:
                self.differences.setdefault(name, Difference()).add(int(stats[name]), baseline[name])

    def document(self) -> dict[str, Any] | None:
        """As plain JSON values: means by seed; None if nothing was compared. `low` and `high` are the interval."""
        if not self.differences:
            return None
        document = {}
        for name, one in self.differences.items():
            low, high = one.interval or (None, None)
            document[name] = {
                "seeds": one.seeds,
                "mutant": one.mutant / one.seeds,
                "baseline": one.baseline / one.seeds,
                "difference": one.mean,
                "low": low,
                "high": high,
            }
        return document


def paired_table(paired: Paired) -> Table:
    """The differences as a table, without rows if nothing was compared."""
    rows = [
        [
            PAIRED[name],
            f"{one.mutant / one.seeds:.2f}",
            f"{one.baseline / one.seeds:.2f}",
            f"{one.mean:+.2f}",
            "needs two seeds" if one.interval is None else "{:+.2f} to {:+.2f}".format(*one.interval),
        ]
        for name, one in paired.differences.items()
    ]
    headers = ("mutant", "without it", "difference", "95 % interval")
    seeds = max((one.seeds for one in paired.differences.values()), default=0)
    return Table(
        "Leader changes, against our Raft without the mistake",
        [Column("what", wraps=True), *(Column(header, "right") for header in headers)],
        rows,
        f"means per seed, on the same {count(seeds, 'seed')}; interval: Student's t of the differences by seed; "
        "a finding, which changes no verdict",
    )


def t_quantile(freedom: int) -> float:
    """The t that a Student's t variable with so many degrees of freedom exceeds in absolute value with probability
    1 - `CONFIDENCE`: 12.706 for 1, 1.960 for very many."""
    if freedom > MOST_EXACT:  # Abramowitz and Stegun, 26.7.5
        z = 1.959963984540054
        return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, freedom) < CONFIDENCE else (low, middle)
    return math.sqrt(freedom) * math.tan(low)


def _within(angle: float, freedom: int) -> float:
    """The probability that |t| is at most sqrt(freedom) * tan(angle) (Abramowitz and Stegun, 26.7.3 and 26.7.4)."""
    odd = freedom % 2
    term = math.cos(angle) if odd else 1.0
    series = 0.0
    for power in range(1 + odd, freedom, 2):
        series += term
        term *= power / (power + 1) * math.cos(angle) ** 2
    series *= math.sin(angle)
    return (angle + series) * 2 / math.pi if odd else series
