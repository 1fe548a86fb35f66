"""Where a failure was decided: how probable it is, after each step of its execution, that the same invariant breaks.

From the cluster as each step left it, random continuations are walked (`walk`). The share of those that break the
invariant is the probability at that step. A failure that chance would have caused anyway has a flat curve; one that
needed something special has a jump, and the step of the jump is what made it probable.

Continuations come in rounds, one from each point, each drawn from a stream of its own: so the result depends only on
the seed and the number of rounds. Rounds end with the budget.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from math import sqrt
from statistics import NormalDist

import msgspec

from raft_chaos.chaos.execution.steps import Execution
from raft_chaos.chaos.exploration.walk import Walk
from raft_chaos.chaos.schedule.streams import stream
from raft_chaos.raft.server.parts import Parts

MOST_POINTS = 60
ROUNDS = 60
LEAST_WALKED, CHANCE = 8, 0.025
LEAST_STEPS, MOST_STEPS = 40, 400
"""A continuation has twice as many steps as the execution, within these limits."""


class Chance(msgspec.Struct, frozen=True, kw_only=True):
    """Of `walked` continuations after the first `after` steps, `broke` broke the invariant."""

    after: int
    walked: int
    broke: int

    @property
    def probability(self) -> float:
        return self.broke / self.walked if self.walked else 0.0

    @property
    def error(self) -> float:
        """The standard error of the probability (Laplace's estimate, so that none and all are not certain)."""
        share = (self.broke + 1) / (self.walked + 2)
        return sqrt(share * (1 - share) / (self.walked + 2))


class Causality(msgspec.Struct, frozen=True, kw_only=True):
    """The chances in the order of the steps, the last one before the step that broke the invariant. `steps` is how many
    steps a continuation had at most."""

    invariant: str
    chances: list[Chance]
    steps: int

    @property
    def jump(self) -> tuple[Chance, Chance] | None:
        """The two neighbouring points with the largest rise between them; None if chance explains it.

        By chance alone the largest of so many rises is named in one of forty cases. Few continuations show nothing.
        """
        pairs = list(zip(self.chances, self.chances[1:], strict=False))
        if not pairs:
            return None
        if min(chance.walked for chance in self.chances) < LEAST_WALKED:
            return None
        before, after = max(pairs, key=lambda pair: pair[1].probability - pair[0].probability)
        rise = after.probability - before.probability
        errors = NormalDist().inv_cdf(1 - CHANCE / len(pairs))
        return (before, after) if rise > errors * sqrt(before.error**2 + after.error**2) else None


def causality(
    execution: Execution,
    invariant: str,
    parts: Parts,
    *,
    seed: int,
    budget_s: float,
    rounds: int = ROUNDS,
    clock: Callable[[], float] = time.monotonic,
) -> Causality:
    """Measures the chances along the execution, which must break the invariant at its last step."""
    points = _points(len(execution.steps))
    broke = dict.fromkeys(points, 0)
    steps = min(max(LEAST_STEPS, 2 * len(execution.steps)), MOST_STEPS)
    ends_s, walked = clock() + budget_s, 0
    while walked < rounds and (not walked or clock() < ends_s):
        for point in points:
            rng = stream(seed, f"causality/{walked}/{point}")
            broke[point] += Walk(execution, point, parts).breaks(invariant, steps, rng)
        walked += 1
    chances = [Chance(after=point, walked=walked, broke=broke[point]) for point in points]
    return Causality(invariant=invariant, chances=chances, steps=steps)


def _points(steps: int) -> list[int]:
    """After how many steps to look: after each, or at equal distances in a long execution."""
    if steps <= MOST_POINTS:
        return list(range(steps))
    return sorted({place * (steps - 1) // (MOST_POINTS - 1) for place in range(MOST_POINTS)})
