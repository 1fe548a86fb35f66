"""One key's history as integers, the input of the search: what each operation requires and does, and its turns.

A *turn* ends with a return of an operation: turn 1 with the first, and so on. Its calls come before that. At equal
times, calls come before returns, so operations that touch overlap. Operations that show nothing and change nothing
observable (reads of unknown outcome, writes of unknown outcome whose value nobody observes) are left out.
"""

from __future__ import annotations

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

NO_TURN = 1 << 60
"""The turn at which an operation without a return ends."""

INFINITY = float("inf")


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
        returned = operation.returned
        if operation.status == "unknown":
            made.append(Part(operation, False, operation.called, INFINITY))
        else:
            made.append(Part(operation, True, operation.called, INFINITY if returned is None else returned))
    return made


class Spare:
    """Operations with the same effect that may take effect at any time after their call, or never.

    Only the number of used ones matters. One integer holds it for all spares: a spare that was used k times has k ones
    in its bits, which begin at `base`. So "fewer used" is a subset of bits.
    """

    __slots__ = ("a", "b", "base", "calls", "kind", "mask", "tasks", "token")

    def __init__(self, kind: int, a: int, b: int, token: Any) -> None:
        self.kind, self.a, self.b, self.token = kind, a, b, token
        self.tasks: list[int] = []  # by their calls
        self.calls: list[int] = []  # their turns
        self.base = 0
        self.mask = 0


