"""A brute-force checker of small histories: it tries every order of the operations and every outcome of unknown ones.

Its models are written separately and use immutable values, so that it shares no mistake with the checker.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from raft_chaos.invariants.linearizability.operations import NOT_REPORTED, Model, Operation

FIRST: dict[Model, Any] = {"register": None, "kv": None, "kv-append": "", "list-append": ()}
ILLEGAL = object()
BEGINNING, NEVER = -(10**9), 10**9


class Item(NamedTuple):
    """An operation that must, or only may, be in the order, between these two times."""

    operation: Operation
    must: bool
    called: int
    returned: int


def linearizable(operations: Sequence[Operation], model: Model) -> bool:
    """Whether some order of all certain operations and some unknown ones respects real time and the model."""
    keys = {operation.key for operation in operations}
    return all(some_order([as_it_is(o) for o in operations if o.key == key], model) for key in keys)


def sound(operations: Sequence[Operation], core: Sequence[Operation], model: Model) -> bool:
    """Whether these have no order whatever else happened: others may happen or not, within their own times."""
    return not some_order(_relaxed(operations, core), model)


def needless(operations: Sequence[Operation], core: Sequence[Operation], model: Model) -> list[Operation]:
    """The operations that the core does not need: it is sound without them (such a write may happen at any time)."""
    found = []
    for operation in core:
        rest = [other for other in core if other is not operation]
        others = [other for other in operations if other.number != operation.number]
        items = _relaxed(others, rest)
        if _writes(operation):
            items.append(Item(operation, False, BEGINNING, NEVER))
        if not some_order(items, model):
            found.append(operation)
    return found


def as_it_is(operation: Operation) -> Item:
    must = operation.status != "unknown"
    returned = operation.returned if must and operation.returned is not None else NEVER
    return Item(operation, must, operation.called, returned)


def _relaxed(operations: Sequence[Operation], core: Sequence[Operation]) -> list[Item]:
    numbers = {operation.number for operation in core}
    items = [as_it_is(operation) for operation in operations if operation.number in numbers or _writes(operation)]
    return [item if item.operation.number in numbers else item._replace(must=False) for item in items]


def _writes(operation: Operation) -> bool:
    return operation.f != "read" and operation.status != "refused"


def some_order(items: Sequence[Item], model: Model) -> bool:
    """Goes through all orders, but no set of placed items with one state and one latest call twice."""
    todo = [(frozenset(range(len(items))), FIRST[model], BEGINNING)]
    seen = set(todo)
    while todo:
        left, state, latest = todo.pop()
        if not any(items[i].must for i in left):
            return True
        for i in left:
            operation, must, called, returned = items[i]
            after = step(model, state, operation, must) if returned >= latest else ILLEGAL
            if after is not ILLEGAL:
                following = (left - {i}, after, max(latest, called))
                if following not in seen:
                    seen.add(following)
                    todo.append(following)
    return False


def step(model: Model, state: Any, operation: Operation, must: bool) -> Any:
    """The state after the operation, or ILLEGAL. One that only may happen tells nothing."""
    after, result, happened = apply(model, state, operation.f, operation.value, operation.expected)
    if not must:
        return after
    if operation.status == "ok":
        right = happened and (operation.f != "read" or result == _value(model, operation.result))
    else:
        reported = operation.result is NOT_REPORTED or result == _value(model, operation.result)
        right = not happened and reported
    return after if right else ILLEGAL


def apply(model: Model, state: Any, f: str, value: Any, expected: Any) -> tuple[Any, Any, bool]:
    """The state after, what is reported, and whether it took effect."""
    match f:
        case "read":
            return state, state, True
        case "write":
            return value, None, True
        case "delete":
            return None, None, True
        case "cas" if state == expected:
            return value, None, True
        case "cas":
            return state, state, False
    if model == "kv-append":
        return state + value, None, True
    if isinstance(state, str):
        return state, state, False
    return (state or ()) + (value,), None, True


def _value(model: Model, value: Any) -> Any:
    if model == "list-append":
        return tuple(value or ())
    if model == "kv-append":
        return value or ""
    return tuple(value) if isinstance(value, list) else value
