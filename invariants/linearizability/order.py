"""Checks in O(n) whether an order of a history's operations is a linearization. This proves every "valid".

An order is a linearization if
  - it has every operation that certainly took place exactly once, and each of unknown outcome at most once;
  - no operation comes after one that was called only after it had returned;
  - the model allows every result in this order.
The second condition needs one pass that remembers the latest call so far.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

from raft_chaos.invariants.linearizability import format
from raft_chaos.invariants.linearizability.models import PLAYS, Play
from raft_chaos.invariants.linearizability.operations import Disagreement, Model, Operation


def check_order(operations: Iterable[Operation], order: Iterable[int], model: Model) -> Disagreement | None:
    """None if `order` (numbers of operations, of all keys) is a linearization, which proves the history valid.

    A disagreement alone is not a violation: another order may be a linearization.
    """
    by_number = {operation.number: operation for operation in operations}
    placed: list[Operation] = []
    for number in order:
        if number not in by_number:
            return Disagreement(f"the order names operation {number}, which is not in the history")
        placed.append(by_number[number])
    return first_fault(list(by_number.values()), placed, model)


def first_fault(operations: Sequence[Operation], order: Sequence[Operation], model: Model) -> Disagreement | None:
    """`check_order` for operations instead of numbers."""
    numbers = {operation.number for operation in order}
    if len(numbers) != len(order):
        return Disagreement("the order names an operation twice")
    for operation in operations:
        if operation.status != "unknown" and operation.number not in numbers:
            return Disagreement(f"{format.name(operation)} happened and is not in the order", operation)
    return out_of_time(order) or _out_of_model(order, model)


def out_of_time(order: Sequence[Operation]) -> Disagreement | None:
    """The first operation that comes after one which was called only after it had returned, or None."""
    if not order:
        return None
    latest, latest_call = order[0], order[0].called
    for operation in order:
        returned = operation.returned
        if returned is not None and returned < latest_call and operation.status != "unknown":
            reason = (
                f"{format.noun(latest)}, on {format.shown(latest.key)}, was called after {format.noun(operation)}, on "
                f"{format.shown(operation.key)}, had returned, but comes before it in the order"
            )
            return Disagreement(reason, operation, latest)
        if operation.called > latest_call:
            latest, latest_call = operation, operation.called
    return None


def _out_of_model(order: Sequence[Operation], model: Model) -> Disagreement | None:
    plays: dict[Hashable, Play] = {}
    make = PLAYS[model]
    key: Any = plays  # no operation's
    for operation in order:
        if operation.key is not key:  # often all have the same one
            key = operation.key
            play = plays.get(key)
            if play is None:
                play = plays[key] = make()
            take = play.take
        if not take(operation):
            why = "was not the value" if operation.f == "read" else "the order does not allow"
            what = f"{format.sentence(operation)} on {format.shown(operation.key)}"
            return Disagreement(f"{what}, which {why} at that point", operation)
    return None
