"""The search over the configurations of a problem. It can be paused.

A few configurations are at the *front*; the one in the earliest turn is expanded first. What follows joins the front,
and if that is then too wide, the least promising ones are left waiting. The front begins with one configuration: a good
guess leads straight to an order, as depth first would. If the front dies out without having got further than before, it
starts again from those that wait, twice as many, from as many turns back as it can: so an early bad guess costs
little, as breadth first would. Once it gets further, it becomes narrow again. A search that has expanded all
configurations proves that no order gets past the furthest turn that it reached.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from operator import itemgetter
from typing import Literal, TypeAlias

from raft_chaos.invariants.linearizability.moves import Configuration, Moves
from raft_chaos.invariants.linearizability.problem import Problem
from raft_chaos.invariants.linearizability.states import FIRST

Outcome: TypeAlias = Literal["found", "dead"] | None
Waiting: TypeAlias = tuple[int, int, int, Configuration]
"""A configuration with its turn, its promise (the less, the better) and a number that makes the newest the least."""
HASH = 40_503
"""An odd number whose multiples differ in all bits: it varies the preferences of a search that begins again."""

LET_GO = 4
"""How much less promising it is, as many events, to pass the return of an operation without placing it."""


class Seen:
    """The configurations in one state, with the same open cas and appends, that were expanded at one turn. One
    dominates another if it has at least its options, at most its obligations, and can insert at least what it can."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: list[tuple[int, int, int, int, int]] = []

    def dominated(self, at: Configuration) -> bool:
        """Whether a configuration that is at least as good was seen before. If not, remembers this one."""
        _, _, duties, writes, free, early, covered, used, _ = at
        options = writes | free
        owed = duties | writes
        for less, more, others, until, spent in self._kept:
            if (
                not less & ~owed
                and not options & ~more
                and not spent & ~used
                and until >= covered
                and not early & ~others & (less | more)
            ):
                return True
        self._kept.append((owed, options, early, covered, used))
        return False


class Search:
    """`outcome` is None until the search has ended; `run` continues it for about `steps` steps."""

    def __init__(self, problem: Problem, starts: Sequence[int] = (FIRST,)) -> None:
        self.problem = problem
        self.outcome: Outcome = None
        self._starts = starts
        self._moves = Moves(problem)
        self._end: Configuration | None = None
        self._restarts = 0
        self._begin()

    def _begin(self) -> None:
        self._front: list[Waiting] = []
        self._waiting: list[list[tuple[int, int, Configuration]]] = [[] for _ in range(self._moves.turns.last + 1)]
        self._seen: dict[tuple[int, int, int], Seen] = {}
        self._width, self._reached, self._serial = 1, 0, 0
        self._noted = self._moves.furthest = 0
        for state in self._starts:
            self._add(self._moves.start(state))

    @property
    def steps(self) -> int:
        return self._moves.steps

    @property
    def dies_at(self) -> int:
        """If the outcome is "dead": the task whose return no order gets past."""
        return self._moves.turns.due_task[self._moves.furthest]

    def order(self) -> list[int]:
        """The tasks in the order that was found."""
        assert self._end is not None
        return self._moves.order(self._end.path)

    def run(self, steps: int) -> Outcome:
        moves, front = self._moves, self._front
        limit = moves.steps + steps
        while self.outcome is None and moves.steps < limit:
            if not front and not self._widen():
                self.outcome = "dead"
                break
            at = heapq.heappop(front)[3]
            if not self._dominated(at):
                passed = moves.let_go(at)
                if passed is not None:
                    self._add(passed, LET_GO)
                for configuration in moves.expand(at):
                    self._add(configuration)
                if moves.furthest > self._reached + self._width:
                    self._reached = moves.furthest
                    self._width = max(1, self._width // 2)
                if len(front) >= 2 * self._width:
                    self._narrow()
        return self.outcome

    def restart_if_stuck(self) -> None:
        """Begins again, with other preferences among what is about equally promising, unless the search has got further
        since the last call. An unlucky guess can cost more than many new beginnings."""
        if self._moves.furthest > self._noted:
            self._noted = self._moves.furthest
        else:
            self._restarts += 1
            self._begin()

    def _add(self, at: Configuration, handicap: int = 0) -> None:
        if at.turn == self._moves.turns.last:
            self.outcome, self._end = "found", at
        self._serial -= 1
        promise = at.duties.bit_count() - 2 * at.turn + handicap
        if self._restarts:
            promise += (self._serial * (HASH + 2 * self._restarts) >> 8) % (1 + self._restarts % 4)
        heapq.heappush(self._front, (at.turn, promise, self._serial, at))

    def _narrow(self) -> None:
        """Leaves the most promising configurations at the front; the others wait."""
        front = self._front
        front.sort(key=itemgetter(1, 2))
        for _, promise, serial, at in front[self._width :]:
            heapq.heappush(self._waiting[at.turn], (promise, serial, at))
        del front[self._width :]
        heapq.heapify(front)

    def _widen(self) -> bool:
        """Brings waiting configurations to the front, the most promising of each turn, from the last turn backwards.
        False if none are left."""
        furthest = self._moves.furthest
        self._width = self._width * 2 if furthest <= self._reached else 1
        self._reached = furthest
        left = []
        for turn in range(furthest, -1, -1):
            if self._waiting[turn]:
                left.append(self._waiting[turn])
                if len(left) == self._width:
                    break
        while left and len(self._front) < self._width:
            for waiting in left[: self._width - len(self._front)]:
                promise, serial, at = heapq.heappop(waiting)
                heapq.heappush(self._front, (at.turn, promise, serial, at))
            left = [waiting for waiting in left if waiting]
        return bool(self._front)

    def _dominated(self, at: Configuration) -> bool:
        is_open = self._moves.open
        is_open.seek(at.turn)
        # A cas or an append that is not placed yet is both an obligation and an option, so it must be equal in both.
        key = at.turn, at.state, (at.duties | at.writes) & (is_open.all_cas | is_open.appends)
        seen = self._seen.get(key)
        if seen is None:
            seen = self._seen[key] = Seen()
        return seen.dominated(at)
