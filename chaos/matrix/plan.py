"""Which hunts a matrix has.

    in sim        several for each mutant, from first seeds that lie far apart
    elsewhere     one for each mutant, since a run with real processes uses all cores
    left out      for some of those in sim that convicted: one without each part that the convicting schedule had, if
                  most convicting schedules of the mutant had it. Otherwise the mutant falls without it, and the part
                  cannot be needed: no run is spent on it.

A hunt without a part gives up after `NEEDED_AFTER` times the seeds that the mutant takes with it, from the same first
seeds: then the part is needed. All first hunts come before all second ones, so a matrix that is stopped knows a little
of each mutant.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from math import ceil
from statistics import median

from raft_chaos.chaos.faults.catalogue import VIRTUAL_KINDS
from raft_chaos.chaos.matrix.cells import Cell, Hunt, Job
from raft_chaos.chaos.run.world import World
from raft_chaos.chaos.schedule.left_out import EPISODES

PARTS: tuple[str, ...] = (*VIRTUAL_KINDS, *EPISODES)
"""All that a hunt may leave out."""
STARTS_APART = 100_000
LEFT_OUT_SHARE = 1 / 3
"""Only this share of a mutant's hunts, rounded up, is done without parts: these are many, and a tendency is enough."""
NEEDED_AFTER = 10
LEAST_SEEDS = 20
"""At least so many seeds are tried without a part, however soon the mutant is convicted with it."""


def plain_jobs(mutants: Sequence[str], worlds: Collection[World], hunts: int) -> list[Job]:
    """Every mutant in sim, then in the other worlds, with all parts."""
    starts = [1 + STARTS_APART * number for number in range(hunts if "sim" in worlds else 0)]
    jobs = [Job(cell=Cell(mutant=mutant, world="sim"), start=start) for start in starts for mutant in mutants]
    others: tuple[World, ...] = ("lockstep", "live")
    elsewhere = [world for world in others if world in worlds]
    return jobs + [Job(cell=Cell(mutant=mutant, world=world), start=1) for world in elsewhere for mutant in mutants]


def left_out_hunts(hunts: int) -> int:
    """How many of a mutant's hunts in sim are done without parts."""
    return ceil(hunts * LEFT_OUT_SHARE)


def left_out_jobs(done: Iterable[Hunt], without: Collection[str], hunts: int) -> list[Job]:
    """The hunts without each of these parts, given the plain ones that are done."""
    last = STARTS_APART * left_out_hunts(hunts)
    plain = [one for one in done if one.cell.world == "sim" and not one.cell.without]
    compared = [one for one in plain if one.start <= last]
    usual = {mutant: _usual_parts(found) for mutant, found in _by_mutant(plain).items()}
    most = {
        mutant: max(LEAST_SEEDS, ceil(NEEDED_AFTER * median(one.seeds for one in found)))
        for mutant, found in _by_mutant(compared).items()
    }
    return [
        Job(
            cell=Cell(mutant=one.cell.mutant, world="sim", without=part),
            start=one.start,
            first=one.seed,
            most=most[one.cell.mutant],
        )
        for one in sorted(compared, key=lambda one: one.start)
        if one.seed is not None
        for part in without
        if part in one.parts and part in usual[one.cell.mutant]
    ]


def _by_mutant(hunts: Iterable[Hunt]) -> dict[str, list[Hunt]]:
    groups: dict[str, list[Hunt]] = {}
    for one in hunts:
        groups.setdefault(one.cell.mutant, []).append(one)
    return groups


def _usual_parts(found: Collection[Hunt]) -> set[str]:
    """The parts that more than half of the convicting schedules have; used only for membership tests."""
    convicting = [one for one in found if one.seed is not None]
    counts = Counter(part for one in convicting for part in one.parts)
    return {part for part, number in counts.items() if number > len(convicting) / 2}
