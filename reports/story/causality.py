"""Where a failure was decided: the chance that the invariant breaks after each step, as a table with bars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from raft_chaos.reports.tables import Column, Table, flowing, titled
from raft_chaos.reports.text import USUAL, count, prose

LONGEST_BAR = 20
JUMPS = "<- the jump"


class ChanceAt(msgspec.Struct, frozen=True, kw_only=True):
    """The chance after `steps` steps, of which the last did `what` ("" before the first), in percent."""

    steps: int
    what: str
    percent: float
    error: float


class CausalityView(msgspec.Struct, frozen=True, kw_only=True):
    """What is shown. `jump` is the place in `chances` of the later end of the largest rise, None if there is none.

    Each chance is of `walked` continuations of at most `length` steps; the execution breaks the invariant at step
    `broken`.
    """

    invariant: str
    about: str
    chances: list[ChanceAt]
    jump: int | None
    walked: int
    length: int
    broken: int


def causality_sentence(view: CausalityView) -> str:
    """Where it was decided, in words."""
    if view.jump is None:
        return (
            f"No single step decides it: the chance that {view.invariant} breaks never rises by more than what so few "
            "continuations explain."
        )
    before, after = view.chances[view.jump - 1], view.chances[view.jump]
    where = f"at step {after.steps - 1}: {after.what}"
    if after.steps - before.steps > 1:
        where = f"between step {before.steps} and step {after.steps - 1}"
    return (
        f"It was decided {where}. Before, {view.invariant} breaks in {before.percent:.0f} % of what may follow; "
        f"after, in {after.percent:.0f} %."
    )


def causality_note(view: CausalityView) -> str:
    """How it was measured."""
    worst = max((one.error for one in view.chances), default=0.0)
    return (
        f"After each step: the share of {count(view.walked, 'random continuation')} of at most {view.length} steps "
        f"that break it, with a standard error of up to {worst:.0f} %. Step {view.broken} breaks it."
    )


def causality_table(view: CausalityView, *, bars: bool = True) -> Table:
    rows = []
    for place, one in enumerate(view.chances):
        bar = "#" * round(LONGEST_BAR * one.percent / 100) if bars else ""
        mark = JUMPS if place == view.jump else ""
        number = str(one.steps - 1) if one.steps else ""
        rows.append([number, one.what or "the empty cluster", f"{one.percent:.0f} %", f"{bar} {mark}".strip()])
    columns = [Column("step", "right"), Column("what happens", wraps=True), Column("chance", "right"), Column("")]
    return Table("The chance after each step", columns, rows, longest=100)


def causality_page(view: CausalityView, width: int = USUAL) -> list[str]:
    """The page for a terminal."""
    said = prose(causality_sentence(view), width)
    note = prose(causality_note(view), width)
    return [*flowing([view.about], width), *said, "", *titled(causality_table(view), width), "", *note]


def causality_document(view: CausalityView) -> dict[str, Any]:
    """The same for scripts."""
    document: dict[str, Any] = msgspec.to_builtins(view)
    return document | {"sentence": causality_sentence(view)}


def curve(chances: Sequence[ChanceAt]) -> list[tuple[float, float]]:
    """The chances as points: (number of steps, percent)."""
    return [(float(one.steps), one.percent) for one in chances]
