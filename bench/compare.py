"""What became slower from one benchmark to another: `python -m bench --compare BEFORE AFTER`.

Machines are noisy, and one is faster than another. So a row is compared by its ratios: each is a figure of ours and one
of the other side in the same round, which the same machine and the same other load had affected. A row is slower if
every ratio after is below every ratio before, and their medians differ by more than `LEAST`. Of 5 and 5 rounds without
any difference, all of one side lie below all of the other in 1 of 252 cases.

A row without a counterpart is shown, and not judged.
"""

from __future__ import annotations

from statistics import median
from typing import Literal, NamedTuple, TypeAlias

from tabulate import tabulate

from bench.measures import Row
from bench.saved import Saved

Change: TypeAlias = Literal["slower", "faster", "", "too few rounds", "no counterpart", "not in both"]
LEAST = 0.05
FEWEST = 4
"""With fewer rounds, one side lies below the other by chance too often."""


class Compared(NamedTuple):
    """One row: its part and name, the medians of its ratios before and after (0: none), and what changed."""

    part: str
    name: str
    before: float
    after: float
    change: Change


def compare(before: Saved, after: Saved) -> list[Compared]:
    """The rows of both, in the order of the first one; then those that only the second one has."""
    earlier, later = _rows(before), _rows(after)
    return [_compared(*key, earlier.get(key), later.get(key)) for key in {**earlier, **later}]


def slower(rows: list[Compared]) -> list[Compared]:
    return [row for row in rows if row.change == "slower"]


def page(rows: list[Compared]) -> str:
    """The table, and a last line that says what became slower."""
    lines = [
        [row.part, row.name, _figure(row.before), _figure(row.after), _change(row), row.change]
        for row in rows
        if row.change != "not in both"
    ]
    table = tabulate(
        lines,
        headers=["", "better by", "before", "after", "change", ""],
        colalign=["left", "left", "right", "right", "right", "left"],
        disable_numparse=True,
    )
    lacking = [f"Only in one of the two: {row.part}, {row.name}" for row in rows if row.change == "not in both"]
    found = slower(rows)
    names = "; ".join(f"{row.part}, {row.name}" for row in found)
    last = f"{len(found)} of {len(rows)} rows became slower" + (f": {names}" if found else "")
    return "\n".join([table, *lacking, last])


def _rows(saved: Saved) -> dict[tuple[str, str], Row]:
    return {(part.name, row.name): row for part in saved.parts for row in part.rows}


def _compared(part: str, name: str, before: Row | None, after: Row | None) -> Compared:
    if before is None or after is None:
        return Compared(part, name, 0.0, 0.0, "not in both")
    earlier, later = before.ratios, after.ratios
    if not earlier or not later:
        return Compared(part, name, median(before.ours), median(after.ours), "no counterpart")
    return Compared(part, name, median(earlier), median(later), _judged(earlier, later))


def _judged(earlier: list[float], later: list[float]) -> Change:
    if min(len(earlier), len(later)) < FEWEST:
        return "too few rounds"
    change = median(later) / median(earlier)
    if max(later) < min(earlier) and change < 1 - LEAST:
        return "slower"
    if min(later) > max(earlier) and change > 1 + LEAST:
        return "faster"
    return ""


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def _change(row: Compared) -> str:
    return f"{row.after / row.before - 1:+.1%}" if row.before else ""
