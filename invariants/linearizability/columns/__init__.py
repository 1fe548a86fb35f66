"""Histories as columns: one array for each field of an operation, so that no object is made of each operation.

    from raft_chaos.invariants.linearizability.columns import Columns, check_columns

    columns = Columns(key=..., f=..., called=..., returned=..., value=..., result=...)
    answer = check_columns(columns, "register")

Read `table` (what the columns are), `check` (how an answer comes about), `proposal` (an order of the operations, by
their values) and `replay` (whether it holds). NumPy comes with the extra `columns`; nothing outside this folder imports
it, or this folder.
"""

from __future__ import annotations

try:
    import numpy  # noqa: F401
except ImportError as error:
    raise ImportError(
        "raft_chaos.invariants.linearizability.columns needs NumPy, which is not installed: "
        "pip install 'raft-chaos[columns]'"
    ) from error

from raft_chaos.invariants.linearizability.columns.check import check_columns
from raft_chaos.invariants.linearizability.columns.table import (
    ABSENT,
    CAS,
    DELETE,
    NEVER,
    NOT_TOLD,
    OK,
    READ,
    REFUSED,
    UNKNOWN,
    WRITE,
    Columns,
)

__all__ = [
    "Columns", "check_columns",
    "READ", "WRITE", "CAS", "DELETE",
    "OK", "REFUSED", "UNKNOWN",
    "NEVER", "ABSENT", "NOT_TOLD",
]  # fmt: skip
