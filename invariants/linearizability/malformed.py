"""Validates operations before they are judged. An error names the operation, what is wrong, and what was expected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from raft_chaos.invariants.linearizability.models import FUNCTIONS, REFUSABLE
from raft_chaos.invariants.linearizability.operations import Model, Operation, Status

STATUSES = get_args(Status)


def refuse_unknown(model: object) -> None:
    """Raises ValueError for an unknown model."""
    if not isinstance(model, str) or model not in FUNCTIONS:
        raise ValueError(f"the model {model!r}: expected {_either(list(FUNCTIONS))}")


def refuse_malformed(operations: Sequence[Operation], model: Model) -> None:
    """Raises ValueError for an operation that the model does not have, for one that returned before its call, and for a
    number that is used twice."""
    refuse_unknown(model)
    if len({operation.number for operation in operations}) < len(operations):
        raise ValueError("two operations have the same number; expected a different number for each")
    functions, refusable = FUNCTIONS[model], REFUSABLE.get(model, ())
    for operation in operations:
        f, returned, status = operation.f, operation.returned, operation.status
        if f not in functions:
            raise ValueError(f"operation {operation.number}: {model} has {', '.join(functions)}, not {f!r}")
        if returned is not None and returned < operation.called:
            raise ValueError(
                f"operation {operation.number} returned at {returned}, before its call at {operation.called}"
            )
        if f != "read" and operation.value is None and model == "kv" and f in ("write", "cas"):
            raise ValueError(f"operation {operation.number}: a {f} of None; use a delete to make a key absent")
        if status != "ok":
            if status == "refused" and f not in refusable:
                raise ValueError(f"operation {operation.number}: in {model} a {f} cannot be refused")
            if status not in STATUSES:
                raise ValueError(
                    f"operation {operation.number} has the status {status!r}; expected {_either(STATUSES)}"
                )


def refuse_mistyped(operations: Sequence[Operation], model: Model) -> None:
    """Raises ValueError for a time or a value of a wrong type. Called only after something has failed: checking each of
    a million operations first would make judging them a tenth slower."""
    for operation in operations:
        _expect(operation, "called", type(operation.called) is int, "an integer")
        _expect(
            operation, "returned", operation.returned is None or type(operation.returned) is int, "an integer, or None"
        )
        if model == "kv-append":
            written = operation.f == "read" or isinstance(operation.value, str)
            _expect(operation, "value", written, "a string")
            _expect(operation, "result", isinstance(operation.result, str | None), "a string")
        if model == "list-append" and operation.f == "read":
            _expect(operation, "result", isinstance(operation.result, list | tuple | None), "a list")


def _expect(operation: Operation, name: str, holds: bool, what: str) -> None:
    if not holds:
        value = getattr(operation, name)
        raise ValueError(f"operation {operation.number}: `{name}` is {value!r}; expected {what}")


def _either(names: Sequence[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} or {last}"
