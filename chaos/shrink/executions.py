"""Makes an execution smaller while the same invariant still breaks.

A candidate is played leniently: what cannot be done in it is passed over. What was done, up to the violation, is the
next state; it can be played strictly. In order:

1. what comes after the violation, times, notes of the harness, and turns of several inputs go;
2. nodes go, and with them the size of a majority;
3. steps go, until no single one and no two can be taken out: operations, crashes, elections, deliveries alike. A
   message that is delivered no more is one that was lost;
4. what is left becomes simpler: nothing unsynced survives a crash, no failpoints.

2 to 4 are repeated for as long as something goes. Terms and indexes count anew by themselves, since fewer elections
and entries are left. Where a node is gone a majority is reached sooner, so that messages leave in another step than
before: then the play is a helpful one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
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
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.chaos.shrink.search import BudgetEndedError, NotReproducedError, Search, reduce

FEWEST_NODES = 3
"""Fewer tolerate no failure, so nobody would run them."""
MOST_PAIRED = 150
"""Of more steps not all pairs are tried."""
MODES: tuple[Mode, ...] = ("lenient", "helpful")


class Candidate(msgspec.Struct, frozen=True):
    """An execution that may still break the invariant, over the right core or a mutant."""

    execution: Execution
    mutant: str | None
    invariant: str
    mode: Mode = "lenient"


def attempt(candidate: Candidate) -> Execution | None:
    """Plays it up to the violation; returns what was done, or None if the invariant holds."""
    execution = candidate.execution
    played = Player(execution, MemoryDriver(parts_of(candidate.mutant)), mode=candidate.mode).play(candidate.invariant)
    if not played.violates(candidate.invariant):
        return None
    steps = [played.substituted.get(number, step) for number, step in enumerate(execution.steps)]
    return keep(replace(execution, steps=steps), played.done)


class ExecutionShrinker:
    """Shrinks one execution that breaks the invariant; `run` returns whether no single step or node can go any more.

    Raises NotReproducedError where the execution does not break it.
    """

    def __init__(
        self,
        execution: Execution,
        mutant: str | None,
        invariant: str,
        *,
        budget_s: float,
        jobs: int,
        progress: Callable[[Search[Candidate, Execution]], None] = lambda search: None,
    ) -> None:
        self._mutant = mutant
        self._invariant = invariant
        self.search: Search[Candidate, Execution] = Search(execution, attempt, budget_s, jobs, progress)

    @property
    def execution(self) -> Execution:
        """The smallest so far."""
        return self.search.state

    def run(self) -> bool:
        found = False
        try:
            with self.search:
                found = self._try(self.execution)
                if not found:
                    raise NotReproducedError(f"playing the execution did not break {self._invariant}")
                self._bare()
                self._fewer_steps()
                while self._pairs() or self._simplify():
                    self._fewer_steps()
            return True
        except BudgetEndedError:
            if not found:
                raise NotReproducedError("the time ended before the execution was played") from None
            return False

    # ---- what goes ------------------------------------------------------------------------------------------------

    def _bare(self) -> None:
        """All that only a recorded run has; one after the other where not all can go at once.

        A timeout before its time does nothing, but would do something if it had none. One that came together with
        other inputs was mostly overtaken by them.
        """
        early = Player(self.execution, MemoryDriver(parts_of(self._mutant))).play().early
        for gone in (early | _timeouts_behind_others(self.execution), early):
            bare = _each(_without_timeouts(self.execution, gone), without_times, _is_no_note)
            if self._try(_one_by_one(bare), "helpful") or self._try(bare):
                return

    def _fewer_steps(self) -> None:
        """Each of these may let another one take out more."""
        before = None
        while before is not self.execution:
            before = self.execution
            self._fewer_nodes()
            for mode in MODES:
                reduce(self.search, lambda execution: len(execution.steps), partial(self._without, mode))

    def _fewer_nodes(self) -> None:
        """As many at once as can be spared; two in one go keep the size of the cluster odd."""
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
        """Step by step: the plainest form of each that still does it. Returns whether there was any."""
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
        """Any two steps at once: an election, and the one that had to outbid it."""
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
    """Where such a timeout made its node act on what it had taken before, the last of these does now."""
    steps = list(execution.steps)
    acting: dict[int, int] = {}  # timeout that goes -> the input that has its part
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
    """Those on which a node acted together with what it took just before."""
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
    """A node acts on each input at once. What it wrote in one go it then writes in two, so each write ends twice."""
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
        return replace(step, keep_bytes=0)
    if isinstance(step, Input):
        return replace(step, stop=None, more=False)
    if isinstance(step, Return):
        return replace(step, error=None)
    return step


def _without_nodes(execution: Execution, gone: tuple[str, ...]) -> Execution:
    """The cluster without these, and without all that happened to them."""
    left = [name for name in execution.nodes if name not in gone]
    kept = [number for number, step in enumerate(execution.steps) if getattr(step, "node", "") not in gone]
    return replace(keep(execution, kept), nodes=left)
