"""The choices of an exploration: what to run next, given what all runs so far have reached.

    fresh      the schedule of the next seed, as in a campaign
    varied     a kept schedule with a few changes (`variants`)
    spliced    the beginning of one kept schedule, and the end of another one
    branched   a kept schedule; from the moment at which it reached a new state, the network and the disks draw from
               another seed: what led there happens again, and what follows is different
    ordered    the same, and from there on frames are delivered by priorities of links (`chaos.run.sim.priorities`)

Half of the attempts are fresh. Of the other ways one is taken the more often, the more new states it led to lately, for
the length of its runs; and if fresh ones lead to more than these, then more than half are fresh.

Attempt n is drawn from a stream of its own, and depends only on what the attempts reached that were over when it was
made: up to n - `ahead_of(jobs)`. So as long as results come back in their order, a few processes more or less change
nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random

import msgspec
from msgspec.structs import replace

from raft_chaos.chaos.exploration.attempt import Attempt, Reached
from raft_chaos.chaos.exploration.corpus import Corpus, Kept
from raft_chaos.chaos.exploration.variants import SEEDS, spliced, varied
from raft_chaos.chaos.run.settings import Settings
from raft_chaos.chaos.schedule.data import Branch, Schedule
from raft_chaos.chaos.schedule.streams import stream

AHEAD, AHEAD_PER_JOB = 16, 2
FEWEST_KEPT = 8
"""With fewer schedules to begin with, all attempts are fresh."""
DEPTHS = (2, 3, 4, 5)

WAYS = ("fresh", "varied", "spliced", "branched", "ordered")
STRATEGIES: dict[str, Sequence[str]] = {"guided": WAYS, "swarm": ("fresh",)}
LEAST_SHARE = 0.05
"""Each way is taken at least this often, for each time that the best one is: what led nowhere today may lead somewhere
tomorrow."""
FORGETS = 0.97
"""The part of a way's yield that still counts after its next attempt: about the last 30 count."""


def ahead_of(jobs: int) -> int:
    """How many attempts are under way at once: the same for a few processes, and enough for many."""
    return max(AHEAD, AHEAD_PER_JOB * jobs)


class Explorer:
    """One exploration. Call `next` for each attempt, and `took` with each result, in the order of their numbers."""

    def __init__(self, settings: Settings, seed: int, ways: Sequence[str], corpus: Corpus) -> None:
        self.known: set[int] = set()  # used only for membership tests, and for its size
        self.corpus = corpus
        self._settings = settings
        self._seed = seed
        self._ways = ways
        self._new = dict.fromkeys(ways, 0.0)
        self._deliveries = dict.fromkeys(ways, 0.0)

    def next(self, number: int) -> Attempt:
        """Attempt `number`, from 0."""
        rng = stream(self._seed, f"exploration/{number}")
        way = rng.choices(self._ways, self._shares())[0] if len(self.corpus) >= FEWEST_KEPT else "fresh"
        if way == "fresh":
            return Attempt(number, self._settings.make_schedule(self._seed + number), "fresh")
        kept = self.corpus.choose(rng)
        schedule, drawn = self._made(way, kept, rng)
        return Attempt(number, schedule, way, kept.number, drawn)

    def took(self, attempt: Attempt, reached: Reached) -> dict[int, int]:
        """An attempt has ended. Returns the states that no run reached before, with their first times.

        A schedule that fails is not kept: what is near it fails in the same way, and shows nothing new.
        """
        new = {state: at_us for state, at_us in reached.first_us.items() if state not in self.known}
        self.learnt(attempt.way, attempt.parent, new, reached.deliveries)
        if new and not reached.violated:
            self.corpus.add(attempt.number, attempt.schedule, list(new.values()), reached.deliveries)
        return new

    def learnt(self, way: str, parent: int | None, new: Iterable[int], deliveries: int) -> None:
        """An attempt that was made from `parent` in this way reached these new states, in so many deliveries."""
        before = len(self.known)
        self.known.update(new)
        found = len(self.known) - before
        self._new[way] = FORGETS * self._new[way] + found
        self._deliveries[way] = FORGETS * self._deliveries[way] + deliveries
        if parent is not None:
            self.corpus.ended(parent, found)

    def _shares(self) -> list[float]:
        """How often to take each way. A way that was never taken counts as the best one. Fresh schedules are at least
        half of all: they alone have faults, sizes and options that no kept schedule has, and most mistakes need one of
        these more than they need a state that no run has reached."""
        yields = [self._new[way] / self._deliveries[way] if self._deliveries[way] else None for way in self._ways]
        best = max((one for one in yields if one is not None), default=0.0) or 1.0
        shares = [max(LEAST_SHARE, ((best if one is None else one) / best) ** 2) for one in yields]
        fresh = self._ways.index("fresh")
        shares[fresh] = max(shares[fresh], sum(shares) - shares[fresh])
        return shares

    def _made(self, way: str, kept: Kept, rng: Random) -> tuple[Schedule, str]:
        match way:
            case "varied":
                return varied(kept.schedule, rng)
            case "spliced":
                other = self.corpus.like(kept.schedule, rng)
                return spliced(kept.schedule, other.schedule, rng), f"with {other.number}"
        depth = rng.choice(DEPTHS) if way == "ordered" else 0
        at_us = rng.choice(kept.new_us)
        branch = Branch(at_us, rng.randrange(SEEDS), depth)
        return branched(kept.schedule, branch), f"at {at_us / 1e6:.3f} s" + (f", depth {depth}" if depth else "")


def branched(schedule: Schedule, branch: Branch) -> Schedule:
    """The schedule with this branch; later ones go."""
    before = schedule.header.branches
    kept = [one for one in before if one.at_us < branch.at_us] if before is not msgspec.UNSET else []
    return replace(schedule, header=replace(schedule.header, branches=[*kept, branch]))
