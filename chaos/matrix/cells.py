"""The cells of the matrix, and its hunts as data: what is hunted where, what is to be done, and how it ended."""

from __future__ import annotations

import msgspec

from raft_chaos.chaos.run.world import World


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """What is hunted, and where. `without` is the part that the schedules leave out, "" for none."""

    mutant: str
    world: World
    without: str = ""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One hunt that is to be done: from the seed `start` on, but first the seed `first`, if there is one. It gives up
    after `most` seeds (0: only its budget limits it)."""

    cell: Cell
    start: int
    first: int | None = None
    most: int = 0


class Hunt(msgspec.Struct, frozen=True, kw_only=True):
    """How one campaign ended. `start` is its first seed.

    `seed` convicted the mutant, which is the seed number `seeds` from the start; None: it gave up after `seeds` runs.
    `violated` are all invariants that this seed's run violated, `parts` the kinds of faults and the episodes in its
    schedule. `spent_s` is the CPU time in sim, and the time that passed where nodes have processes of their own.
    """

    cell: Cell
    start: int
    seeds: int
    spent_s: float
    seed: int | None = None
    violated: list[str] = []
    parts: list[str] = []

    def settles(self, job: Job, budget_s: float) -> bool:
        """Whether this job need not be done again: one with less to spend may have given up too soon."""
        return bool(self.violated) or self.spent_s >= budget_s or 0 < job.most <= self.seeds
