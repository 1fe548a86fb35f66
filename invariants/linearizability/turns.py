"""A problem as turns with bit masks: each open operation holds one bit, so sets of open operations are small integers.

`Turns` holds what a search needs at each turn whatever it did before. `Open` holds the open operations of one turn, by
what they require and do; it moves from turn to turn, forwards and backwards.
"""

from __future__ import annotations

from typing import NamedTuple

from raft_chaos.invariants.linearizability.problem import APPEND, CAS, NOT, READ, STRING, WRITE, Problem


class News(NamedTuple):
    """The operations called in one turn. `duties` must be placed, `writes` too, until another write covers them, and
    `chances` may be. `fits` has, of the duties, those that a state satisfies as it is: by state, `otherwise` for the
    other states, and `strings` for strings. `same` has, of the writes, those that lead to a state."""

    duties: int
    writes: int
    chances: int
    fits: dict[int, int]
    otherwise: int
    strings: int
    same: dict[int, int]
    appends: tuple[int, ...]


class Turns:
    """Turn 0 has no return. `due` is the bit of the operation that returns (0 if it is not relevant), `due_task` the
    operation, `lasting` whether its effect can be observed after its return; `news` is None if nothing was called."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.bit = [0] * len(problem.kind)
        self.due = [0]
        self.due_task = [-1]
        self.lasting = [False]
        self.news: list[News | None] = [None]
        self.calls: list[list[int]] = [[]]
        self.last = problem.last_turn
        """The turn after the last return. A search that reaches it has found an order."""
        self._build()

    def _build(self) -> None:
        problem, bit = self.problem, self.bit
        relevant, kinds, b, last_use = problem.relevant, problem.kind, problem.b, problem.last_use
        always = problem.picky
        pickiest = max(problem.refused.values(), default=-1)
        free: list[int] = []
        width = 0
        called: list[int] = []
        for event in problem.events:
            task = event >> 1
            if not relevant[task]:
                if event & 1:
                    self._end(task, 0, False, called)
                    called = []
            elif event & 1:
                kind = kinds[task]
                turn = len(self.due)
                lasting = always or kind == APPEND or (kind > STRING and max(last_use[b[task]], pickiest) > turn)
                self._end(task, bit[task], lasting, called)
                free.append(bit[task])
                called = []
            else:
                if free:
                    bit[task] = free.pop()
                else:
                    bit[task] = 1 << width
                    width += 1
                called.append(task)
        self.news.append(self._news(called) if called else None)
        self.calls.append(called)
        self.due.append(0)

    def _end(self, task: int, bit: int, lasting: bool, called: list[int]) -> None:
        self.due.append(bit)
        self.due_task.append(task)
        self.lasting.append(lasting)
        self.news.append(self._news(called) if called else None)
        self.calls.append(called)

    def _news(self, called: list[int]) -> News:
        problem, bits = self.problem, self.bit
        duties = writes = chances = otherwise = strings = 0
        fits: dict[int, int] = {}
        same: dict[int, int] = {}
        appends: tuple[int, ...] = ()
        for task in called:
            bit, kind = bits[task], problem.kind[task]
            if not problem.must[task]:
                chances |= bit
            elif kind == READ:
                duties |= bit
                a = problem.a[task]
                fits[a] = fits.get(a, 0) | bit
            elif kind == WRITE:
                writes |= bit
                after = problem.b[task]
                same[after] = same.get(after, 0) | bit
            else:
                duties |= bit
                if kind == NOT:
                    otherwise |= bit
                elif kind == STRING:
                    strings |= bit
                elif kind == APPEND:
                    appends += (task,)
        if appends and problem.covers_appends:
            duties, writes = self._with_appends(duties, writes, appends)
        if otherwise:
            self._refuse(called, fits, otherwise)
        return News(duties, writes, chances, fits, otherwise, strings, same, appends)

    def _with_appends(self, duties: int, writes: int, appends: tuple[int, ...]) -> tuple[int, int]:
        for task in appends:
            duties ^= self.bit[task]
            writes |= self.bit[task]
        return duties, writes

    def _refuse(self, called: list[int], fits: dict[int, int], otherwise: int) -> None:
        """Completes `fits` where some operations exclude one state: all others of their kind fit it."""
        problem = self.problem
        excluded: dict[int, int] = {}
        for task in called:
            if problem.must[task] and problem.kind[task] == NOT:
                a = problem.a[task]
                excluded[a] = excluded.get(a, 0) | self.bit[task]
        for state in {**fits, **excluded}:
            fits[state] = fits.get(state, 0) | (otherwise & ~excluded.get(state, 0))


class Open:
    """The operations that are open at the end of turn `at`, before its return: masks by what they require and do."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._problem = turns.problem
        self.at = 0
        self.reads: dict[int, int] = {}
        self.nots: dict[int, int] = {}
        self.all_nots = self.strings = self.appends = 0
        self.writes: dict[int, int] = {}
        self.cas: dict[int, dict[int, int]] = {}
        """By the state that they expect, and the state that they lead to."""
        self.cas_from: dict[int, int] = {}
        self.all_writes = self.all_cas = 0
        self.task: dict[int, int] = {}
        """The task that holds a bit."""

    def seek(self, turn: int) -> None:
        turns = self._turns
        while self.at < turn:
            if turns.due[self.at]:
                self._flip(turns.due_task[self.at])
            self.at += 1
            for task in turns.calls[self.at]:
                self._flip(task)
                self.task[turns.bit[task]] = task
        while self.at > turn:
            for task in turns.calls[self.at]:
                self._flip(task)
            self.at -= 1
            if turns.due[self.at]:
                task = turns.due_task[self.at]
                self._flip(task)
                self.task[turns.bit[task]] = task

    def _flip(self, task: int) -> None:
        """Adds a task, or takes it out."""
        problem, bit = self._problem, self._turns.bit[task]
        kind = problem.kind[task]
        if kind == READ:
            masks, key = self.reads, problem.a[task]
        elif kind == WRITE:
            self.all_writes ^= bit
            masks, key = self.writes, problem.b[task]
        elif kind == CAS:
            self.all_cas ^= bit
            a = problem.a[task]
            into = self.cas.get(a)
            if into is None:
                into = self.cas[a] = {}
            _flip(into, problem.b[task], bit)
            if not into:
                del self.cas[a]
            masks, key = self.cas_from, a
        elif kind == NOT:
            self.all_nots ^= bit
            masks, key = self.nots, problem.a[task]
        elif kind == APPEND:
            self.appends ^= bit
            return
        else:
            self.strings ^= bit
            return
        mask = masks.get(key, 0) ^ bit
        if mask:
            masks[key] = mask
        else:
            del masks[key]

    def tasks(self, mask: int) -> list[int]:
        """The tasks of a mask, in the order of their bits."""
        found = []
        while mask:
            bit = mask & -mask
            found.append(self.task[bit])
            mask ^= bit
        return found

    def soonest(self, mask: int) -> int:
        """The task of a mask that returns first."""
        bit = mask & -mask
        best = self.task[bit]
        mask ^= bit
        if mask:
            ends = self._problem.ends
            while mask:
                bit = mask & -mask
                other = self.task[bit]
                if ends[other] < ends[best]:
                    best = other
                mask ^= bit
        return best


def _flip(masks: dict[int, int], key: int, bit: int) -> None:
    mask = masks.get(key, 0) ^ bit
    if mask:
        masks[key] = mask
    else:
        del masks[key]
