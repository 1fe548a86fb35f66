"""Two ways through the configurations of a problem, each a search that can be paused: depth first, and all at once.

Depth first finds an order of a valid history soon, if its guesses are good. The sweep takes all configurations that
stand at one return before any at the next, so it never suffers from an early bad guess, and it can drop what is no
better than another. Where either is exhausted, the furthest return reached is the one that no order gets past.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Literal, TypeAlias

from invariants.linearizability.moves import Configuration, Moves, placed
from invariants.linearizability.problem import Problem
from invariants.linearizability.states import FIRST

Outcome: TypeAlias = Literal["found", "dead"] | None


class Search:
    """`outcome` is None until there is one; `run` goes on for about so many steps."""

    def __init__(self, problem: Problem, starts: Sequence[int] = (FIRST,)) -> None:
        self.problem = problem
        self.moves = Moves(problem)
        self.outcome: Outcome = None
        self.order: list[int] = []
        for state in starts:
            self._add(self.moves.start(state))

    @property
    def steps(self) -> int:
        return self.moves.steps

    @property
    def dies_at(self) -> int:
        """Once dead: the event that no order gets past."""
        return self.moves.furthest

    def run(self, steps: int) -> Outcome:
        limit = self.moves.steps + steps
        while self.outcome is None and self.moves.steps < limit:
            at = self._next()
            if at is None:
                self.outcome = "dead"
            elif self.moves.finished(at):
                self.outcome = "found"
                self.order = placed(at.path)
            else:
                for configuration in self.moves.expand(at):
                    self._add(configuration)
        return self.outcome

    def _add(self, configuration: Configuration) -> None:
        raise NotImplementedError

    def _next(self) -> Configuration | None:
        raise NotImplementedError


class DepthFirst(Search):
    """Remembers every configuration that it has seen."""

    def __init__(self, problem: Problem, starts: Sequence[int] = (FIRST,)) -> None:
        self._stack: list[Configuration] = []
        self._seen: set[tuple[int, int, tuple[int, ...], tuple[int, ...], int]] = set()
        super().__init__(problem, starts)

    def _add(self, configuration: Configuration) -> None:
        self._stack.append(configuration)

    def _next(self) -> Configuration | None:
        while self._stack:
            at = self._stack.pop()
            key = (at.place, at.state, at.bound, at.free, at.used)
            if key not in self._seen:
                self._seen.add(key)
                return at
        return None


class Sweep(Search):
    """Of configurations at one return, in one state and with the same duties, one is no better than another that has
    all its chances: it is dropped. Only those of the return at hand are remembered."""

    def __init__(self, problem: Problem, starts: Sequence[int] = (FIRST,)) -> None:
        self._waiting: list[tuple[int, int, Configuration]] = []
        self._added = 0
        self._place = -1
        self._kept: dict[tuple[int, tuple[int, ...]], list[tuple[frozenset[int], int]]] = {}
        super().__init__(problem, starts)

    def _add(self, configuration: Configuration) -> None:
        # Of one return the fewest used first, so that they can dominate the rest.
        heapq.heappush(self._waiting, (configuration.place, self._added, configuration))
        self._added += 1

    def _next(self) -> Configuration | None:
        while self._waiting:
            at = heapq.heappop(self._waiting)[2]
            if at.place != self._place:
                self._place = at.place
                self._kept = {}
            if not self._dominated(at):
                return at
        return None

    def _dominated(self, at: Configuration) -> bool:
        kept = self._kept.setdefault((at.state, at.bound), [])
        free = frozenset(at.free)
        for chances, used in kept:
            if used & ~at.used == 0 and free <= chances:
                return True
        kept.append((free, at.used))
        return False
