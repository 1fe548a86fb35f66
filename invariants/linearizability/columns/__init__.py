"""Histories as columns: one array for each field of an operation, without a Python object per operation.

    from raft_chaos.invariants.linearizability.columns import Columns, check_columns

    columns = Columns(key=..., f=..., called=..., returned=..., value=..., result=...)
    answer = check_columns(columns, "register")

Read `table` (the columns), `check` (the steps to an answer), `proposal` (proposes an order of the operations by their
values) and `replay` (checks that order). NumPy comes with the extra `columns`. Nothing outside this folder imports
NumPy or this folder.
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
    NOT_REPORTED,
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
    "NEVER", "ABSENT", "NOT_REPORTED",
]  # fmt: skip
