"""Operations and arguments in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from invariants.linearizability.operations import NOT_TOLD, Operation

SHOWN_ITEMS, SHOWN_CHARACTERS = 8, 60


def shown(value: Any) -> str:
    """A value, shortened: of a long list or string the end tells most."""
    if isinstance(value, list | tuple) and len(value) > SHOWN_ITEMS:
        return f"[… {', '.join(map(shown, value[-SHOWN_ITEMS:]))}] ({len(value)} items)"
    text = repr(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= SHOWN_CHARACTERS else f"…{text[-SHOWN_CHARACTERS:]}"


def name(operation: Operation) -> str:
    """ "write 4" """
    return f"{operation.f} {operation.number}"


def told(operation: Operation) -> str:
    """ "write 4 of 3", "read 7, which returned 3", with its outcome if that is not plain."""
    match operation.f:
        case "read":
            what = f"{name(operation)}, which returned {shown(operation.result)}"
        case "cas":
            what = f"{name(operation)} from {shown(operation.expected)} to {shown(operation.value)}"
        case "delete":
            what = name(operation)
        case _:
            what = f"{name(operation)} of {shown(operation.value)}"
    if operation.status == "unknown":
        return f"{what} (of unknown outcome)"
    if operation.status == "refused":
        found = "" if operation.result is NOT_TOLD else f", which found {shown(operation.result)}"
        return f"{what} (refused{found})"
    return what


def times(operation: Operation) -> str:
    """ "called at 3, returned at 5" """
    if operation.returned is None or operation.status == "unknown":
        return f"called at {operation.called}, never returned"
    return f"called at {operation.called}, returned at {operation.returned}"


def no_order(core: Sequence[Operation]) -> str:
    """The argument for a core that a search has found: what was tried, and with what freedom."""
    if len(core) == 1:
        return f"{told(core[0])} ({times(core[0])}): nothing else that happened allows that: contradiction"
    lines = "; ".join(f"{told(operation)} ({times(operation)})" for operation in core)
    return (
        f"{lines}: each order of these in which none stands before one that had returned when it was called was tried, "
        "with every other write of the key, within its own times, happening or not as need be; "
        "none gives all of these results: contradiction"
    )
