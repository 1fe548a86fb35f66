"""The list of saved runs, and what becomes of them when some are removed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

import msgspec

from raft_chaos.reports.tables import Column, Table, text_table
from raft_chaos.reports.text import count, size

State = Literal["valid", "violated", "unknown", "running", "interrupted", "failed", "damaged"]
"""A verdict; or why there is none: it goes on, its controller was killed, the harness failed, run.json is damaged."""


class RunRow(msgspec.Struct, frozen=True, kw_only=True):
    """One saved run. `seconds` is how long it took, None if that is not known; `violated` has the invariants."""

    run: str
    path: str
    started_at: str
    seed: int | None
    world: str
    target: str
    mutant: str | None
    state: State
    violated: list[str]
    seconds: float | None
    size_bytes: int


COLUMNS = [
    Column("run"),
    Column("seed", align="right"),
    Column("world"),
    Column("target"),
    Column("verdict"),
    Column("seconds", align="right"),
    Column("size", align="right"),
    Column("violated", wraps=True),
]


def runs_page(rows: Sequence[RunRow], folder: str, limit: int, width: int) -> list[str]:
    """The newest `limit` runs (0: all), newest first, and a line about all of them."""
    if not rows:
        return [f"no run in {folder}"]
    shown = rows[:limit] if limit else rows
    page = _table(shown, width)
    if len(shown) < len(rows):
        page.append(f"... and {count(len(rows) - len(shown), 'older run')}; --limit 0 shows all")
    states = Counter(row.state for row in rows)
    kinds = ", ".join(f"{number} {state}" for state, number in states.most_common())
    return [*page, "", f"{count(len(rows), 'run')} in {folder}, {size(sum(row.size_bytes for row in rows))}: {kinds}"]


def pruned_page(rows: Sequence[RunRow], kept: int, failed: Sequence[str], command: str, width: int) -> list[str]:
    """What was removed; or with a `command`, what it would remove."""
    if not rows:
        return [*failed, f"nothing {'is removed' if failed else 'to remove'}; {_stay(kept)}"]
    total = f"{count(len(rows), 'run')}, {size(sum(row.size_bytes for row in rows))}"
    if command:
        return [*_table(rows, width), "", f"would remove {total}; {kept} would stay. To remove them:", command]
    return [*failed, f"removed {total}; {_stay(kept)}"]


def _stay(kept: int) -> str:
    return f"{count(kept, 'run')} stay{'s' if kept == 1 else ''}"


def _table(rows: Sequence[RunRow], width: int) -> list[str]:
    cells = [
        [
            row.run,
            "" if row.seed is None else str(row.seed),
            row.world,
            row.mutant or row.target,
            row.state,
            "" if row.seconds is None else f"{row.seconds:.1f}",
            size(row.size_bytes),
            ", ".join(row.violated),
        ]
        for row in rows
    ]
    return text_table(Table("Runs", COLUMNS, cells, longest=len(cells)), width)
