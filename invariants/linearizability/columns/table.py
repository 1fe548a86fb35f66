"""The columns of a history, and their validation: an error names the column, the row, and what was expected.

A row is an operation, and its index, from 0, is the operation's number. All columns hold integers. A caller with other
keys or values must map them to integers, equal ones to equal integers.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from raft_chaos.invariants.linearizability import operations
from raft_chaos.invariants.linearizability.malformed import refuse_unknown
from raft_chaos.invariants.linearizability.models import FUNCTIONS, REFUSABLE
from raft_chaos.invariants.linearizability.operations import Function, Model, Operation, Status

Integers: TypeAlias = NDArray[np.int64]
Mask: TypeAlias = NDArray[np.bool_]

READ, WRITE, CAS, DELETE = range(4)
OK, REFUSED, UNKNOWN = range(3)
NEVER = 2**63 - 1
"""In `returned`: the operation never returned."""
ABSENT = -(2**63)
"""As a value: the absent key, or a register's initial value."""
NOT_REPORTED = -(2**63) + 1
"""In `result`: a refused cas that did not report what it found."""

MODELS: tuple[Model, ...] = ("register", "kv")
_FUNCTIONS: tuple[Function, ...] = ("read", "write", "cas", "delete")  # by their codes
_STATUSES: tuple[Status, ...] = ("ok", "refused", "unknown")


class Columns(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """The fields of `Operation`, each an array of shape (operations,) and of any integer dtype, or one number for all
    rows. They are kept as int64, without a copy if they have this dtype already.

    `key`: any integer. `f`: READ, WRITE, CAS or DELETE. `called`, `returned`: times in one unit; NEVER for an operation
    that did not return. `value`: the value to write. `expected`: the value that a cas expects. `result`: the value that
    a read returned or a refused cas found, or NOT_REPORTED. `status`: OK, REFUSED or UNKNOWN. Fields that an operation
    does not use are ignored.

    Raises ValueError for columns of another shape or dtype, and for rows that no model allows.
    """

    key: Integers
    f: Integers
    called: Integers
    returned: Integers
    value: Integers
    result: Integers
    expected: Integers = np.array(ABSENT)
    status: Integers = np.array(OK)

    def __post_init__(self) -> None:
        columns = {name: _integers(name, getattr(self, name)) for name in self.__struct_fields__}
        sizes = {name: column.size for name, column in columns.items() if column.ndim}
        if len(set(sizes.values())) != 1:
            lengths = ", ".join(f"{name} has {size}" for name, size in sizes.items())
            raise ValueError(f"expected arrays with one element per operation; {lengths or 'all columns are numbers'}")
        for name, column in columns.items():
            msgspec.structs.force_setattr(self, name, np.broadcast_to(column, next(iter(sizes.values()))))
        self._refuse("f", (self.f < READ) | (self.f > DELETE), "READ, WRITE, CAS or DELETE (0 to 3)")
        self._refuse("status", (self.status < OK) | (self.status > UNKNOWN), "OK, REFUSED or UNKNOWN (0 to 2)")
        self._refuse("returned", self.returned < self.called, "a time that is not before its call")
        unread = (self.f == READ) & (self.status == OK) & (self.result == NOT_REPORTED)
        self._refuse("result", unread, "a value or ABSENT; only a refused cas may report nothing")

    def __len__(self) -> int:
        return len(self.key)

    def refuse_for(self, model: Model) -> None:
        """Raises ValueError for a model whose values are no integers, and for what the model does not have."""
        refuse_unknown(model)
        if model not in MODELS:
            raise ValueError(
                f"model {model!r} has values that are not integers; columns are for {' and '.join(MODELS)}, "
                "use operations for the others (invariants.linearizability.check.check)"
            )
        has = [code for code, f in enumerate(_FUNCTIONS) if f in FUNCTIONS[model]]
        names = ", ".join(f"{_FUNCTIONS[code].upper()} ({code})" for code in has)
        self._refuse("f", ~np.isin(self.f, has), f"one of {model}'s: {names}")
        refusable = [code for code in has if _FUNCTIONS[code] in REFUSABLE[model]]
        if model == "kv":
            written = (self.f == WRITE) | (self.f == CAS)
            self._refuse("value", written & (self.value == ABSENT), "a value; use DELETE to make a key absent")
        refused = (self.status == REFUSED) & ~np.isin(self.f, refusable)
        self._refuse("status", refused, f"OK or UNKNOWN (0 or 2), as in {model} only a cas can be refused")

    def _refuse(self, name: str, wrong: Mask, expected: str) -> None:
        if wrong.any():
            row = int(wrong.argmax())
            raise ValueError(f"column {name}, row {row}: {getattr(self, name)[row]}; expected {expected}")

    def operations(self, rows: Integers) -> list[Operation]:
        """These rows as operations."""
        columns = (self.key, self.f, self.called, self.returned, self.value, self.expected, self.result, self.status)
        return [
            Operation(
                number,
                key,
                _FUNCTIONS[f],
                called,
                None if returned == NEVER else returned,
                _value(value),
                _value(expected),
                operations.NOT_REPORTED if result == NOT_REPORTED else _value(result),
                _STATUSES[status],
            )
            for number, key, f, called, returned, value, expected, result, status in zip(
                rows.tolist(), *(column[rows].tolist() for column in columns), strict=True
            )
        ]


def _value(number: int) -> int | None:
    return None if number == ABSENT else number


def _integers(name: str, given: ArrayLike) -> Integers:
    column = np.asarray(given)
    if column.ndim > 1:
        raise ValueError(f"column {name} has the shape {column.shape}; expected (operations,)")
    if column.size and not np.issubdtype(column.dtype, np.integer):
        raise ValueError(f"column {name} is of dtype {column.dtype}; expected an integer dtype")
    if column.dtype == np.uint64 and column.size and column.max() > NEVER:
        row = int(column.argmax())
        raise ValueError(f"column {name}, row {row}: {column.max()}; expected a number that fits into an int64")
    return column.astype(np.int64, copy=False)
