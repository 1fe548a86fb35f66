"""Converts histories of operations to columns, and compares the checker on columns with the one on operations."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import msgspec
import numpy as np

from raft_chaos.invariants.linearizability import operations
from raft_chaos.invariants.linearizability.check import check
from raft_chaos.invariants.linearizability.columns import ABSENT, NEVER, NOT_REPORTED, Columns, check_columns
from raft_chaos.invariants.linearizability.columns.proposal import proposal
from raft_chaos.invariants.linearizability.columns.replay import faults
from raft_chaos.invariants.linearizability.operations import Model, Operation
from small_histories import history as small_history

FUNCTIONS = ("read", "write", "cas", "delete")
STATUSES = ("ok", "refused", "unknown")
FAR = 2**56
"""So far apart that a pair of numbers does not fit into one number, and ranks must replace them."""


def expressible(history: Sequence[Operation]) -> bool:
    """Whether columns can hold the history: it has no lists."""
    return not any(o.f == "append" or isinstance(o.result, list) for o in history)


def as_columns(history: Sequence[Operation], spread: int = 1) -> Columns:
    """Keys, values and times become numbers that are multiplied by `spread`, to be far apart. With a large `spread` no
    float equals such a time."""
    odd = int(spread > 1)
    return Columns(
        key=np.array([_number(o.key, spread) for o in history], np.int64),
        f=np.array([FUNCTIONS.index(o.f) for o in history], np.int8),
        called=np.array([o.called * spread + odd for o in history], np.int64),
        returned=np.array([NEVER if o.returned is None else o.returned * spread + odd for o in history], np.int64),
        value=np.array([_number(o.value, spread) for o in history], np.int64),
        result=np.array([_number(o.result, spread) for o in history], np.int64),
        expected=np.array([_number(o.expected, spread) for o in history], np.int64),
        status=np.array([STATUSES.index(o.status) for o in history], np.int8),
    )


def _number(value: Any, spread: int) -> int:
    if value is None:
        return ABSENT
    if value is operations.NOT_REPORTED:
        return NOT_REPORTED
    return (ord(value) - ord("a") if isinstance(value, str) else value) * spread


def columns_differ(history: Sequence[Operation], model: Model, valid: bool, spread: int = 1) -> str:
    """Empty if columns get the same answer as operations, and the same verdict as brute force."""
    columns = as_columns(history, spread)
    answer = check_columns(columns, model)
    if answer.verdict != ("valid" if valid else "violated"):
        return f"{answer}, but it is {'valid' if valid else 'violated'}"
    # The replay may prove what operations would have taken a search for; all else is the same.
    same = check(columns.operations(np.arange(len(columns))), model)
    if msgspec.structs.replace(answer, steps=0) != msgspec.structs.replace(same, steps=0):
        return f"from columns {answer}, from operations {same}"
    return ""


def proved(history: Sequence[Operation], spread: int = 1) -> bool:
    """Whether columns alone prove all of it valid."""
    columns = as_columns(history, spread)
    return not faults(columns, proposal(columns)).any()


def several_keys(random: Random, model: Model, most: int = 3) -> list[Operation]:
    """Small histories that columns can hold, each of its own key, mixed; some unknown ones did return."""
    mixed: list[Operation] = []
    for key in random.sample(range(-9, 10), random.randint(1, most)):
        for operation in small_history(random, model, 6):
            if expressible([operation]):
                mixed.append(msgspec.structs.replace(operation, key=key, number=len(mixed)))
                if operation.status == "unknown" and random.random() < 0.5:
                    returned = operation.called + random.randint(0, 5)
                    mixed[-1] = msgspec.structs.replace(mixed[-1], returned=returned, result=random.choice([None, 1]))
    random.shuffle(mixed)
    return mixed
