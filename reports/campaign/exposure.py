"""What a campaign was exposed to, as a table: a kind of fault that never has an effect cannot hide in it."""

from __future__ import annotations

from collections.abc import Sequence

from raft_chaos.invariants.exposure import Exposure
from raft_chaos.reports.tables import Column, Table


def exposure_table(exposures: Sequence[Exposure]) -> Table:
    rows = [
        [one.kind, *map(str, (one.planned, one.injected, one.effective, one.in_election, one.nodes))]
        for one in exposures
    ]
    counts = ("planned", "injected", "effective", "in elections", "nodes hit")
    return Table(
        "Faults",
        [Column("fault"), *(Column(count, "right") for count in counts)],
        rows,
        "in elections: a node stood for election during the fault; nodes hit: of all faults together",
        longest=len(rows),
    )


def inert(exposures: Sequence[Exposure]) -> str:
    """The sentence that names the kinds which were planned and never had an effect; "" if there are none."""
    kinds = [one.kind for one in exposures if not one.effective]
    if not kinds:
        return ""
    which, them = ("kind", "it") if len(kinds) == 1 else ("kinds", "them")
    return f"INERT: no fault of the {which} {', '.join(kinds)} had an effect, so this says nothing about {them}."
