"""Searches for smaller candidates that still fail, on all cores. The result does not depend on the number of cores.

`first` tries candidates in order and returns the first that fails. Several may run at once, but the earliest in order
counts, not the one that ends first. So the number of cores affects only how long a search takes. What did not fail is
not tried again unless harder, if the search is told which candidates are the same.

`reduce` is delta debugging (Zeller and Hildebrandt, 2002) without the subsets: it removes ever shorter runs of items,
until no single item can be removed. Existing minimisers work on a fixed list of items, but here each success may remove
further items that have become useless; and parallel ones return whichever candidate ends first.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

from raft_chaos.chaos.campaign.code import OtherCodeError, code, with_code
from raft_chaos.chaos.campaign.workers import own_processes
from raft_chaos.chaos.processes.interrupts import alarm

C = TypeVar("C")
S = TypeVar("S")

ALONE_S = 0.5
"""For this long the search uses only this process, since starting others takes about as long."""
AHEAD_PER_JOB = 2


class BudgetEndedError(Exception):
    """The budget of the search has ended."""


class WorkerDiedError(Exception):
    """A worker of the search was killed from outside, or cannot try candidates. This says nothing about these."""


class _BudgetEndedInside(BaseException):
    """The same, in the middle of a run. It is no Exception, since a run counts those as ends of nodes."""


def _end_inside() -> None:
    raise _BudgetEndedInside


@contextmanager
def within(budget_s: float) -> Iterator[None]:
    """A block that raises BudgetEndedError if it lasts longer, in the main thread."""
    try:
        with alarm(budget_s, _end_inside):
            yield
    except _BudgetEndedInside:
        raise BudgetEndedError from None


@dataclass
class Search(Generic[C, S]):
    """A search, as a context manager that owns its executor: `jobs` processes of this machine, or what `open` gives.

    `attempt(candidate)` returns the resulting state if the candidate fails, otherwise None; it must be importable by
    name. `state` is the smallest so far. `progress` is called after each replay. `first` and `all` raise
    BudgetEndedError and WorkerDiedError.
    """

    state: S
    attempt: Callable[[C], S | None]
    budget_s: float
    jobs: int
    progress: Callable[[Search[C, S]], None] = lambda search: None
    open: Callable[[], Executor] | None = None
    """Gives an executor that does `jobs` attempts at once, wherever that is; None: processes of this machine."""
    replays: int = 0
    """The number of candidates that were tried. Those tried ahead that turned out not to be needed do not count."""
    alone_s: float = ALONE_S
    apart: bool = False
    """Tries nothing in this process: an attempt takes long, and must be given up when the budget ends."""
    ahead: int = AHEAD_PER_JOB
    """The number of candidates for each process that are handed over at once."""
    identity: Callable[[C], tuple[bytes, int]] = lambda candidate: (b"", 0)
    """What a candidate is (b"" is like no other), and how hard it is tried. One that did not fail is tried again only
    harder."""

    def __post_init__(self) -> None:
        self._efforts: dict[bytes, int] = {}  # how hard those were tried that did not fail
        self._began_s = time.monotonic()
        self._pool: Executor | None = None

    def __enter__(self) -> Search[C, S]:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False)

    def first(self, candidates: Iterable[C]) -> int | None:
        """The position of the first candidate that fails, which becomes the state; None if none fails."""
        with closing(self._tried(iter(candidates))) as outcomes:
            for place, state in enumerate(outcomes):
                if state is not None:
                    self.state = state
                self.progress(self)
                if state is not None:
                    return place
        return None

    def all(self, candidates: Iterable[C], may_hold: int | None = None) -> list[bool]:
        """For each candidate whether it fails. Ends early once more than `may_hold` of them have not failed.

        Does not change the state.
        """
        failing: list[bool] = []
        with closing(self._tried(iter(candidates))) as outcomes:
            for state in outcomes:
                failing.append(state is not None)
                self.progress(self)
                if may_hold is not None and failing.count(False) > may_hold:
                    break
        return failing

    def _tried(self, candidates: Iterator[C]) -> Generator[S | None, None, None]:
        """The outcome of each candidate, in order."""
        waiting: deque[tuple[C, Future[S | None] | None]] = deque()
        try:
            while True:
                self._check_budget()
                if self._is_alone():
                    candidate = next(candidates, None)
                    if candidate is None:
                        return
                    yield None if self._holds(candidate) else self._ended(candidate, self._attempted_here(candidate))
                    continue
                if self._pool is None:
                    self._pool = (self.open or own_processes(self.jobs).open)()
                for candidate in islice(candidates, self.jobs * self.ahead - len(waiting)):
                    holds = self._holds(candidate)
                    waiting.append((candidate, None if holds else self._handed_over(self._pool, candidate)))
                if not waiting:
                    return
                candidate, future = waiting.popleft()
                yield None if future is None else self._ended(candidate, self._result(future))
        except BrokenExecutor:
            raise WorkerDiedError("a worker process died or was killed; the machine may be short of memory") from None
        except (ImportError, OtherCodeError) as error:
            raise WorkerDiedError(f"a worker cannot try this: {error}") from None
        finally:
            for _, future in waiting:
                if future is not None:
                    future.cancel()

    def effort_on(self, what: bytes) -> int:
        """How hard that was tried without failing; 0 if it was not."""
        return self._efforts.get(what, 0)

    def _holds(self, candidate: C) -> bool:
        """Whether it was tried before, and did not fail."""
        what, effort = self.identity(candidate)
        return bool(what) and self.effort_on(what) >= effort

    def _ended(self, candidate: C, state: S | None) -> S | None:
        """The outcome of a candidate that was tried."""
        self.replays += 1
        what, effort = self.identity(candidate)
        if what and state is None:
            self._efforts[what] = max(effort, self.effort_on(what))
        return state

    def _handed_over(self, pool: Executor, candidate: C) -> Future[S | None]:
        if self.open is None:
            return pool.submit(self.attempt, candidate)
        return pool.submit(with_code, code(), self.attempt, candidate)  # other machines may have other code

    def _is_alone(self) -> bool:
        """Whether this process tries the next candidate."""
        if self.apart or self._pool is not None:
            return False
        return self.jobs == 1 or time.monotonic() - self._began_s < self.alone_s

    def _attempted_here(self, candidate: C) -> S | None:
        with within(self._left_s()):
            return self.attempt(candidate)

    def _left_s(self) -> float:
        return max(0.0, self.budget_s - (time.monotonic() - self._began_s))

    def _result(self, future: Future[S | None]) -> S | None:
        try:
            return future.result(timeout=self._left_s())
        except TimeoutError:
            raise BudgetEndedError from None

    def _check_budget(self) -> None:
        if time.monotonic() - self._began_s >= self.budget_s:
            raise BudgetEndedError


def reduce(search: Search[C, S], count: Callable[[S], int], without: Callable[[S, int, int], C]) -> None:
    """Removes items from the search's state, in ever shorter runs, until no single item can be removed.

    `count(state)` is the number of items, `without(state, first, end)` the candidate without those from `first` up to
    `end`, which is excluded.
    """
    size = max(1, count(search.state))
    while True:
        end, reduced = count(search.state), False
        while end > 0:
            # The last ones first: late items are seldom causes.
            runs = [(max(0, to - size), to) for to in range(end, 0, -size)]
            found = search.first(without(search.state, *run) for run in runs)
            if found is None:
                break
            # Other items may have been removed too, even before these.
            reduced, end = True, min(runs[found][0], count(search.state))
        if size > 1:
            size = max(1, min(size // 2, count(search.state) // 2))
        elif not reduced:
            return
