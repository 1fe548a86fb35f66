"""A search in which one attempt proves little: real time does not repeat, so each candidate is tried several times."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from raft_chaos.chaos.shrink.search import Search

C = TypeVar("C")
S = TypeVar("S")

MISSED = 0.1
"""A candidate that fails as often as the whole is missed with at most this probability, unless that takes too long."""
FEWEST_TRIES, MOST_TRIES = 2, 6


def tries_for(violated: int, runs: int) -> int:
    """How often to try a candidate, if the whole failed in `violated` of `runs`."""
    if violated >= runs:
        return FEWEST_TRIES
    tries = math.ceil(math.log(MISSED) / math.log(1 - violated / runs)) if violated else MOST_TRIES
    return min(max(tries, FEWEST_TRIES), MOST_TRIES)


@dataclass
class UnsteadySearch(Search[C, S]):
    """A search that tries each candidate up to `tries` times, and takes it at the first failure.

    `name_of` names a candidate; none is tried again whose name is among the `tried` ones, be it that it did not fail or
    that it is an earlier state, and none that `is_hopeless`. `kept` are all states so far, the first one included.
    """

    tries: int = 1
    name_of: Callable[[C], str] = repr
    tried: set[str] = field(default_factory=set)
    is_hopeless: Callable[[C], bool] = lambda candidate: False
    kept: list[S] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.kept = [self.state]

    def first(self, candidates: Iterable[C]) -> int | None:
        """See the base class."""
        begun: list[tuple[int, str]] = []

        def often() -> Iterator[C]:
            for place, candidate in enumerate(candidates):
                name = self.name_of(candidate)
                if name not in self.tried and not self.is_hopeless(candidate):
                    begun.append((place, name))
                    for _ in range(self.tries):
                        yield candidate

        found = super().first(often())
        done = len(begun) if found is None else found // self.tries + 1
        self.tried.update(name for _, name in begun[:done])
        if found is None:
            return None
        self.kept.append(self.state)
        return begun[done - 1][0]
