"""Shrinks an execution while it still violates the same invariant.

A candidate is played in lenient mode, which skips steps that cannot be done. The steps that were done, up to the
violation, are the next state; they can be played in strict mode. In order:

1. remove everything after the violation, times, notes of the harness, and turns of several inputs;
2. remove nodes, which also makes a majority smaller;
3. remove steps until no single step and no pair can be removed: operations, crashes, elections and deliveries. A
   message that is no longer delivered counts as lost;
4. simplify the remaining steps: no unsynced bytes survive a crash, no failpoints.

Steps 2 to 4 repeat until nothing changes. Terms and indexes become smaller by themselves, since fewer elections and
entries are left. In a smaller cluster a majority is reached earlier, so messages are sent in other steps than before;
such candidates are played in helpful mode.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from concurrent.futures import Executor
from functools import partial
from itertools import combinations

import msgspec
from msgspec.structs import replace

from raft_chaos.chaos.execution.player import Mode, Player
from raft_chaos.chaos.execution.steps import (
    Crash,
    Deliver,
    Execution,
    Input,
    Note,
    Persist,
    Return,
    Step,
    Timeout,
    keep,
    without_times,
)
from raft_chaos.chaos.mutants import parts_of
from raft_chaos.chaos.reproduction.make import NotReproducedError
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.chaos.shrink.search import BudgetEndedError, Search, reduce

FEWEST_NODES = 3
"""A smaller cluster tolerates no failure."""
MOST_PAIRED = 150
"""Pairs of steps are tried only in executions of at most this many steps."""
MODES: tuple[Mode, ...] = ("lenient", "helpful")


class Candidate(msgspec.Struct, frozen=True):
    """An execution that may still violate the invariant, with the unmodified core (`mutant` None) or a mutant."""

    execution: Execution
    mutant: str | None
    invariant: str
    mode: Mode = "lenient"


def attempt(candidate: Candidate) -> Execution | None:
    """Plays the candidate up to the violation. Returns the steps that were done, or None if the invariant holds."""
    execution = candidate.execution
    played = Player(execution, MemoryDriver(parts_of(candidate.mutant)), mode=candidate.mode).play(candidate.invariant)
    if not played.violates(candidate.invariant):
        return None
    steps = [played.substituted.get(number, step) for number, step in enumerate(execution.steps)]
    return keep(replace(execution, steps=steps), played.done)


class ExecutionShrinker:
    """Shrinks one execution that violates the invariant. `run` returns whether the result is minimal: no single step,
    pair of steps or node can be removed.

    Raises NotReproducedError if the execution does not violate the invariant.
    """

    def __init__(
        self,
        execution: Execution,
        mutant: str | None,
        invariant: str,
        *,
        budget_s: float,
        jobs: int,
        open: Callable[[], Executor] | None = None,
        progress: Callable[[Search[Candidate, Execution]], None] = lambda search: None,
    ) -> None:
        self._mutant = mutant
        self._invariant = invariant
        self.search: Search[Candidate, Execution] = Search(execution, attempt, budget_s, jobs, progress, open)

    @property
    def execution(self) -> Execution:
        """The smallest execution so far."""
        return self.search.state

    def run(self) -> bool:
        found = False
        try:
            with self.search:
                found = self._try(self.execution)
                if not found:
                    raise NotReproducedError(f"playing the execution did not violate {self._invariant}")
                self._bare()
                self._fewer_steps()
                while self._pairs() or self._simplify():
                    self._fewer_steps()
            return True
        except BudgetEndedError:
            if not found:
                raise NotReproducedError("the budget ended before the execution was played") from None
            return False

    # ---- removing -------------------------------------------------------------------------------------------------

    def _bare(self) -> None:
        """Removes what only a recorded run has: early timeouts, times, notes, and turns of several inputs.

        An early timeout does nothing, but it would do something without its time, so it must go first. A timeout in the
        same turn as earlier inputs was usually made obsolete by them, so the first attempt removes those as well.
        """
        early = Player(self.execution, MemoryDriver(parts_of(self._mutant))).play().early
        for gone in (early | _timeouts_behind_others(self.execution), early):
            bare = _each(_without_timeouts(self.execution, gone), without_times, _is_no_note)
            if self._try(_one_by_one(bare), "helpful") or self._try(bare):
                return

    def _fewer_steps(self) -> None:
        """Removes nodes and steps until nothing changes, since each removal may make others possible."""
        before = None
        while before is not self.execution:
            before = self.execution
            self._fewer_nodes()
            for mode in MODES:
                reduce(self.search, lambda execution: len(execution.steps), partial(self._without, mode))

    def _fewer_nodes(self) -> None:
        """Removes as many nodes at once as possible. Removing two at once keeps the size of the cluster odd."""
        while True:
            names = self.execution.nodes
            most = len(names) - FEWEST_NODES
            if (
                self.search.first(
                    self._candidate(_without_nodes(self.execution, gone), "helpful")
                    for many in range(most, 0, -1)
                    for gone in combinations(names, many)
                )
                is None
            ):
                return

    def _without(self, mode: Mode, execution: Execution, first: int, end: int) -> Candidate:
        left = [*range(first), *range(end, len(execution.steps))]
        return self._candidate(keep(execution, left, redirect=mode == "helpful"), mode)

    def _simplify(self) -> bool:
        """Replaces each step by its plain form if the invariant is still violated. Returns whether any was replaced."""
        number, before = 0, self.execution
        while number < len(self.execution.steps):
            steps = self.execution.steps
            plain = _plain(steps[number])
            if plain != steps[number]:
                self._try(replace(self.execution, steps=[*steps[:number], plain, *steps[number + 1 :]]), "helpful")
            number += 1
        return self.execution is not before

    def _try(self, execution: Execution, mode: Mode = "lenient") -> bool:
        return self.search.first([self._candidate(execution, mode)]) is not None

    def _pairs(self) -> bool:
        """Removes any two steps at once, such as an election and the one that needed a higher term because of it."""
        numbers = range(len(self.execution.steps))
        if len(numbers) > MOST_PAIRED:
            return False
        return (
            self.search.first(
                self._candidate(keep(self.execution, [n for n in numbers if n not in pair]))
                for pair in combinations(numbers, 2)
            )
            is not None
        )

    def _candidate(self, execution: Execution, mode: Mode = "lenient") -> Candidate:
        return Candidate(execution, self._mutant, self._invariant, mode)


def _each(execution: Execution, change: Callable[[Step], Step], kept: Callable[[Step], bool]) -> Execution:
    numbers = [number for number, step in enumerate(execution.steps) if kept(step)]
    return keep(replace(execution, steps=[change(step) for step in execution.steps]), numbers)


def _without_timeouts(execution: Execution, gone: Collection[int]) -> Execution:
    """The execution without these timeouts. If one ended a turn, the input before it in the turn does so instead."""
    steps = list(execution.steps)
    acting: dict[int, int] = {}  # removed timeout -> the input that takes its place
    before: dict[str, int] = {}  # node -> its last input
    for number, step in enumerate(steps):
        if isinstance(step, Deliver):
            step = steps[number] = replace(step, sent_by=acting.get(step.sent_by, step.sent_by))
        if not isinstance(step, Input):
            continue
        last = before.get(step.node)
        if number not in gone:
            before[step.node] = number
        elif last is not None and isinstance(taken := steps[last], Input) and taken.more:
            acting[number] = last
            steps[last] = replace(taken, more=step.more)
    return keep(replace(execution, steps=steps), [number for number in range(len(steps)) if number not in gone])


def _timeouts_behind_others(execution: Execution) -> set[int]:
    """The timeouts in the same turn as an earlier input."""
    found: set[int] = set()
    more: dict[str, bool] = {}
    for number, step in enumerate(execution.steps):
        if isinstance(step, Input):
            if isinstance(step, Timeout) and more.get(step.node):
                found.add(number)
            more[step.node] = step.more
    return found


def _is_no_note(step: Step) -> bool:
    return not isinstance(step, Note)


def _one_by_one(execution: Execution) -> Execution:
    """The execution with one input per turn. One write may then become two, so each persist step is doubled."""
    steps: list[Step] = []
    number: list[int] = []
    for step in execution.steps:
        if isinstance(step, Deliver):
            step = replace(step, sent_by=number[step.sent_by])
        elif isinstance(step, Return) and step.answer is not None:
            step = replace(step, answer=number[step.answer])
        number.append(len(steps))
        steps.append(replace(step, more=False) if isinstance(step, Input) else step)
        if isinstance(step, Persist):
            steps.append(steps[-1])
    return replace(execution, steps=steps)


def _plain(step: Step) -> Step:
    if isinstance(step, Crash):
        return replace(step, keep_bytes=0, holes=0)
    if isinstance(step, Input):
        return replace(step, stop=None, more=False)
    if isinstance(step, Return):
        return replace(step, error=None)
    return step


def _without_nodes(execution: Execution, gone: tuple[str, ...]) -> Execution:
    """The execution without these nodes and their steps."""
    left = [name for name in execution.nodes if name not in gone]
    kept = [number for number, step in enumerate(execution.steps) if getattr(step, "node", "") not in gone]
    return replace(keep(execution, kept), nodes=left)
