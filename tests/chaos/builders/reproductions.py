"""Reproductions that are fast to make, for tests of the file and of the commands."""

from __future__ import annotations

from functools import cache

from builders.schedules import TIMING
from builders.storms import stormy
from raft_chaos.chaos.reproduction.file import Origin, Reproduction
from raft_chaos.chaos.shrink.failure import Failure, Shrinker, Shrunk

VOTE = ("vote_not_persisted", "one_vote_per_term")
STUCK = ("commit_loop_break", "recovery")


def reproduction(mutant: str = VOTE[0], invariant: str = VOTE[1]) -> Reproduction:
    return made(mutant, invariant).reproduction


@cache
def made(mutant: str, invariant: str) -> Shrunk:
    """The reproduction of a mutant that the storm of seed 1 convicts."""
    failure = Failure(invariant, mutant, TIMING, stormy(1), Origin(world="sim", seed=1, commit="c0ffee"))
    return Shrinker(failure, 1e6, jobs=1, anchors=False).run()
