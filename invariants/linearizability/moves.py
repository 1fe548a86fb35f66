"""Moves between configurations of a search: operations are placed just in time for a return (after Lowe, 2017).

A configuration is at the return of an operation that is not placed yet; all earlier events have been processed. Nothing
is placed before it must be: a move places one open operation, and the search passes a return once that return's
operation is placed. These rules keep the number of moves small without missing an order:

*   An open operation that changes nothing is placed as soon as the state allows it. In any order that places it later,
    it can be moved forward without affecting others.
*   A write whose value is overwritten before any operation sees it may be placed right before the overwriting one. So
    once a write is placed, every other open write becomes *free*: it no longer has to be placed, since it can be
    inserted unseen before the placed one. It remains an option for operations that need its value.
    An open write or append that would leave the state unchanged becomes free as well, since it could be placed there
    (a shared state stays the same whatever is appended).
    Operations of unknown outcome are options from the start.
*   An option, or a write before its return, is placed only if an open operation needs its value now. If the next
    operation in some order does not look at the value, the write is unseen and can be inserted elsewhere; and if
    that next operation is not open yet, the write can wait. At its own return a free write is dropped or placed.
*   Reads alone do not make a write needed, except the read that returns now. A free write, and the reads of its value
    that were open when the last write was placed, can be inserted together before that write until one of them
    returns: at the return of the write all such reads get its value; at the return of a read it may get it.
*   Of open operations with the same effect, the one that returns first is placed first: swapping two of them changes
    nothing.
*   States that no operation can distinguish any more are one state (`states`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

from raft_chaos.invariants.linearizability.problem import APPEND, CAS, NOT, STRING, WRITE, Problem, Spare
from raft_chaos.invariants.linearizability.states import ELSE_LIST, ELSE_VALUE, NEVER
from raft_chaos.invariants.linearizability.turns import Open, Turns

PLACED, SATISFIED, FREED, SLIPPED = range(4)
Path: TypeAlias = "tuple[Path, int, int, int, int] | None"
"""What was done, last first: (before, what, turn, mask, task). SATISFIED: these were placed and changed nothing. FREED:
unless they are placed elsewhere, their place is here, unseen. PLACED: the task. SLIPPED: the task, and the reads of the
mask, were inserted before the write placed last."""


class Configuration(NamedTuple):
    """`duties` and `writes` are the open operations that must be placed by their returns; another write covers
    `writes`. `free` are those that may be placed. `early` are the ones that were open when the last write was placed,
    in turn `covered`. `used` counts the used spares (see `Spare`)."""

    turn: int
    state: int
    duties: int
    writes: int
    free: int
    early: int
    covered: int
    used: int
    path: Any


class Moves:
    """Computes the configurations that follow from one, each at the next return that needs a decision."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.turns = Turns(problem)
        self.open = Open(self.turns)
        self.steps = 0
        self.furthest = 0
        """The last turn that any configuration reached."""

    def start(self, state: int) -> Configuration:
        return self._settle(0, state, 0, 0, 0, 0, 0, 0, None)

    def _settle(
        self,
        turn: int,
        state: int,
        duties: int,
        writes: int,
        free: int,
        early: int,
        covered: int,
        used: int,
        path: Path,
    ) -> Configuration:
        """Processes events up to the return of an operation that is not placed."""
        turns = self.turns
        due, all_news, last = turns.due, turns.news, turns.last
        while True:
            bit = due[turn]
            if bit:
                if (duties | writes) & bit:
                    break
                if free & bit:
                    if turns.lasting[turn]:
                        break
                    free ^= bit
            turn += 1
            news = all_news[turn]
            if news is not None:
                if early:
                    early &= duties | writes | free
                new_duties, new_writes, chances, fits, fit, strings, same, appends = news
                free |= chances
                if new_duties:
                    fit = fits.get(state, fit)
                    if strings and self.problem.states.is_string(state):
                        fit |= strings
                    if fit:
                        path = (path, SATISFIED, turn, fit, 0)
                    duties |= new_duties ^ fit
                if new_writes:
                    unseen = same.get(state, 0)
                    writes |= new_writes
                    if unseen:
                        writes ^= unseen
                        free |= unseen
                        path = (path, FREED, turn, unseen, 0)
                if appends:
                    duties, writes, free, path = self._unchanged(turn, state, appends, duties, writes, free, path)
            if turn == last:
                break
        self.steps += 1
        if turn > self.furthest:
            self.furthest = turn
        problem = self.problem
        if problem.last_use[state] < turn:
            state = problem.states.lump[state]
        early &= duties | free
        if not early & duties:
            early = covered = 0
        return Configuration(turn, state, duties, writes, free, early, covered, used, path)

    def _unchanged(
        self, turn: int, state: int, appends: Any, duties: int, writes: int, free: int, path: Path
    ) -> tuple[int, int, int, Path]:
        """Frees the open appends that leave the state as it is."""
        states, token, bits = self.problem.states, self.problem.token, self.turns.bit
        mask = 0
        for task in appends:
            if states.appended(state, token[task]) == state:
                mask |= bits[task]
        mask &= duties | writes
        if not mask:
            return duties, writes, free, path
        return duties & ~mask, writes & ~mask, free | mask, (path, FREED, turn, mask, 0)

    def _enter(
        self,
        turn: int,
        state: int,
        duties: int,
        writes: int,
        free: int,
        early: int,
        covered: int,
        used: int,
        path: Path,
    ) -> Configuration:
        """`_settle` in a state that is new: places the open operations that change nothing there."""
        is_open = self.open
        fit = duties & self._fits(state)
        if fit:
            duties ^= fit
            path = (path, SATISFIED, turn, fit, 0)
        unseen = writes & is_open.writes.get(state, 0)
        if unseen:
            writes ^= unseen
            free |= unseen
            path = (path, FREED, turn, unseen, 0)
        appends = is_open.appends & (duties | writes)
        if appends:
            tasks = is_open.tasks(appends)
            duties, writes, free, path = self._unchanged(turn, state, tasks, duties, writes, free, path)
        return self._settle(turn, state, duties, writes, free, early, covered, used, path)

    def _fits(self, state: int) -> int:
        """The open operations that change nothing and that this state satisfies."""
        is_open = self.open
        mask = is_open.reads.get(state, 0)
        if is_open.all_nots:
            mask |= is_open.all_nots & ~is_open.nots.get(state, 0)
        if is_open.strings and self.problem.states.is_string(state):
            mask |= is_open.strings
        return mask

    # ---- the moves ----

    def expand(self, at: Configuration) -> list[Configuration]:
        """The configurations after one more operation was placed, of equal ones the most promising last."""
        self.open.seek(at.turn)
        problem, is_open = self.problem, self.open
        turn, state = at.turn, at.state
        due, bit = self.turns.due_task[turn], self.turns.due[turn]
        kind = problem.kind[due]
        pending = at.duties | at.writes | at.free
        found: list[Configuration] = []
        may_leave = problem.picky or problem.refused.get(state, -1) >= turn
        if kind < WRITE and at.early & bit:
            found += self._served(at, due, bit)
        pressing = {a for a, mask in is_open.cas_from.items() if mask & pending}
        pressing.add(problem.a[due])
        if problem.spares:
            found += self._spares(at, due, pending, pressing)
        for after, mask in is_open.writes.items():
            mask &= pending
            if not mask or mask & bit:
                continue
            if after in pressing or self._is_wanted(at, after, due, pending, pressing):
                found.append(self._write(at, is_open.soonest(mask), after))
        for after, mask in is_open.cas.get(state, {}).items():
            if mask & at.duties and not mask & at.duties & bit:
                found.append(self._change(at, is_open.soonest(mask & at.duties), after))
            if mask & at.free and not mask & at.free & bit and (may_leave or self._alive(after, turn)):
                found.append(self._change(at, is_open.soonest(mask & at.free), after))
        if is_open.appends & pending:
            found += self._appended(at, bit)
        if kind == WRITE:
            found.append(self._write(at, due, problem.b[due]))
        elif kind == CAS and problem.a[due] == state:
            after = problem.b[due]
            if at.duties & bit or may_leave or self._alive(after, turn):
                found.append(self._change(at, due, after))
        elif kind == APPEND:
            after = problem.states.appended(state, problem.token[due])
            if after != NEVER and (not at.free & bit or problem.picky or self._alive(after, turn)):
                found.append(self._change(at, due, after))
        return found

    def _write(self, at: Configuration, task: int, after: int, spare: int = 0) -> Configuration:
        """Places a write. The other open writes become free."""
        turn, _, duties, writes, free, _, _, used, path = at
        bit = self.turns.bit[task]
        writes &= ~bit
        free &= ~bit
        if writes:
            path = (path, FREED, turn, writes, 0)
            free |= writes
        path = (path, PLACED, turn, 0, task)
        early = duties & ~self.open.all_cas & ~self.open.appends | free & self.open.all_writes
        return self._enter(turn, after, duties, 0, free, early, turn, used | spare, path)

    def _change(self, at: Configuration, task: int, after: int, spare: int = 0) -> Configuration:
        """Places a cas or an append."""
        turn, _, duties, writes, free, early, covered, used, path = at
        keep = ~self.turns.bit[task]
        path = (path, PLACED, turn, 0, task)
        return self._enter(turn, after, duties & keep, writes & keep, free & keep, early, covered, used | spare, path)

    def _appended(self, at: Configuration, bit: int) -> Iterator[Configuration]:
        """Places open appends, of those with the same token the one that returns first."""
        problem = self.problem
        for group, free in ((at.duties | at.writes, False), (at.free, True)):
            tokens: dict[Any, int] = {}
            for task in self.open.tasks(self.open.appends & group):
                token = problem.token[task]
                tokens[token] = tokens.get(token, 0) | self.turns.bit[task]
            for token, mask in tokens.items():
                after = problem.states.appended(at.state, token)
                if after != NEVER and not mask & bit and (not free or problem.picky or self._alive(after, at.turn)):
                    yield self._change(at, self.open.soonest(mask), after)

    def let_go(self, at: Configuration) -> Configuration | None:
        """Passes the return of a free operation without placing it (None if it must be placed). All reads that could
        have got its value get it."""
        turn, state, duties, writes, free, early, covered, used, path = at
        due, bit = self.turns.due_task[turn], self.turns.due[turn]
        if not free & bit:
            return None
        free ^= bit
        if early & bit:
            self.open.seek(turn)
            readers = early & duties & self._fits(self.problem.b[due])
            if readers:
                duties ^= readers
                path = (path, SLIPPED, turn, readers, due)
        return self._settle(turn, state, duties, writes, free, early, covered, used, path)

    def _served(self, at: Configuration, due: int, bit: int) -> Iterator[Configuration]:
        """Inserts a free or spare write before the last one, for the read whose return is due and others like it."""
        turn, state, duties, writes, free, early, covered, used, path = at
        is_open = self.open
        for after, mask in is_open.writes.items():
            mask &= free & early
            if mask:
                readers = early & duties & self._fits(after)
                if readers & bit:
                    task = is_open.soonest(mask)
                    left = free & ~self.turns.bit[task]
                    slipped = (path, SLIPPED, turn, readers, task)
                    yield self._settle(turn, state, duties ^ readers, writes, left, early, covered, used, slipped)
        for spare in self.problem.spare_writes.values():
            count = (used >> spare.base & spare.mask).bit_length()
            if count < len(spare.calls) and spare.calls[count] <= covered:
                readers = early & duties & self._fits(spare.b)
                if readers & bit:
                    slipped = (path, SLIPPED, turn, readers, spare.tasks[count])
                    more = used | 1 << spare.base + count
                    yield self._settle(turn, state, duties ^ readers, writes, free, early, covered, more, slipped)

    # ---- what is wanted ----

    def _alive(self, state: int, turn: int) -> bool:
        return state not in (NEVER, ELSE_VALUE, ELSE_LIST) and self.problem.last_use[state] >= turn

    def _is_wanted(self, at: Configuration, after: int, due: int, pending: int, pressing: set[int]) -> bool:
        """Whether an open operation needs this state, or, as one of several that satisfy it, is satisfied by it."""
        problem = self.problem
        if after in pressing or problem.thorough:
            return True
        kind = problem.kind[due]
        if kind == NOT and after != problem.a[due]:
            return True
        if kind == STRING and problem.states.is_string(after):
            return True
        if not problem.appends:
            return False
        appended, token = problem.states.appended, problem.token
        for task in self.open.tasks(self.open.appends & pending):
            then = appended(after, token[task])
            if self._alive(then, at.turn) or (then != NEVER and appended(at.state, token[task]) == NEVER):
                return True
        return any(
            self._left(at, spare) >= 0 and self._alive(appended(after, spare.token), at.turn)
            for spare in problem.spare_appends
        )

    # ---- spares ----

    def _left(self, at: Configuration, spare: Spare) -> int:
        """The number of the next unused one of these spares that was called by now, or -1."""
        count = (at.used >> spare.base & spare.mask).bit_length()
        return count if count < len(spare.calls) and spare.calls[count] <= at.turn else -1

    def _spares(self, at: Configuration, due: int, pending: int, pressing: set[int]) -> Iterator[Configuration]:
        """Places a spare. Extends `pressing` by what spares need that lead to a wanted state."""
        for spare in self._useful(at, due, pending, pressing):
            count = self._left(at, spare)
            if count < 0:
                continue
            task, bit = spare.tasks[count], 1 << spare.base + count
            if spare.kind == WRITE:
                yield self._write(at, task, spare.b, bit)
            elif spare.kind == CAS:
                yield self._change(at, task, spare.b, bit)
            else:
                yield self._change(at, task, self.problem.states.appended(at.state, spare.token), bit)

    def _useful(self, at: Configuration, due: int, pending: int, pressing: set[int]) -> list[Spare]:
        problem = self.problem
        wanted = self._close(at, pending, pressing)
        if problem.picky:
            return [spare for spare in problem.spares if self._applies(at, spare)]
        useful = [spare for state, spare in problem.spare_writes.items() if state in pressing]
        useful += [spare for spare in problem.spare_leaving.get(at.state, ()) if spare.b in wanted]
        if at.duties & self.open.all_nots:
            useful += [spare for spare in problem.spare_leaving.get(at.state, ()) if spare not in useful]
            if problem.kind[due] == NOT:
                useful += [spare for b, spare in problem.spare_writes.items() if b != at.state and spare not in useful]
        for spare in problem.bases:
            if spare.b not in pressing and self._is_wanted(at, spare.b, due, pending, pressing):
                useful.append(spare)
        for spare in problem.spare_appends:
            if self._alive(problem.states.appended(at.state, spare.token), at.turn):
                useful.append(spare)
        return useful

    def _close(self, at: Configuration, pending: int, pressing: set[int]) -> set[int]:
        """The states that open operations need, directly or by way of a cas or append of unknown outcome. Those that
        are needed by more than reads, or by the one that returns now, are `pressing`, and are added there."""
        problem = self.problem
        if problem.picky:
            pressing.update(spare.a for spare in problem.spares if spare.kind == CAS and self._left(at, spare) >= 0)
        wanted = set(pressing)
        for state, mask in self.open.reads.items():
            if mask & pending:
                wanted.add(state)
        into, grown = problem.spare_cas, problem.spare_appends and problem.bases
        todo = list(wanted) if into or grown else []
        while todo:
            state = todo.pop()
            sources = [
                spare.a
                for spare in into.get(state, ())
                if (spare.a not in pressing or spare.a not in wanted) and self._left(at, spare) >= 0
            ]
            if grown and state >= 0:
                parent = problem.states.parent[state]
                if parent >= 0:
                    sources.append(parent)  # in `kv-append` these are more than an append produces, which does no harm
            for source in sources:
                pressing.add(source)
                if source not in wanted:
                    wanted.add(source)
                    todo.append(source)
        return wanted

    def _applies(self, at: Configuration, spare: Spare) -> bool:
        """Whether the spare changes the state. Used for keys with `picky` operations."""
        if spare.kind == CAS:
            return spare.a == at.state
        if spare.kind == APPEND:
            after = self.problem.states.appended(at.state, spare.token)
            return after not in (NEVER, at.state)
        return spare.b != at.state

    # ---- the order of a finished search ----

    def order(self, path: Path) -> list[int]:
        """The tasks of a path, first to last."""
        kinds = self.problem.kind
        backwards: list[int] = []
        slipped: list[int] = []
        for what, task, tasks in reversed(self._with_tasks(path)):
            if what == SLIPPED:
                slipped += (*reversed(tasks), task)
            elif what == PLACED:
                backwards.append(task)
                if kinds[task] == WRITE:
                    backwards += slipped
                    slipped = []
            elif what == SATISFIED:
                backwards += reversed(tasks)
            else:
                backwards += [~task for task in reversed(tasks)]
        explicit = {task for task in backwards if task >= 0}
        return [max(task, ~task) for task in reversed(backwards) if task >= 0 or ~task not in explicit]

    def _with_tasks(self, path: Path) -> list[tuple[int, int, list[int]]]:
        """The parts of a path, first to last: (what, task, the tasks of the mask by their calls)."""
        parts = []
        while path is not None:
            path, *part = path
            parts.append(part)
        bits, calls = self.turns.bit, self.turns.calls
        holders: dict[int, int] = {}
        reached = 0
        made = []
        for what, turn, mask, task in reversed(parts):
            while reached < turn:
                reached += 1
                for called in calls[reached]:
                    holders[bits[called]] = called
            tasks = []
            while mask:
                bit = mask & -mask
                tasks.append(holders[bit])
                mask ^= bit
            if len(tasks) > 1:
                tasks.sort(key=self.problem.begins.__getitem__)
            made.append((what, task, tasks))
        return made
