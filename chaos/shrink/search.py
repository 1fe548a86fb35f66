"""The search for something smaller that still fails, on all cores, with the same result on any number of them.

`first` tries candidates in their order and returns the first that fails. Several may be tried at once, but the earliest
counts, whichever ends sooner. So the cores decide how long a search takes, never what it finds.

`reduce` is delta debugging (Zeller and Hildebrandt, 2002) without the subsets: it takes out ever smaller runs of items,
until no single one can be taken out. Existing minimisers keep to a fixed list of items, while here each success tells
which items have lost their meaning and go too, and those that try in parallel return what happens to end first.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

from raft_chaos.chaos.processes.worker_pool import WorkerPool

C = TypeVar("C")
S = TypeVar("S")

ALONE_S = 0.5
"""So long the search goes on in this process alone: starting others takes about as long."""
AHEAD_PER_JOB = 2


class BudgetEndedError(Exception):
    """The time for the search is over."""


class WorkerDiedError(Exception):
    """Something else ended a process of the search, which says nothing about what is searched for."""


class NotReproducedError(Exception):
    """What was to be made smaller did not fail; says what was tried."""


@dataclass
class Search(Generic[C, S]):
    """`attempt(candidate)` returns the state that it comes to if it fails, else None; it must be importable by name.

    `state` is the smallest so far. A context manager. `progress` is told of each replay. `first` and `all` raise
    BudgetEndedError, and WorkerDiedError.
    """

    state: S
    attempt: Callable[[C], S | None]
    budget_s: float
    jobs: int
    progress: Callable[[Search[C, S]], None] = lambda search: None
    replays: int = 0
    """How many candidates were tried. Those that were tried ahead, and turned out not to be needed, do not count."""
    alone_s: float = ALONE_S

    def __post_init__(self) -> None:
        self._began_s = time.monotonic()
        self._pool: WorkerPool | None = None

    def __enter__(self) -> Search[C, S]:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False)

    def first(self, candidates: Iterable[C]) -> int | None:
        """Which candidate is the first that fails, and is the state now; None if none does. Raises BudgetEndedError."""
        with closing(self._tried(iter(candidates))) as outcomes:
            for place, state in enumerate(outcomes):
                self.replays += 1
                if state is not None:
                    self.state = state
                self.progress(self)
                if state is not None:
                    return place
        return None

    def all(self, candidates: Iterable[C]) -> list[bool]:
        """For each candidate whether it fails; the state stays. Raises BudgetEndedError."""
        failing: list[bool] = []
        with closing(self._tried(iter(candidates))) as outcomes:
            for state in outcomes:
                self.replays += 1
                failing.append(state is not None)
                self.progress(self)
        return failing

    def _tried(self, candidates: Iterator[C]) -> Generator[S | None, None, None]:
        """The outcome of each, in order."""
        waiting: deque[Future[S | None]] = deque()
        try:
            while True:
                self._check_budget()
                if self.jobs == 1 or (self._pool is None and time.monotonic() - self._began_s < self.alone_s):
                    candidate = next(candidates, None)
                    if candidate is None:
                        return
                    yield self.attempt(candidate)
                    continue
                if self._pool is None:
                    self._pool = WorkerPool(self.jobs)
                for candidate in islice(candidates, self.jobs * AHEAD_PER_JOB - len(waiting)):
                    waiting.append(self._pool.submit(self.attempt, candidate))
                if not waiting:
                    return
                yield self._result(waiting.popleft())
        except BrokenProcessPool:
            raise WorkerDiedError("a worker process died, or was killed; memory may be short") from None
        finally:
            for future in waiting:
                future.cancel()

    def _result(self, future: Future[S | None]) -> S | None:
        left_s = self.budget_s - (time.monotonic() - self._began_s)
        try:
            return future.result(timeout=max(0.0, left_s))
        except TimeoutError:
            raise BudgetEndedError from None

    def _check_budget(self) -> None:
        if time.monotonic() - self._began_s >= self.budget_s:
            raise BudgetEndedError


def reduce(search: Search[C, S], count: Callable[[S], int], without: Callable[[S, int, int], C]) -> None:
    """Takes items out of the search's state, in ever shorter runs, until no single one can be taken out.

    `count(state)` is how many items it has, `without(state, from, to)` the candidate that lacks those.
    """
    size = max(1, count(search.state))
    while True:
        end, reduced = count(search.state), False
        while end > 0:
            # The last ones first: what comes late is seldom a cause.
            runs = [(max(0, to - size), to) for to in range(end, 0, -size)]
            found = search.first(without(search.state, *run) for run in runs)
            if found is None:
                break
            # Others may have gone along, even before these.
            reduced, end = True, min(runs[found][0], count(search.state))
        if size > 1:
            size = max(1, min(size // 2, count(search.state) // 2))
        elif not reduced:
            return
