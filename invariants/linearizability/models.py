"""The models, executed directly: one state, one operation at a time, in a given order.

Every "valid" rests on this module, so it shares no code with the searches. `take` applies an operation and returns
whether the model allows its result. An operation of unknown outcome is always allowed: its effect is applied, and it
has no result to compare.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from raft_chaos.invariants.linearizability.operations import NOT_REPORTED, Function, Model, Operation

FUNCTIONS: Mapping[Model, tuple[Function, ...]] = {
    "register": ("read", "write", "cas"),
    "kv": ("read", "write", "cas", "append", "delete"),
    "kv-append": ("read", "write", "append"),
    "list-append": ("read", "append"),
}
REFUSABLE: Mapping[Model, tuple[Function, ...]] = {"register": ("cas",), "kv": ("cas", "append")}
"""The operations that can be refused, in the models that have any."""


class Play(Protocol):
    """One key's state. `take` applies an operation to it."""

    def take(self, operation: Operation) -> bool: ...


class Register:
    def __init__(self) -> None:
        self.state: Any = None

    def take(self, operation: Operation) -> bool:
        f = operation.f
        if f == "read":
            return operation.status == "unknown" or self.state == operation.result
        if f == "write":
            self.state = operation.value
            return True
        return self.cas(operation)

    def cas(self, operation: Operation) -> bool:
        found = self.state == operation.expected
        if operation.status == "refused":
            return not found and (operation.result is NOT_REPORTED or self.state == operation.result)
        if found:
            self.state = operation.value
        return found or operation.status == "unknown"


class KeyValue(Register):
    """The state machine of `raft/replica/machine.py`: the state is None (absent), a string, or a list that appends
    made.
    A cas never expects a list, so a list differs from every expected value by its type."""

    def take(self, operation: Operation) -> bool:
        f = operation.f
        if f == "append":
            return self._append(operation)
        if f == "delete":
            self.state = None
            return True
        if isinstance(operation.result, tuple):  # a reader may have made lists hashable
            operation = _with_list(operation)
        return super().take(operation)

    def _append(self, operation: Operation) -> bool:
        if self.state is not None and not isinstance(self.state, list):
            if operation.status == "refused":
                return operation.result is NOT_REPORTED or bool(self.state == operation.result)
            return operation.status == "unknown"
        if operation.status == "refused":
            return False
        if self.state is None:
            self.state = []
        self.state.append(operation.value)
        return True


class StringAppend:
    """Keeps the string in pieces and joins them at a read, so that the cost of an append does not depend on length."""

    def __init__(self) -> None:
        self.pieces: list[str] = []

    def take(self, operation: Operation) -> bool:
        if operation.f == "append":
            self.pieces.append(operation.value)
        elif operation.f == "write":
            self.pieces = [operation.value]
        elif operation.status != "unknown":
            if len(self.pieces) > 1:
                self.pieces = ["".join(self.pieces)]
            return bool((self.pieces[0] if self.pieces else "") == (operation.result or ""))
        return True


class ListAppend:
    def __init__(self) -> None:
        self.state: list[Any] = []

    def take(self, operation: Operation) -> bool:
        if operation.f == "append":
            self.state.append(operation.value)
        elif operation.status != "unknown":
            result = operation.result
            return self.state == (result if isinstance(result, list) else list(result or ()))
        return True


PLAYS: Mapping[Model, Callable[[], Play]] = {
    "register": Register,
    "kv": KeyValue,
    "kv-append": StringAppend,
    "list-append": ListAppend,
}


def _with_list(operation: Operation) -> Operation:
    return Operation(
        number=operation.number,
        key=operation.key,
        f=operation.f,
        called=operation.called,
        returned=operation.returned,
        value=operation.value,
        expected=operation.expected,
        result=list(operation.result),
        status=operation.status,
    )
