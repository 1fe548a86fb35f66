"""The checker on columns: an order by values proves keys valid; the other keys are judged as operations."""

from __future__ import annotations

import msgspec
import numpy as np

from raft_chaos.invariants.linearizability.check import BUDGET, check
from raft_chaos.invariants.linearizability.columns.proposal import proposal
from raft_chaos.invariants.linearizability.columns.replay import faults
from raft_chaos.invariants.linearizability.columns.table import Columns
from raft_chaos.invariants.linearizability.operations import Answer, Model


def check_columns(columns: Columns, model: Model, *, budget: int = BUDGET) -> Answer:
    """`check` for the models "register" and "kv", the latter without lists. An operation's number is its row.

    The replay proves keys valid. `check` judges the other keys: those that are violated, are ambiguous, or have
    operations other than reads and writes. So the core and the argument are the same as from operations.

    Raises ValueError for another model, and for an operation that the model does not have.
    """
    columns.refuse_for(model)
    left = faults(columns, proposal(columns))
    if not left.any():
        return Answer("valid", len(columns))
    rows = np.flatnonzero(np.isin(columns.key, columns.key[left]))
    return msgspec.structs.replace(check(columns.operations(rows), model, budget=budget), judged=len(columns))
