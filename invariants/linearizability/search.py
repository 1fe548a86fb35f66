"""Two ways through the configurations of a problem, each a search that can be paused: depth first, and all at once.

Depth first finds an order of a valid history soon, if its guesses are good. The sweep takes all configurations that
stand at one return before any at the next, so it never suffers from an early bad guess, and it can drop what is no
better than another. Where either is exhausted, the furthest return reached is the one that no order gets past.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Literal, TypeAlias

from raft_chaos.invariants.linearizability.problem import WRITE, Problem
from raft_chaos.invariants.linearizability.states import FIRST
from raft_chaos.invariants.linearizability.transitions import Configuration, Moves, placed

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
                self.order = placed(self.problem, at.path)
            else:
                for configuration in self.moves.expand(at):
                    self._add(configuration)
        return self.outcome

    def _add(self, configuration: Configuration) -> None:
        raise NotImplementedError

    def _next(self) -> Configuration | None:
        raise NotImplementedError


class Seen:
    """Configurations that were gone on from, at one return. One is no better than another in the same state that has
    all its chances, no duty that it has not, and was covered as late."""

    def __init__(self, problem: Problem) -> None:
        self._kind = problem.kind
        self._kept: dict[tuple[int, tuple[int, ...]], list[tuple[frozenset[int], frozenset[int], int, int]]] = {}

    def dominated(self, at: Configuration) -> bool:
        """Whether one as good has been seen. Remembers it if not."""
        kinds = self._kind
        # To have a cas or an append still to place is a duty and a chance, so neither is better.
        key = (at.state, tuple(task for task in at.bound if kinds[task] > WRITE))
        duties = frozenset(task for task in at.bound if kinds[task] <= WRITE)
        chances = frozenset((*at.free, *(task for task in at.bound if kinds[task] == WRITE)))
        kept = self._kept.get(key)
        if kept is None:
            self._kept[key] = [(duties, chances, at.used, at.covered)]
            return False
        for less, more, used, covered in kept:
            if less <= duties and more >= chances and not used & ~at.used and covered >= at.covered:
                return True
        kept.append((duties, chances, at.used, at.covered))
        return False


class DepthFirst(Search):
    """Remembers every configuration that it has seen."""

    def __init__(self, problem: Problem, starts: Sequence[int] = (FIRST,)) -> None:
        self._stack: list[Configuration] = []
        self._seen: dict[int, Seen] = {}
        super().__init__(problem, starts)

    def _add(self, configuration: Configuration) -> None:
        self._stack.append(configuration)

    def _next(self) -> Configuration | None:
        while self._stack:
            at = self._stack.pop()
            seen = self._seen.get(at.place)
            if seen is None:
                seen = self._seen[at.place] = Seen(self.problem)
            if not seen.dominated(at):
                return at
        return None


class Sweep(Search):
    """Remembers only the configurations of the return at hand."""

    def __init__(self, problem: Problem, starts: Sequence[int] = (FIRST,)) -> None:
        self._waiting: list[tuple[int, int, Configuration]] = []
        self._added = 0
        self._place = -1
        self._seen = Seen(problem)
        super().__init__(problem, starts)

    def _add(self, configuration: Configuration) -> None:
        heapq.heappush(self._waiting, (configuration.place, self._added, configuration))
        self._added += 1

    def _next(self) -> Configuration | None:
        while self._waiting:
            at = heapq.heappop(self._waiting)[2]
            if at.place != self._place:
                self._place = at.place
                self._seen = Seen(self.problem)
            if not self._seen.dominated(at):
                return at
        return None


class InTurns:
    """Both searches over one problem, a slice of steps each: whichever is done first decides."""

    def __init__(self, problem: Problem, starts: Sequence[int] = (FIRST,)) -> None:
        self.problem = problem
        self._searches: tuple[Search, ...] = (DepthFirst(problem, starts), Sweep(problem, starts))
        self.done: Search | None = None

    @property
    def steps(self) -> int:
        return sum(search.steps for search in self._searches)

    def run(self, steps: int) -> Search | None:
        """Goes on for about so many steps in all; the search that came to an end, if one did."""
        for search in self._searches:
            if self.done is None and search.run(steps // 2) is not None:
                self.done = search
        return self.done
