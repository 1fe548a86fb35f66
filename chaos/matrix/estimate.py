"""How long a matrix takes: at most, and probably.

A hunt that has not begun takes about as long as the others of its group did, or as a usual one if there are none. How
many hunts leave out a part is known only when the hunts with all parts have ended; until then a usual number counts.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import mean

import msgspec

from raft_chaos.chaos.matrix.cells import Cell
from raft_chaos.chaos.matrix.matrix import Matrix
from raft_chaos.chaos.matrix.plan import left_out_hunts

USUAL_S = {"sim": 8.0, "left out": 4.0, "lockstep": 30.0, "live": 45.0}
"""The mean time of a hunt in each group, at a budget of 60 s: CPU time in sim, real time elsewhere."""
USUAL_PARTS = 5
"""So many kinds of faults and episodes do most convicting schedules of a mutant have."""


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Hunts of one sort. Times in hours of real time, for the hunts that are left."""

    name: str
    hunts: int
    left: int
    probably_h: float
    at_most_h: float


def estimate(matrix: Matrix, processes: int) -> list[Group]:
    """The groups that have hunts."""
    order, groups = matrix.order, []
    jobs, left, done = matrix.jobs, matrix.left, matrix.done
    sorts: dict[str, Callable[[Cell], bool]] = {
        "sim": lambda cell: cell.world == "sim" and not cell.without,
        "lockstep": lambda cell: cell.world == "lockstep",
        "live": lambda cell: cell.world == "live",
        "left out": lambda cell: bool(cell.without),
    }
    unknown = 0
    for name, belongs in sorts.items():
        todo = sum(belongs(job.cell) for job in left)
        if name == "sim":
            unknown = todo
        if name == "left out":
            share = left_out_hunts(order.hunts) / order.hunts
            todo += round(unknown * share * min(USUAL_PARTS, len(order.without)))
        took_s = mean([one.spent_s for one in done if belongs(one.cell)] or [min(USUAL_S[name], order.budget_s)])
        at_once = processes if name in ("sim", "left out") else 1
        ended = sum(belongs(job.cell) for job in jobs) - sum(belongs(job.cell) for job in left)
        if todo + ended:
            groups.append(
                Group(
                    name=name,
                    hunts=ended + todo,
                    left=todo,
                    probably_h=todo * took_s / at_once / 3600,
                    at_most_h=todo * order.budget_s / at_once / 3600,
                )
            )
    return groups
