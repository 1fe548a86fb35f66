"""One key's history as integers, the input of both searches: events in one order, and what each operation does.

At equal times, calls come before returns, so operations that touch overlap. Operations that show nothing and change
nothing observable (reads of unknown outcome, writes of unknown outcome whose value nobody observes) are left out.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import msgspec

from raft_chaos.invariants.linearizability.operations import NOT_REPORTED, Model, Operation
from raft_chaos.invariants.linearizability.states import ELSE_LIST, ELSE_VALUE, FIRST, NEVER, States
from raft_chaos.invariants.linearizability.values import frozen

READ, NOT, STRING, WRITE, CAS, APPEND = range(6)
"""What an operation requires of the state, or does to it. READ: the state is `a`. NOT: it is not `a`. STRING: it is a
string. WRITE: it becomes `b`. CAS: it is `a` and becomes `b`. APPEND: `token` is appended. The first three change
nothing."""

NEVER_RETURNS = 1 << 60


class Part(msgspec.Struct, frozen=True, gc=False):
    """An operation in a problem: whether it `must` be in the order, and between which times."""

    operation: Operation
    must: bool
    called: float
    returned: float


def parts(operations: Iterable[Operation]) -> list[Part]:
    """The operations with the times and outcomes of their history."""
    made = []
    for operation in operations:
        must = operation.status != "unknown"
        returned = operation.returned if must and operation.returned is not None else float("inf")
        made.append(Part(operation, must, operation.called, returned))
    return made


class Spare:
    """Operations with the same effect that may take effect at any time after their call, or never.

    Only the number of used ones matters. One integer holds it for all spares: a spare that was used k times has k ones
    in its bits, which begin at `base`. So "fewer used" is a subset of bits.
    """

    def __init__(self, kind: int, a: int, b: int, token: Any) -> None:
        self.kind, self.a, self.b, self.token = kind, a, b, token
        self.tasks: list[int] = []  # by their calls
        self.calls: list[int] = []
        self.base = 0
        self.mask = 0


class Problem:
    """The arrays are indexed by task; a task is an operation that matters. An event is `task * 2` for a call, and
    `task * 2 + 1` for a return. `begins` and `ends` hold the places of a task's events in `events`."""

    def __init__(self, given: Sequence[Part], model: Model) -> None:
        self.model = model
        self.states = States(model)
        self.coverable_appends = model == "kv-append"
        self.operations: list[Operation] = []
        self.must: list[bool] = []
        self.kind: list[int] = []
        self.a: list[int] = []
        self.b: list[int] = []
        self.token: list[Any] = []
        self.ends: list[int] = []
        self._name_observed(given)
        self.times = self._compile(given)
        effects: dict[Hashable, int] = {}
        whole = zip(self.kind, self.a, self.b, self.token, strict=True)
        self.effect = [effects.setdefault(what, len(effects)) for what in whole]
        """Equal for tasks with the same condition and effect."""
        self._order_events(self.times)
        self._find_last_uses()
        self._gather_spares()

    def _name_observed(self, given: Sequence[Part]) -> None:
        for part in given:
            operation = part.operation
            if operation.f == "cas":
                self.states.observed(operation.expected)
            if part.must and operation.f in ("read", "cas", "append"):
                reported = operation.status == "refused" and operation.result is not NOT_REPORTED
                if reported or operation.f == "read":
                    self.states.observed(operation.result)

    def _compile(self, given: Sequence[Part]) -> list[tuple[float, float]]:
        times = []
        for part in given:
            operation = part.operation
            if not part.must and (operation.status == "refused" or operation.f == "read"):
                continue
            kind, a, b, token = self._meaning(operation)
            self.operations.append(operation)
            self.must.append(part.must)
            self.kind.append(kind)
            self.a.append(a)
            self.b.append(b)
            self.token.append(token)
            times.append((part.called, part.returned))
        return times

    def _meaning(self, operation: Operation) -> tuple[int, int, int, Any]:
        states = self.states
        f = operation.f
        if operation.status == "refused":
            if operation.result is NOT_REPORTED:
                return (NOT, states.observed(operation.expected), NEVER, None) if f == "cas" else (STRING, 0, 0, None)
            state = states.observed(operation.result)
            impossible = state == states.observed(operation.expected) if f == "cas" else not states.is_string(state)
            return READ, NEVER if impossible else state, NEVER, None
        if f == "read":
            return READ, states.observed(operation.result), NEVER, None
        if f == "write":
            return WRITE, NEVER, states.written(operation.value), None
        if f == "delete":
            return WRITE, NEVER, FIRST, None
        if f == "cas":
            return CAS, states.observed(operation.expected), states.written(operation.value), None
        return APPEND, NEVER, NEVER, operation.value if self.model == "kv-append" else frozen(operation.value)

    def _order_events(self, times: list[tuple[float, float]]) -> None:
        order: list[tuple[float, int, int]] = []
        for task, (called, returned) in enumerate(times):
            order.append((called, 0, task))
            if self.must[task] or returned != float("inf"):
                order.append((returned, 1, task))
        order.sort()
        self.events = [task * 2 + back for _, back, task in order]
        self.ends = [NEVER_RETURNS] * len(times)
        self.begins = [0] * len(times)
        for place, event in enumerate(self.events):
            (self.ends if event & 1 else self.begins)[event >> 1] = place

    def _find_last_uses(self) -> None:
        uses: dict[int, int] = {}
        conditional = []
        pickiest = max((self.ends[task] for task, kind in enumerate(self.kind) if kind in (NOT, STRING)), default=-1)
        self.picky = pickiest >= 0
        """Whether an operation depends on more than a state's name. Then any change of state can matter."""
        for task, kind in enumerate(self.kind):
            a, end = self.a[task], self.ends[task]
            if kind == CAS and not self.must[task]:
                conditional.append((a, self.b[task], end))
                uses[a] = max(uses.get(a, -1), pickiest)
            elif kind == APPEND and self.must[task] and self.model == "kv":
                uses[FIRST] = max(uses.get(FIRST, -1), end)  # after a delete, no string refuses the append
            elif kind in (READ, NOT, CAS) and a >= 0:
                uses[a] = max(uses.get(a, -1), end)
        self.appends = APPEND in self.kind
        self.thorough = self.picky and self.appends
        self.last_use = self.states.last_uses(uses, conditional)

    def _gather_spares(self) -> None:
        """Turns tasks that never return and need not take effect into spares, and drops tasks without use."""
        found: dict[Hashable, Spare] = {}
        events = []
        kept: list[int] = []
        for place, event in enumerate(self.events):
            task = event >> 1
            if self.must[task]:
                events.append(event)
                kept.append(place)
            elif not self._wanted_by_anyone(task):
                continue
            elif self.ends[task] != NEVER_RETURNS:
                events.append(event)
                kept.append(place)
            else:
                kind, a, b, token = self.kind[task], self.a[task], self.b[task], self.token[task]
                spare = found.setdefault((kind, a, b, token), Spare(kind, a, b, token))
                spare.tasks.append(task)
                spare.calls.append(place)
        self._renumber(events, kept)
        self.spares = list(found.values())
        base = 0
        for spare in self.spares:
            spare.calls = [bisect_left(kept, call) for call in spare.calls]
            spare.base, spare.mask = base, (1 << len(spare.tasks)) - 1
            base += len(spare.tasks)
        self.spare_writes = {spare.b: spare for spare in self.spares if spare.kind == WRITE}
        self.spare_cas: dict[int, list[Spare]] = {}
        for spare in self.spares:
            if spare.kind == CAS:
                self.spare_cas.setdefault(spare.b, []).append(spare)
        self.spare_appends = [spare for spare in self.spares if spare.kind == APPEND]
        # Written values that an append may extend to an observed value.
        tree = {FIRST, *self.states.parent}
        self.bases = [spare for spare in self.spares if spare.kind == WRITE and spare.b in tree]

    def _renumber(self, events: list[int], kept: list[int]) -> None:
        """Converts places among all events to places among the remaining events."""
        self.events = events
        for place, event in enumerate(events):
            (self.ends if event & 1 else self.begins)[event >> 1] = place
        last = len(events)
        # A use ends at a return that is kept, or never.
        self.last_use = [
            use if use < 0 else last if use >= NEVER_RETURNS else bisect_left(kept, use) for use in self.last_use
        ]
        self.last_use[ELSE_VALUE] = self.last_use[ELSE_LIST] = last + 1

    def _wanted_by_anyone(self, task: int) -> bool:
        if self.picky:
            return True
        kind, b = self.kind[task], self.b[task]
        if kind == APPEND:
            return bool(self.last_use) and len(self.states) > ELSE_LIST + 1
        return b not in (ELSE_VALUE, ELSE_LIST) and self.last_use[b] >= 0
