"""Transitions between configurations of a search: operations are placed just in time for a return (after Lowe, 2017).

A configuration is at the return of an operation that is not placed yet; all earlier events have been processed. Nothing
is placed before it must be: a transition places one open operation, and the search passes a return once that return's
operation is placed. These rules keep the number of transitions small without missing an order:

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
from typing import Any, TypeAlias

import msgspec

from raft_chaos.invariants.linearizability.problem import APPEND, CAS, NOT, READ, STRING, WRITE, Problem, Spare
from raft_chaos.invariants.linearizability.states import ELSE_LIST, ELSE_VALUE, NEVER

Path: TypeAlias = "tuple[Path, int | tuple[int, ...]] | None"
"""The placed tasks, last first. `~task` became free: unless it is placed elsewhere, its place is here, unseen. A tuple
of tasks was inserted before the write placed last."""


class Configuration(msgspec.Struct, frozen=True, gc=True):
    """`place` is the place of the event. `bound` are the open tasks that must be placed by their return, `free` those
    that may be. `used` counts the used spares (see `Spare`). Tasks called before `covered` were open when the last
    write was placed."""

    place: int
    state: int
    bound: tuple[int, ...]
    free: tuple[int, ...]
    used: int
    covered: int
    path: Any


class Transitions:
    """Computes the configurations that follow from one, each at the next return that needs a decision."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.steps = 0
        self.furthest = -1
        """The last return that any configuration reached."""

    def start(self, state: int) -> Configuration:
        return self.settle(0, state, (), (), 0, 0, None)

    def finished(self, configuration: Configuration) -> bool:
        return configuration.place == len(self.problem.events)

    def settle(
        self, place: int, state: int, bound: tuple[int, ...], free: tuple[int, ...], used: int, covered: int, path: Path
    ) -> Configuration:
        """Places operations that change nothing, then processes events up to the return of one that is not placed."""
        problem = self.problem
        events, must = problem.events, problem.must
        bound, free, path = self._absorb(state, bound, free, path)
        began = place
        end = len(events)
        while place < end:
            event = events[place]
            task = event >> 1
            if event & 1:
                if task in bound:
                    break
                if task in free:
                    if self._may_matter(task, place):
                        break
                    free = tuple(other for other in free if other != task)
            elif not must[task]:
                free = tuple(sorted((*free, task)))
            elif self._changes_nothing(task, state):
                if problem.kind[task] in (WRITE, APPEND):
                    free, path = tuple(sorted((*free, task))), (path, ~task)
                else:
                    path = (path, task)
            else:
                bound = (*bound, task)
            place += 1
        self.steps += 1 + ((place - began) >> 3)
        if place > self.furthest:
            self.furthest = place
        if problem.last_use[state] < place:
            state = problem.states.lump[state]
        return Configuration(place, state, bound, free, used, covered, path)

    def _absorb(
        self, state: int, bound: tuple[int, ...], free: tuple[int, ...], path: Path
    ) -> tuple[tuple[int, ...], tuple[int, ...], Path]:
        kinds = self.problem.kind
        same = [task for task in bound if self._changes_nothing(task, state)]
        if not same:
            return bound, free, path
        for task in same:
            path = (path, ~task if kinds[task] in (WRITE, APPEND) else task)
        chances = [task for task in same if kinds[task] in (WRITE, APPEND)]
        if chances:
            free = tuple(sorted((*free, *chances)))
        return tuple(task for task in bound if task not in same), free, path

    def _changes_nothing(self, task: int, state: int) -> bool:
        problem = self.problem
        kind = problem.kind[task]
        if kind == READ:
            return problem.a[task] == state
        if kind == WRITE:
            return problem.b[task] == state
        if kind == CAS:
            return problem.a[task] == problem.b[task] == state
        if kind == NOT:
            return problem.a[task] != state
        if kind == STRING:
            return problem.states.is_string(state)
        return problem.states.appended(state, problem.token[task]) == state

    def _may_matter(self, task: int, place: int) -> bool:
        """Whether the state that a free task leads to can still be observed after its return."""
        problem = self.problem
        kind = problem.kind[task]
        return problem.picky or kind == APPEND or problem.last_use[problem.b[task]] > place

    # ---- the transitions ----

    def expand(self, at: Configuration) -> list[Configuration]:
        """The configurations that may come next, the most promising last."""
        problem = self.problem
        due = problem.events[at.place] >> 1
        found: list[Configuration] = []
        if problem.kind[due] < WRITE and problem.begins[due] < at.covered:
            found += self._served(at, due)
        wanted = self._wanted(at)
        for spare in self._useful_spares(at, wanted, due):
            found.append(self._use(at, spare))
        for task in self._candidates(at):
            if task != due:
                found += self._place(at, task, task in at.free, self._is_wanted(at, task, wanted, due))
        found += self._place(at, due, due in at.free, True)
        target = problem.a[due]
        # Prefer few obligations, or the state that the due task needs. Dropping a free task that may matter comes last.
        found.sort(key=lambda one: one.place - len(one.bound) + (one.state == target and one.place == at.place))
        return found if due not in at.free else [self._let_go(at, due), *found]

    def _candidates(self, at: Configuration) -> list[int]:
        """Open tasks that change the state; of equal ones the first to return. For writes it does not matter which is
        bound and which is free, since placing one makes the other free."""
        kinds, ends, effects = self.problem.kind, self.problem.ends, self.problem.effect
        first: dict[int, int] = {}
        for tasks, free in ((at.bound, False), (at.free, True)):
            for task in tasks:
                kind = kinds[task]
                if kind >= WRITE:
                    effect = ~effects[task] if free and kind != WRITE else effects[task]
                    other = first.get(effect)
                    if other is None or ends[task] < ends[other]:
                        first[effect] = task
        return list(first.values())

    def _let_go(self, at: Configuration, task: int) -> Configuration:
        """Passes a free task's return without placing it. All reads that could have got its value get it."""
        problem = self.problem
        free = tuple(other for other in at.free if other != task)
        readers = self._readers(at, problem.b[task]) if problem.kind[task] == WRITE else ()
        if not readers or problem.begins[task] >= at.covered:
            return self.settle(at.place + 1, at.state, at.bound, free, at.used, at.covered, at.path)
        bound = tuple(other for other in at.bound if other not in readers)
        path = (at.path, (task, *readers))
        return self.settle(at.place + 1, at.state, bound, free, at.used, at.covered, path)

    def _readers(self, at: Configuration, state: int) -> tuple[int, ...]:
        """The tasks that were open when the last write was placed and that this state, before that write, satisfies."""
        begins, kinds = self.problem.begins, self.problem.kind
        return tuple(
            task
            for task in at.bound
            if kinds[task] < WRITE and begins[task] < at.covered and self._changes_nothing(task, state)
        )

    def _served(self, at: Configuration, due: int) -> Iterator[Configuration]:
        """Inserts a free or spare write before the last one, for the read whose return is due and others like it."""
        problem = self.problem
        first: dict[int, int] = {}
        for task in at.free:
            state = problem.b[task]
            fits = problem.kind[task] == WRITE and problem.begins[task] < at.covered
            sooner = state not in first or problem.ends[task] < problem.ends[first[state]]
            if fits and sooner and self._changes_nothing(due, state):
                first[state] = task
        for state, task in first.items():
            readers = self._readers(at, state)
            bound = tuple(other for other in at.bound if other not in readers)
            free = tuple(other for other in at.free if other != task)
            yield self.settle(at.place, at.state, bound, free, at.used, at.covered, (at.path, (task, *readers)))
        for spare in problem.spare_writes.values():
            count = (at.used >> spare.base & spare.mask).bit_length()
            fits = count < len(spare.calls) and spare.calls[count] <= at.covered
            if fits and self._changes_nothing(due, spare.b):
                readers = self._readers(at, spare.b)
                bound = tuple(other for other in at.bound if other not in readers)
                used = at.used | 1 << spare.base + count
                path = (at.path, (spare.tasks[count], *readers))
                yield self.settle(at.place, at.state, bound, at.free, used, at.covered, path)

    def _place(self, at: Configuration, task: int, free: bool, wanted: bool) -> Iterator[Configuration]:
        """The configuration with this task placed now, if the state allows it and it can matter."""
        problem = self.problem
        state, kind = at.state, problem.kind[task]
        if kind == WRITE:
            if not wanted:
                return
            after = problem.b[task]
        elif kind == CAS:
            after = problem.b[task]
            if problem.a[task] != state or (free and not problem.picky and not self._alive(after, at.place)):
                return
        elif kind == APPEND:
            after = problem.states.appended(state, problem.token[task])
            if after == NEVER or (free and not problem.picky and not self._alive(after, at.place)):
                return
        else:
            return
        path = at.path
        bound, others = at.bound, at.free
        if free:
            others = tuple(other for other in others if other != task)
        else:
            bound = tuple(other for other in bound if other != task)
        covered = at.covered
        if kind == WRITE:
            bound, others, path = self._cover(bound, others, path)
            covered = at.place
        place = at.place + (problem.events[at.place] == task * 2 + 1)
        yield self.settle(place, after, bound, others, at.used, covered, (path, task))

    def _use(self, at: Configuration, spare: Spare) -> Configuration:
        problem = self.problem
        count = (at.used >> spare.base & spare.mask).bit_length()
        after = spare.b if spare.kind != APPEND else problem.states.appended(at.state, spare.token)
        bound, free, path, covered = at.bound, at.free, at.path, at.covered
        if spare.kind == WRITE:
            bound, free, path = self._cover(bound, free, path)
            covered = at.place
        used = at.used | 1 << spare.base + count
        return self.settle(at.place, after, bound, free, used, covered, (path, spare.tasks[count]))

    def _cover(
        self, bound: tuple[int, ...], free: tuple[int, ...], path: Path
    ) -> tuple[tuple[int, ...], tuple[int, ...], Path]:
        """Frees the other open writes after a write was placed: they no longer have to be placed."""
        kinds, appends = self.problem.kind, self.problem.coverable_appends
        covered = tuple(task for task in bound if kinds[task] == WRITE or (appends and kinds[task] == APPEND))
        if not covered:
            return bound, free, path
        for task in covered:
            path = (path, ~task)
        return tuple(task for task in bound if task not in covered), tuple(sorted((*free, *covered))), path

    # ---- what is wanted ----

    def _alive(self, state: int, place: int) -> bool:
        return state not in (NEVER, ELSE_VALUE, ELSE_LIST) and self.problem.last_use[state] >= place

    def _available(self, at: Configuration, spare: Spare) -> bool:
        count = (at.used >> spare.base & spare.mask).bit_length()
        return count < len(spare.calls) and spare.calls[count] <= at.place

    def _wanted(self, at: Configuration) -> tuple[set[int], set[int]]:
        """(needed, pressing): the states that an open operation needs, directly or through a cas or append of unknown
        outcome; and those of them that are needed by more than reads, or by the task that returns now."""
        problem = self.problem
        tasks = (*at.bound, *at.free)
        due = problem.events[at.place] >> 1
        pressing = {problem.a[task] for task in tasks if problem.kind[task] == CAS or task == due}
        if problem.picky:
            pressing.update(spare.a for spare in problem.spares if spare.kind == CAS and self._available(at, spare))
        wanted = pressing | {problem.a[task] for task in tasks if problem.kind[task] == READ}
        if not problem.spares:
            return wanted, pressing
        todo = sorted(wanted)
        while todo:
            state = todo.pop()
            sources = [spare.a for spare in problem.spare_cas.get(state, ()) if self._available(at, spare)]
            if problem.spare_appends and problem.bases and state >= 0:
                parent = problem.states.parent[state]
                if parent >= 0:
                    sources.append(parent)  # in `kv-append` these are more than an append produces, which does no harm
            pressing.update(sources)
            for source in sources:
                if source not in wanted:
                    wanted.add(source)
                    todo.append(source)
        return wanted, pressing

    def _is_wanted(self, at: Configuration, task: int, wanted: tuple[set[int], set[int]], due: int) -> bool:
        problem = self.problem
        if problem.kind[task] != WRITE or problem.thorough:
            return True
        return problem.b[task] in wanted[1] or self._looked_at(at, problem.b[task], due)

    def _looked_at(self, at: Configuration, state: int, due: int) -> bool:
        """Whether an open operation that several states can satisfy is satisfied by this one."""
        problem = self.problem
        if problem.kind[due] in (NOT, STRING) and self._changes_nothing(due, state):
            return True
        if not problem.appends:
            return False
        for task in (*at.bound, *at.free):
            if problem.kind[task] == APPEND:
                after = problem.states.appended(state, problem.token[task])
                refused_now = problem.states.appended(at.state, problem.token[task]) == NEVER
                if self._alive(after, at.place) or (refused_now and after != NEVER):
                    return True
        return any(
            self._available(at, spare) and self._alive(problem.states.appended(state, spare.token), at.place)
            for spare in problem.spare_appends
        )

    def _useful_spares(self, at: Configuration, wanted: tuple[set[int], set[int]], due: int) -> list[Spare]:
        problem = self.problem
        if not problem.spares:
            return []
        if problem.picky:
            return [spare for spare in problem.spares if self._available(at, spare) and self._applies(at, spare)]
        useful = []
        for state in sorted(wanted[0]):
            write = problem.spare_writes.get(state)
            if write is not None and state in wanted[1]:
                useful.append(write)
            useful += [spare for spare in problem.spare_cas.get(state, ()) if spare.a == at.state]
        for spare in problem.bases:
            if spare.b not in wanted[1] and self._looked_at(at, spare.b, due):
                useful.append(spare)
        for spare in problem.spare_appends:
            if self._alive(problem.states.appended(at.state, spare.token), at.place):
                useful.append(spare)
        return [spare for spare in useful if self._available(at, spare)]

    def _applies(self, at: Configuration, spare: Spare) -> bool:
        """Whether the spare changes the state. Used for keys with `picky` operations."""
        if spare.kind == CAS:
            return spare.a == at.state
        if spare.kind == APPEND:
            after = self.problem.states.appended(at.state, spare.token)
            return after not in (NEVER, at.state)
        return spare.b != at.state


def placed(problem: Problem, path: Path) -> list[int]:
    """The tasks of a path, first to last."""
    backwards: list[int] = []
    slipped: list[int] = []
    while path is not None:
        path, step = path
        if isinstance(step, tuple):
            slipped += reversed(step)
            continue
        backwards.append(step)
        if step >= 0 and problem.kind[step] == WRITE:
            backwards += slipped
            slipped = []
    explicit = set(backwards)
    return [max(task, ~task) for task in reversed(backwards) if task >= 0 or ~task not in explicit]
