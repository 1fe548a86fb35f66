"""Finds observations of values that certainly did not exist any more. Most violations of real systems are of this kind.

Suppose `r` found the value v, and `w` left or found another value and had returned before `r` was called. Then some
operation wrote v between the two: it had not returned when `w` was called, and was called before `r` returned. Of all
such `w`, the one called last gives the strongest condition. This needs no search and no unique values. It can only
prove violations: a history that passes may still have no linearization.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate

from raft_chaos.invariants.linearizability import format
from raft_chaos.invariants.linearizability.blocks import Violation, return_of
from raft_chaos.invariants.linearizability.operations import Operation
from raft_chaos.invariants.linearizability.problem import CAS, READ, WRITE, Problem
from raft_chaos.invariants.linearizability.states import FIRST, NEVER

BEFORE_ALL = float("-inf")


class Writers:
    """The operations that may have written one value, by their calls, and the latest return in each prefix of them."""

    def __init__(self, problem: Problem, tasks: list[int]) -> None:
        tasks.sort(key=lambda task: problem.times[task][0])
        self._calls = [problem.times[task][0] for task in tasks]
        self._latest = list(accumulate((problem.times[task][1] for task in tasks), max))

    def between(self, after: float, until: float) -> bool:
        """Whether one was called by `until` and had not returned before `after`."""
        count = bisect_right(self._calls, until)
        return count > 0 and self._latest[count - 1] >= after


class Others:
    """Finds, of the operations that returned before some time and left or found another value, the one called last."""

    def __init__(self, problem: Problem, certain: list[tuple[int, int]]) -> None:
        """`certain` holds tasks with the value they left or found.

        For each return, this keeps the task called last, and the last one with another value than that: one of the two
        answers `last` for any value.
        """
        self._returns: list[float] = []
        self._best: list[tuple[int, int, int, int]] = []
        one, value, other, another = -1, NEVER, -1, NEVER
        called = [time[0] for time in problem.times]
        for task, left in sorted(certain, key=lambda pair: problem.times[pair[0]][1]):
            if one < 0 or called[task] > called[one]:
                if left != value:
                    other, another = one, value
                one, value = task, left
            elif left != value and (other < 0 or called[task] > called[other]):
                other, another = task, left
            self._returns.append(problem.times[task][1])
            self._best.append((one, value, other, another))

    def last(self, before: float, value: int) -> int:
        """Of the tasks that returned before `before` and left or found another value, the one called last; or -1."""
        count = bisect_left(self._returns, before)
        if not count:
            return -1
        one, left, other, _ = self._best[count - 1]
        return one if left != value else other


def stale(problem: Problem) -> Violation | None:
    """The violation of the first operation, by its return, that observed a value which certainly did not exist then."""
    writers: dict[int, list[int]] = {}
    certain: list[tuple[int, int]] = []
    observers: list[tuple[int, int]] = []
    for task, kind in enumerate(problem.kind):
        if problem.b[task] != NEVER:
            writers.setdefault(problem.b[task], []).append(task)
        if problem.must[task] and kind in (READ, WRITE, CAS):
            certain.append((task, problem.a[task] if kind == READ else problem.b[task]))
            if kind != WRITE and not (problem.appends and problem.states.parent[problem.a[task]] >= 0):
                observers.append((task, problem.a[task]))
    others = Others(problem, certain)
    by_value = {value: Writers(problem, tasks) for value, tasks in writers.items()}
    for task, value in sorted(observers, key=lambda pair: problem.times[pair[0]][1]):
        called, returned = problem.times[task]
        other = others.last(called, value)
        if other < 0 and value == FIRST:
            continue
        after = problem.times[other][0] if other >= 0 else BEFORE_ALL
        source = by_value.get(value)
        if source is None or not source.between(after, returned):
            return _violation(problem, task, other, writers.get(value, []))
    return None


def _violation(problem: Problem, task: int, other: int, writers: Sequence[int]) -> Violation:
    """The violation. All `writers` of what `task` saw returned before `other` was called, or were called too late."""
    found = problem.operations[task]
    sources = [problem.operations[writer] for writer in sorted(writers, key=lambda writer: problem.times[writer])]
    if other < 0:
        never = format.never_written(found, later=bool(sources))
        return Violation((found,), format.contradiction(f"{format.sentence(found)}, but {never}"))
    before = problem.operations[other]
    argument = format.Argument()
    argument.saw((before, found))
    argument.returned_before(before, found)
    early = [o for o in sources if return_of(o) < before.called]
    late = [o for o in sources if return_of(o) >= before.called]
    return Violation((before, found), argument.conclude(f"but {_when_written(found, before, early, late)}"))


def _when_written(found: Operation, before: Operation, early: Sequence[Operation], late: Sequence[Operation]) -> str:
    """A clause saying that all writes of the found value came too early or too late."""
    seen = format.seen(found)
    if not early and not late:
        return f"{seen} was only the initial value"
    too_early = f"had returned before {format.name(before)} was called"
    too_late = f"was called after {format.name(found)} had returned"
    if not late:
        return f"{_who(early[-1], len(early), 'last', seen)} {too_early}"
    if not early:
        return f"{_who(late[0], len(late), 'first', seen)} {too_late}"
    next_one = f"{format.name(late[0])}, the next to do so, {too_late}"
    return f"{format.name(early[-1])}, which set it to {seen}, {too_early}, and {next_one}"


def _who(one: Operation, count: int, which: str, seen: str) -> str:
    if count == 1:
        return f"only {format.name(one)} set it to {seen}, and it"
    return f"{format.name(one)}, the {which} of {count} to set it to {seen},"
