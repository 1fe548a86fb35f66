"""From one configuration to the next: what may happen just in time for a return (after Lowe, 2017).

A configuration stands at the return of an operation that has not been placed yet, with all events before it taken in.
Nothing is placed before it must be: a move places one open operation, the return is passed when its own is placed.
What keeps the moves few, and why nothing is missed:

*   An open operation that changes nothing is placed as soon as the state allows it: moving it forward in any order
    that has it later harms nobody.
*   A write whose value the next placed operation overwrites unseen may stand right before that one, wherever it is.
    So once a write is placed, every other open write is *free*: it need not be placed for its own sake any more, since
    it can be slipped in, unseen, before the one placed. What is left of it is a chance, for whoever wants its value.
    So is an open write or append that would leave the state as it is (a lump stays the same whatever is appended): it
    could stand there.
    Operations of unknown outcome are such chances from the start.
*   A chance, or a write before its return, is taken only if its value is wanted now, by an open operation. If the next
    operation in some order does not look at the value, the write is unseen and can be slipped in elsewhere; and if
    that next operation is not open yet, the write can wait. At its own return a free write is let go or taken.
*   Of open operations that do the same, the one that returns first is taken first: swapping two such is harmless.
*   States that nobody can tell apart any more are one (`states`), so is what was used of values past use.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import msgspec

from invariants.linearizability.problem import APPEND, CAS, NOT, READ, STRING, WRITE, Problem, Spare
from invariants.linearizability.states import ELSE_LIST, ELSE_VALUE, NEVER

Path: TypeAlias = "tuple[Path, int] | None"
"""What was placed, last first. `~task` became free: if it is placed nowhere else, it stands here, unseen."""


class Configuration(msgspec.Struct, frozen=True, gc=True):
    """`place` is the event; `bound` are the open tasks that must be placed by their return, `free` those that may."""

    place: int
    state: int
    bound: tuple[int, ...]
    free: tuple[int, ...]
    used: int
    path: Any


class Moves:
    """The configurations that follow from one, each at the next return that asks for something."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.steps = 0
        self.furthest = -1
        """The last return that any configuration reached."""

    def start(self, state: int) -> Configuration:
        return self.settle(0, state, (), (), 0, None)

    def finished(self, configuration: Configuration) -> bool:
        return configuration.place == len(self.problem.events)

    def settle(
        self, place: int, state: int, bound: tuple[int, ...], free: tuple[int, ...], used: int, path: Path
    ) -> Configuration:
        """Places what changes nothing, then takes in events up to a return of what is not placed."""
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
        return Configuration(place, state, bound, free, used, path)

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
        """Whether what a free task leads to can still be seen after its return."""
        problem = self.problem
        kind = problem.kind[task]
        return problem.picky or kind == APPEND or problem.last_use[problem.b[task]] > place

    # ---- the moves ----

    def expand(self, at: Configuration) -> list[Configuration]:
        """What may come next; the most promising last."""
        problem = self.problem
        due = problem.events[at.place] >> 1
        found = []
        if due in at.free:
            rest = tuple(task for task in at.free if task != due)
            found.append(self.settle(at.place + 1, at.state, at.bound, rest, at.used, at.path))
        wanted = self._wanted(at)
        for spare in self._useful_spares(at, wanted):
            found.append(self._use(at, spare))
        for task in self._candidates(at.bound) + self._candidates(at.free):
            if task != due:
                found += self._place(at, task, task in at.free, self._is_wanted(at, task, wanted))
        found += self._place(at, due, due in at.free, True)
        return found

    def _candidates(self, tasks: tuple[int, ...]) -> list[int]:
        """Those that change something, of equal ones the first to return."""
        problem = self.problem
        first: dict[Any, int] = {}
        for task in tasks:
            kind = problem.kind[task]
            if kind >= WRITE:
                effect = (kind, problem.a[task], problem.b[task], problem.token[task])
                other = first.get(effect)
                if other is None or problem.ends[task] < problem.ends[other]:
                    first[effect] = task
        return list(first.values())

    def _place(self, at: Configuration, task: int, free: bool, wanted: bool) -> Iterator[Configuration]:
        """The configuration with this task placed now, if the state allows it and it can make a difference."""
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
        if kind == WRITE:
            bound, others, path = self._cover(bound, others, path)
        place = at.place + (problem.events[at.place] == task * 2 + 1)
        yield self.settle(place, after, bound, others, at.used, (path, task))

    def _use(self, at: Configuration, spare: Spare) -> Configuration:
        problem = self.problem
        count = (at.used >> spare.base & spare.mask).bit_length()
        after = spare.b if spare.kind != APPEND else problem.states.appended(at.state, spare.token)
        bound, free, path = at.bound, at.free, at.path
        if spare.kind == WRITE:
            bound, free, path = self._cover(bound, free, path)
        used = at.used | 1 << spare.base + count
        return self.settle(at.place, after, bound, free, used, (path, spare.tasks[count]))

    def _cover(
        self, bound: tuple[int, ...], free: tuple[int, ...], path: Path
    ) -> tuple[tuple[int, ...], tuple[int, ...], Path]:
        """A write was placed: other open writes need no place of their own any more."""
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

    def _wanted(self, at: Configuration) -> set[int]:
        """The states that some open operation would look at, directly or by way of an unknown cas or append."""
        problem = self.problem
        wanted = {problem.a[task] for task in (*at.bound, *at.free) if problem.kind[task] in (READ, CAS)}
        if problem.picky:
            wanted.update(spare.a for spare in problem.spares if spare.kind == CAS and self._available(at, spare))
        todo = sorted(wanted)
        while todo:
            state = todo.pop()
            sources = [spare.a for spare in problem.spare_cas.get(state, ()) if self._available(at, spare)]
            if self.problem.spare_appends and state >= 0:
                parent = problem.states.parent[state]
                if parent >= 0:
                    sources.append(parent)  # more than are appended at a time in `kv-append`: too many are no harm
            for source in sources:
                if source not in wanted:
                    wanted.add(source)
                    todo.append(source)
        return wanted

    def _is_wanted(self, at: Configuration, task: int, wanted: set[int]) -> bool:
        problem = self.problem
        if problem.kind[task] != WRITE or problem.thorough:
            return True
        return problem.b[task] in wanted or self._looked_at(at, problem.b[task])

    def _looked_at(self, at: Configuration, state: int) -> bool:
        """Whether an open operation that is content with several states would look at this one."""
        problem = self.problem
        for task in (*at.bound, *at.free):
            kind = problem.kind[task]
            if kind == NOT and problem.a[task] != state and at.state == problem.a[task]:
                return True
            if kind == STRING and problem.states.is_string(state):
                return True
            if kind == APPEND:
                after = problem.states.appended(state, problem.token[task])
                refused_now = problem.states.appended(at.state, problem.token[task]) == NEVER
                if self._alive(after, at.place) or (refused_now and after != NEVER):
                    return True
        return any(
            self._available(at, spare) and self._alive(problem.states.appended(state, spare.token), at.place)
            for spare in problem.spare_appends
        )

    def _useful_spares(self, at: Configuration, wanted: set[int]) -> list[Spare]:
        problem = self.problem
        if not problem.spares:
            return []
        if problem.picky:
            return [spare for spare in problem.spares if self._available(at, spare) and self._applies(at, spare)]
        useful = []
        for state in sorted(wanted):
            write = problem.spare_writes.get(state)
            if write is not None:
                useful.append(write)
            useful += [spare for spare in problem.spare_cas.get(state, ()) if spare.a == at.state]
        useful += [spare for spare in problem.bases if spare.b not in wanted and self._looked_at(at, spare.b)]
        for spare in problem.spare_appends:
            if self._alive(problem.states.appended(at.state, spare.token), at.place):
                useful.append(spare)
        return [spare for spare in useful if self._available(at, spare)]

    def _applies(self, at: Configuration, spare: Spare) -> bool:
        """For keys with picky operations: whether it changes the state at all."""
        if spare.kind == CAS:
            return spare.a == at.state
        if spare.kind == APPEND:
            after = self.problem.states.appended(at.state, spare.token)
            return after not in (NEVER, at.state)
        return spare.b != at.state


def placed(path: Path) -> list[int]:
    """The tasks of a path from first to last."""
    backwards: list[int] = []
    while path is not None:
        path, task = path
        backwards.append(task)
    explicit = set(backwards)
    return [max(task, ~task) for task in reversed(backwards) if task >= 0 or ~task not in explicit]
