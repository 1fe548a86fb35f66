"""Reduces a violation to a core: a few operations that show it, sound and 1-minimal.

A core is *sound* if its operations have no order even when all others are relaxed: other reads are ignored, and other
writes may or may not take effect, within their own times. A core is *1-minimal* if each of its operations is needed:
when that one is relaxed too (a write may then take effect at any time, or never), there is an order. Each check is one
search over a small problem.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from raft_chaos.invariants.linearizability.blocks import return_of
from raft_chaos.invariants.linearizability.operations import NOT_REPORTED, Model, Operation
from raft_chaos.invariants.linearizability.problem import Part, Problem
from raft_chaos.invariants.linearizability.search import Search
from raft_chaos.invariants.linearizability.states import FIRST
from raft_chaos.invariants.linearizability.values import frozen

HANDFUL = 8
SPEND, SPEND_ON_MANY = 30_000, 300_000
"""Steps spent on reducing one core of at most `HANDFUL` operations, or a larger one. The result is always a core."""

FEW = 32
"""The most operations of which `ends_dead` tries to show that they have no order."""

REMEMBERED = 400
"""At most this many writes that ended before the core's first call are searched one by one. With more of them, the
search over a register starts from every state that the core can see instead."""

INFINITY = float("inf")


class Reducer:
    """Reduces a core of one key's history. Operations that were called after `cut` are ignored. Takes at most `most`
    steps of search."""

    def __init__(
        self, operations: Sequence[Operation], model: Model, cut: float = INFINITY, most: int = SPEND_ON_MANY
    ) -> None:
        self.operations = operations
        self.model = model
        self.cut = cut
        self.most = most
        self.spent = 0
        self.given_up = False
        """Whether the budget ended before it was known that an operation is needed."""
        self._writes = [o for o in operations if o.f != "read" and o.status != "refused" and o.called <= cut]

    def certain(self, operations: Sequence[Operation]) -> list[Operation]:
        """The operations of known outcome that returned by `cut`, sorted by their returns."""
        kept = [o for o in operations if o.status != "unknown" and return_of(o) <= self.cut]
        return sorted(kept, key=lambda o: (return_of(o), o.called, o.number))

    def minimal(self, core: Sequence[Operation]) -> list[Operation]:
        """The core without the operations that it does not need. One pass is enough: an operation that a core needs is
        also needed by every smaller one."""
        kept = list({operation.number: operation for operation in core}.values())
        for operation in [o for o in kept if o.f == "read" or o.status == "refused"] + [
            o for o in kept if o.f != "read" and o.status != "refused"
        ]:
            rest = [other for other in kept if other is not operation]
            if rest and self.dies(rest, operation):
                kept = rest
        return kept

    def ends_dead(self, certain: Sequence[Operation]) -> bool:
        """Whether the last few of these have no order. This proves a violation long before a search over all of them
        ends, since a core is small nearly always."""
        size = 1
        while size <= FEW and self.spent < self.most:
            if self.dies(certain[-size:]):
                return True
            size *= 2
        return False

    def last_of(self, certain: Sequence[Operation]) -> list[Operation]:
        """The shortest suffix of these that still has no order, reduced further by taking out parts of it."""
        size = 4
        while size < len(certain) and not self.dies(certain[-size:]):
            size *= 2
        kept = list(certain[-size:])
        chunk = len(kept) // 2
        while chunk >= 1:
            at = 0
            while at < len(kept):
                rest = kept[:at] + kept[at + chunk :]
                if rest and self.dies(rest):
                    kept = rest
                else:
                    at += chunk
            chunk //= 2
        return kept

    def dies(self, core: Sequence[Operation], forgotten: Operation | None = None) -> bool:
        """Whether these operations have no order with all others relaxed. False also if the budget ends first."""
        limit = min(self.most, SPEND if len(core) <= HANDFUL else SPEND_ON_MANY)
        if self.spent >= limit:
            self.given_up = True
            return False
        numbers = {operation.number for operation in core}
        given = [Part(o, o.status != "unknown", o.called, return_of(o)) for o in core]
        begin = min(part.called for part in given)
        others = [o for o in self._writes if o.number not in numbers and o is not forgotten]
        early = sum(return_of(o) < begin for o in others)
        skipped = early > REMEMBERED and self.model == "register"
        if skipped:
            others = [o for o in others if return_of(o) >= begin]
        given += [Part(o, False, o.called, return_of(o)) for o in _relevant(core, others, self.model)]
        if forgotten is not None and forgotten.f != "read" and forgotten.status != "refused":
            given.append(Part(forgotten, False, -INFINITY, INFINITY))
        problem = Problem(given, self.model)
        starts = range(len(problem.states)) if skipped else (FIRST,)
        search = Search(problem, starts)
        outcome = search.run(limit - self.spent)
        self.spent += search.steps
        self.given_up |= outcome is None
        return outcome == "dead"

    def helpful(self, core: Sequence[Operation]) -> tuple[list[Operation], int]:
        """The other writes that could help the core: those that overlap its time, by their calls, and the number of
        those that ended before."""
        numbers = {operation.number for operation in core}
        begin, end = min(o.called for o in core), max(return_of(o) for o in core)
        others = [o for o in self._writes if o.number not in numbers and o.called <= end]
        relevant = _relevant(core, others, self.model)
        between = [o for o in relevant if return_of(o) >= begin]
        return sorted(between, key=lambda o: (o.called, o.number)), len(relevant) - len(between)


def _relevant(core: Sequence[Operation], others: list[Operation], model: Model) -> list[Operation]:
    """The writes that could help the core: of values that it saw, or that a cas could change into one of these."""
    seen = [o.result for o in core if o.f == "read" or o.status == "refused"]
    if model == "list-append":
        tokens = {frozen(token) for value in seen for token in value or ()}
        return [o for o in others if frozen(o.value) in tokens]
    if model == "kv-append" or any(
        o.result is NOT_REPORTED or o.f == "append" or isinstance(o.result, list | tuple) for o in core
    ):
        return others
    wanted = {frozen(value) for value in seen} | {frozen(o.expected) for o in core if o.f == "cas"}
    into: dict[Any, list[Any]] = {}
    for operation in others:
        if operation.f == "cas":
            into.setdefault(frozen(operation.value), []).append(frozen(operation.expected))
    todo = list(wanted)
    while todo:
        for source in into.get(todo.pop(), ()):
            if source not in wanted:
                wanted.add(source)
                todo.append(source)
    return [o for o in others if o.f != "append" and (None if o.f == "delete" else frozen(o.value)) in wanted]


def describe(core: Collection[Operation]) -> tuple[Operation, ...]:
    return tuple(sorted(core, key=lambda operation: (operation.called, operation.number)))
