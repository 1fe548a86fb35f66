"""A search in which one attempt proves little: real time does not repeat, so each candidate is tried several times."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
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
    """A search that tries each candidate up to `tries` times until it fails, and takes it if it then fails again within
    as many. A single failure would let candidates pass that seldom fail, and each one makes the next ones fail less.

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
        """See the base class. A candidate that does not fail again is passed over."""
        source: Iterator[tuple[int, C]] = (
            (place, candidate) for place, candidate in enumerate(candidates) if self._is_worth_it(candidate)
        )
        while True:
            begun: list[tuple[int, C]] = []
            found = super().first(self._often(source, begun))
            done = len(begun) if found is None else found // self.tries + 1
            self.tried.update(self.name_of(candidate) for _, candidate in begun[:done])
            if found is None:
                return None
            place, candidate = begun[done - 1]
            if self._fails_again(candidate):
                self.kept.append(self.state)
                return place
            self.state = self.kept[-1]
            source = chain(begun[done:], source)  # some were handed over ahead

    def _is_worth_it(self, candidate: C) -> bool:
        return self.name_of(candidate) not in self.tried and not self.is_hopeless(candidate)

    def _often(self, source: Iterator[tuple[int, C]], begun: list[tuple[int, C]]) -> Iterator[C]:
        for one in source:
            begun.append(one)
            for _ in range(self.tries):
                yield one[1]

    def _fails_again(self, candidate: C) -> bool:
        return any(failed for _ in range(self.tries) for failed in self.all([candidate]))
