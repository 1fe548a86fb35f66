"""Histories of operations as columns, and where the checker on columns differs from that on operations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from invariants.linearizability import operations
from invariants.linearizability.check import check
from invariants.linearizability.columns import ABSENT, NEVER, NOT_TOLD, Columns, check_columns
from invariants.linearizability.operations import Model, Operation

FUNCTIONS = ("read", "write", "cas", "delete")
STATUSES = ("ok", "refused", "unknown")


def expressible(history: Sequence[Operation]) -> bool:
    """Whether columns can hold it: nothing in it is a list."""
    return not any(o.f == "append" or isinstance(o.result, list) for o in history)


def as_columns(history: Sequence[Operation], spread: int = 1) -> Columns:
    """Keys, values and times are numbers or letters, which are multiplied by `spread`, so as to be far apart."""
    return Columns(
        key=np.array([_number(o.key, spread) for o in history], np.int64),
        f=np.array([FUNCTIONS.index(o.f) for o in history], np.int8),
        called=np.array([o.called * spread for o in history], np.int64),
        returned=np.array([NEVER if o.returned is None else o.returned * spread for o in history], np.int64),
        value=np.array([_number(o.value, spread) for o in history], np.int64),
        result=np.array([_number(o.result, spread) for o in history], np.int64),
        expected=np.array([_number(o.expected, spread) for o in history], np.int64),
        status=np.array([STATUSES.index(o.status) for o in history], np.int8),
    )


def _number(value: Any, spread: int) -> int:
    if value is None:
        return ABSENT
    if value is operations.NOT_TOLD:
        return NOT_TOLD
    return (ord(value) - ord("a") if isinstance(value, str) else value) * spread


def columns_differ(history: Sequence[Operation], model: Model, valid: bool, spread: int = 1) -> str:
    """Empty if columns get the answer that the same operations get, and the verdict that brute force says."""
    columns = as_columns(history, spread)
    answer = check_columns(columns, model)
    if answer.verdict != ("valid" if valid else "violated"):
        return f"{answer}, but it is {'valid' if valid else 'violated'}"
    # The replay may prove what operations would have taken a search for; all else is the same.
    same = check(columns.operations(np.arange(len(columns))), model)
    if msgspec.structs.replace(answer, steps=0) != msgspec.structs.replace(same, steps=0):
        return f"from columns {answer}, from operations {same}"
    return ""
