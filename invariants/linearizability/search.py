"""Two searches over the configurations of a problem, depth first and breadth first. Both can be paused.

Depth first finds an order of a valid history quickly if its guesses are good. The sweep expands all configurations at
one return before any at the next, so an early bad guess costs little, and it can drop configurations that are no
better than another. If a search is exhausted, no order gets past the furthest return that it reached.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Literal, TypeAlias

from raft_chaos.invariants.linearizability.problem import WRITE, Problem
from raft_chaos.invariants.linearizability.states import FIRST
from raft_chaos.invariants.linearizability.transitions import Configuration, Transitions, placed

Outcome: TypeAlias = Literal["found", "dead"] | None


class Search:
    """A search that can be paused. `outcome` is None until it has ended; `run` continues it for about `steps` steps."""

    def __init__(self, problem: Problem, starts: Sequence[int] = (FIRST,)) -> None:
        self.problem = problem
        self.transitions = Transitions(problem)
        self.outcome: Outcome = None
        self.order: list[int] = []
        for state in starts:
            self._add(self.transitions.start(state))

    @property
    def steps(self) -> int:
        return self.transitions.steps

    @property
    def dies_at(self) -> int:
        """If the outcome is "dead": the place of the event that no order gets past."""
        return self.transitions.furthest

    def run(self, steps: int) -> Outcome:
        limit = self.transitions.steps + steps
        while self.outcome is None and self.transitions.steps < limit:
            at = self._next()
            if at is None:
                self.outcome = "dead"
            elif self.transitions.finished(at):
                self.outcome = "found"
                self.order = placed(self.problem, at.path)
            else:
                for configuration in self.transitions.expand(at):
                    self._add(configuration)
        return self.outcome

    def _add(self, configuration: Configuration) -> None:
        raise NotImplementedError

    def _next(self) -> Configuration | None:
        raise NotImplementedError


class Seen:
    """The configurations at one return that were expanded. One configuration dominates another in the same state if it
    has at least its options, at most its obligations, and its last write was placed at least as late."""

    def __init__(self, problem: Problem) -> None:
        self._kind = problem.kind
        self._kept: dict[tuple[int, tuple[int, ...]], list[tuple[frozenset[int], frozenset[int], int, int]]] = {}

    def dominated(self, at: Configuration) -> bool:
        """Whether a configuration that is at least as good was seen before. If not, remembers this one."""
        kinds = self._kind
        # A cas or an append that is not placed yet is both an obligation and an option, so it must be equal in both.
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
    """Expands the newest configuration first, and remembers every configuration that it has seen."""

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
    """Expands configurations in the order of their returns, and remembers only those at the current return."""

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
    """Runs both searches over one problem in turns. The one that ends first decides."""

    def __init__(self, problem: Problem, starts: Sequence[int] = (FIRST,)) -> None:
        self.problem = problem
        self._searches: tuple[Search, ...] = (DepthFirst(problem, starts), Sweep(problem, starts))
        self.done: Search | None = None

    @property
    def steps(self) -> int:
        return sum(search.steps for search in self._searches)

    def run(self, steps: int) -> Search | None:
        """Continues for about `steps` steps in total. Returns the search that has ended, or None."""
        for search in self._searches:
            if self.done is None and search.run(steps // 2) is not None:
                self.done = search
        return self.done
