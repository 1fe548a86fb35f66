"""What a kill matrix says: a hunt is one campaign after one mutant; who convicted whom, and what that needs.

A mutant that a hunt did not convict counts as longer than any that did.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf
from statistics import median

import msgspec

SLOWER = 3.0
"""A hunt is slower without a part if it takes so many times the seeds. Medians of few hunts differ by less."""


class Hunted(msgspec.Struct, frozen=True, kw_only=True):
    """One hunt: the mutant, the world, the part that was left out (""), the seeds it took, the seconds, and all
    invariants that the convicting run violated; none: it was not convicted. `start` is its first seed, `parts` are the
    kinds of faults and the episodes of the convicting schedule."""

    mutant: str
    world: str
    without: str
    start: int
    seeds: int
    seconds: float
    violated: list[str]
    parts: list[str] = []


@dataclass(frozen=True)
class Slower:
    """How a mutant's hunts fare without a part: they take `times` the seeds; at least that, if they did not `end`."""

    mutant: str
    part: str
    times: float
    ended: bool

    @property
    def needed(self) -> bool:
        """Whether the part is needed: without it nothing was found in many times the seeds."""
        return not self.ended and self.times >= SLOWER

    @property
    def words(self) -> str:
        """`times`, to stand behind a name."""
        return f"{'' if self.ended else '> '}{self.times:.0f}x"


@dataclass(frozen=True)
class MatrixView:
    """What a matrix is made from: the hunts, the mutants, invariants and parts in the order in which they are shown;
    of a mutant the invariants that it should break, of a part whether it is a "fault" or an "episode"."""

    hunts: list[Hunted]
    mutants: dict[str, list[str]]
    invariants: list[str]
    parts: dict[str, str]

    def of(self, mutant: str, world: str = "sim", without: str = "") -> list[Hunted]:
        return self._cells.get((mutant, world, without), [])

    @cached_property
    def _cells(self) -> dict[tuple[str, str, str], list[Hunted]]:
        cells: dict[tuple[str, str, str], list[Hunted]] = {}
        for one in self.hunts:
            cells.setdefault((one.mutant, one.world, one.without), []).append(one)
        return cells

    @property
    def hunted(self) -> list[str]:
        """The mutants that were hunted in sim."""
        return [mutant for mutant in self.mutants if self.of(mutant)]

    # ---- who convicts whom -------------------------------------------------------------------------------------------

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

    def convicts(self, invariant: str) -> list[str]:
        return [mutant for mutant in self.mutants if invariant in self.convictors(mutant)]

    def alone(self, invariant: str) -> list[str]:
        """The mutants that only this invariant convicted."""
        return [mutant for mutant in self.mutants if self.convictors(mutant) == [invariant]]

    def fits(self, one: Hunted) -> bool:
        """Whether the hunt convicted its mutant by an invariant that the mutant should break."""
        return not {*self.mutants[one.mutant]}.isdisjoint(one.violated)

    def cpu_s(self, mutant: str) -> float:
        """The median CPU time in sim until an invariant that fits convicts; infinite if most hunts had none."""
        return median_of(self.of(mutant), lambda one: one.seconds, self.fits)

    # ---- what that needs ---------------------------------------------------------------------------------------------

    def slower(self, mutant: str, part: str) -> Slower | None:
        """How the mutant's hunts fare without the part; None if none was done without any part.

        A hunt whose convicting schedule does not have the part goes the same without it. Hunts are compared with those
        from the same first seeds, since others may have been luckier.
        """
        plain, without = self.of(mutant), {one.start: one for one in self.of(mutant, without=part)}
        others = self._left_out_at.get(mutant, set())
        compared = [one for one in plain if one.start in without or (one.start in others and part not in one.parts)]
        if not compared or seeds_of(plain) == inf:
            return None
        hunts = [without.get(one.start, one) for one in compared]
        usual = seeds_of(compared)
        seeds = seeds_of(hunts)
        if seeds < inf:
            return Slower(mutant, part, seeds / usual, True)
        return Slower(mutant, part, min(one.seeds for one in hunts if not one.violated) / usual, False)

    @cached_property
    def _left_out_at(self) -> dict[str, set[int]]:
        """Where the hunts without parts begin, by mutant: used only for membership tests."""
        starts: dict[str, set[int]] = {}
        for one in self.hunts:
            if one.without:
                starts.setdefault(one.mutant, set()).add(one.start)
        return starts

    def all_slower(self, *, mutant: str = "", part: str = "") -> list[Slower]:
        """What is slower by `SLOWER` or more, or did not end, for this mutant or this part; the slowest first."""
        pairs = [
            (one, other)
            for one in ([mutant] if mutant else self.mutants)
            for other in ([part] if part else self.parts)
            if self.of(one, without=other)
        ]
        found = [one for pair in pairs if (one := self.slower(*pair)) is not None]
        return sorted(
            (one for one in found if one.times >= SLOWER or not one.ended), key=lambda one: (one.ended, -one.times)
        )


def median_of(
    hunts: Sequence[Hunted],
    value: Callable[[Hunted], float],
    counts: Callable[[Hunted], bool] = lambda one: bool(one.violated),
) -> float:
    """The median over the hunts; one that does not count is infinite. There must be one."""
    return median(value(one) if counts(one) else inf for one in hunts)


def seeds_of(hunts: Sequence[Hunted]) -> float:
    """The median seeds until a conviction."""
    return median_of(hunts, lambda one: one.seeds)