class Problem:
    """The lists are indexed by task; a task is an operation that matters. `begins` and `ends` hold the turns in which
    it is called and returns. `events` has the calls (`task * 2`) and returns (`task * 2 + 1`) in one order.
    `relevant` says for each task whether it takes part in the search as itself, and not as a spare or not at all."""

    def __init__(self, given: Sequence[Part], model: Model) -> None:
        self.model = model
        self.states = States(model)
        self.operations: list[Operation] = []
        self.must: list[bool] = []
        self.kind: list[int] = []
        self.a: list[int] = []
        self.b: list[int] = []
        self.token: list[Any] = []
        self.times: list[tuple[float, float]] = []
        self._compile(given)
        self.appends = APPEND in self.kind
        self.covers_appends = model == "kv-append"
        """Whether an append can go unseen before a write. Elsewhere it needs a state that allows it."""
        self._order_events()
        self._find_last_uses()
        self._gather_spares()

    def _compile(self, given: Sequence[Part]) -> None:
        """All observed values get their numbers first, since a written value has one only if it is observed."""
        observed = self.states.observed
        append, writes = self._add, []
        for part in given:
            operation, must = part.operation, part.must
            f, status = operation.f, operation.status
            if status == "refused":
                if must:
                    append(part, *self._refused(operation))
            elif f == "read":
                if must:
                    append(part, READ, observed(operation.result), NEVER, None)
            elif f == "cas":
                writes.append(len(self.kind))
                append(part, CAS, observed(operation.expected), NEVER, None)
            elif f == "append":
                token = operation.value
                append(part, APPEND, NEVER, NEVER, token if self.model == "kv-append" else frozen(token))
            else:
                writes.append(len(self.kind))
                append(part, WRITE, NEVER, NEVER, None)
        written, operations, a, b = self.states.written, self.operations, self.a, self.b
        for task in writes:
            operation = operations[task]
            b[task] = FIRST if operation.f == "delete" else written(operation.value)
            if a[task] == b[task]:
                self.kind[task] = READ  # a cas that leaves what it found

    def _add(self, part: Part, kind: int, a: int, b: int, token: Any) -> None:
        self.operations.append(part.operation)
        self.must.append(part.must)
        self.times.append((part.called, part.returned))
        self.kind.append(kind)
        self.a.append(a)
        self.b.append(b)
        self.token.append(token)

    def _refused(self, operation: Operation) -> tuple[int, int, int, Any]:
        states, cas = self.states, operation.f == "cas"
        expected = states.observed(operation.expected) if cas else NEVER
        if operation.result is NOT_REPORTED:
            return (NOT, expected, NEVER, None) if cas else (STRING, NEVER, NEVER, None)
        state = states.observed(operation.result)
        impossible = state == expected if cas else not states.is_string(state)
        return READ, NEVER if impossible else state, NEVER, None

    def _order_events(self) -> None:
        keys: list[float] = []
        events = []
        event = 0
        for (called, returned), must in zip(self.times, self.must, strict=True):
            keys += (called * 2, returned * 2 + 1)
            events.append(event)
            if must or returned != INFINITY:
                events.append(event + 1)
            event += 2
        events.sort(key=keys.__getitem__)
        self.events = events
        self.begins = begins = [0] * len(self.kind)
        self.ends = ends = [NO_TURN] * len(self.kind)
        turn = 1
        for event in events:
            if event & 1:
                ends[event >> 1] = turn
                turn += 1
            else:
                begins[event >> 1] = turn
        self.last_turn = turn

    def _find_last_uses(self) -> None:
        uses: dict[int, int] = {}
        conditional = []
        kinds, ends = self.kind, self.ends
        self.picky = STRING in kinds or (NOT in kinds and self.appends)
        """Whether operations depend on so much of the state that any change of it can matter."""
        self.refused: dict[int, int] = {}
        """For each state that some operation refuses (NOT): the turn in which the last of these returns."""
        pickiest = -1
        if self.picky:
            pickiest = max(ends[task] for task, kind in enumerate(kinds) if kind in (NOT, STRING))
        appends_observe = self.model == "kv"
        for task, kind in enumerate(kinds):
            a, end = self.a[task], ends[task]
            if kind == WRITE:
                continue
            if kind == CAS and not self.must[task]:
                conditional.append((a, self.b[task], end))
                end = pickiest
            elif kind == NOT:
                self.refused[a] = max(end, self.refused.get(a, -1))
            elif kind == APPEND:
                if not (appends_observe and self.must[task]):
                    continue
                a = FIRST  # after a delete, no string refuses the append
            if a >= 0 and uses.get(a, -1) < end:
                uses[a] = end
            elif a >= 0:
                uses.setdefault(a, -1)
        self.thorough = self.picky and self.appends
        self.last_use = self.states.last_uses(uses, conditional)
        """For each state the turn in which the last operation that can tell it from others returns, -1 for none."""

    def _gather_spares(self) -> None:
        """Turns tasks that never return and need not take effect into spares, and drops tasks without use."""
        found: dict[Hashable, Spare] = {}
        self.relevant = self.must
        if not all(self.must):
            self.relevant = list(self.must)
            for event in self.events:
                task = event >> 1
                if event & 1 or self.must[task] or not self._wanted_by_anyone(task):
                    continue
                if self.ends[task] != NO_TURN:
                    self.relevant[task] = True
                    continue
                kind, a, b, token = self.kind[task], self.a[task], self.b[task], self.token[task]
                spare = found.get((kind, a, b, token))
                if spare is None:
                    spare = found[kind, a, b, token] = Spare(kind, a, b, token)
                spare.tasks.append(task)
                spare.calls.append(self.begins[task])
        self.spares = list(found.values())
        base = 0
        for spare in self.spares:
            spare.base, spare.mask = base, (1 << len(spare.tasks)) - 1
            base += len(spare.tasks)
        self.spare_writes = {spare.b: spare for spare in self.spares if spare.kind == WRITE}
        self.spare_cas: dict[int, list[Spare]] = {}
        self.spare_leaving: dict[int, list[Spare]] = {}
        for spare in self.spares:
            if spare.kind == CAS:
                self.spare_cas.setdefault(spare.b, []).append(spare)
                self.spare_leaving.setdefault(spare.a, []).append(spare)
        self.spare_appends = [spare for spare in self.spares if spare.kind == APPEND]
        # Written values that an append may extend to an observed value.
        self.bases: list[Spare] = []
        if self.appends and self.spare_writes:
            tree = {FIRST, *self.states.parent}
            self.bases = [spare for spare in self.spare_writes.values() if spare.b in tree]

    def _wanted_by_anyone(self, task: int) -> bool:
        kind, b = self.kind[task], self.b[task]
        if self.picky or kind < WRITE:
            return kind >= WRITE
        if self.refused and (kind == WRITE or self.a[task] in self.refused):
            return True
        if kind == APPEND:
            return len(self.states) > ELSE_LIST + 1
        return b not in (ELSE_VALUE, ELSE_LIST) and self.last_use[b] >= 0
