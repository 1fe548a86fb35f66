"""Checks in O(n) whether an order of rows is a linearization. This is `order.py` in NumPy, and it proves every "valid".

Keys are replayed one after the other, each from its initial value. In a key's part of the order, the latest call so far
is a running maximum, and so is the place of the last write so far. Only reads and writes are replayed: the order fails
at any other operation, and if it leaves out an operation that certainly took place.
"""

from __future__ import annotations

import numpy as np

from raft_chaos.invariants.linearizability.columns.table import ABSENT, READ, UNKNOWN, WRITE, Columns, Integers, Mask


def faults(columns: Columns, order: Integers) -> Mask:
    """For each row, whether the order fails at it. A key without faults is valid.

    `order` holds rows. The rows of a key must be contiguous and the keys ascending; otherwise all rows are faults.
    """
    times = np.bincount(order, minlength=len(columns))
    wrong: Mask = (times > 1) | ((times == 0) & (columns.status != UNKNOWN))
    if not len(order):
        return wrong
    key = columns.key[order]
    if (key[1:] < key[:-1]).any():
        return np.ones(len(columns), np.bool_)
    part = np.concatenate(([0], np.cumsum(key[1:] != key[:-1])))
    wrong[order[_out_of_time(columns, order, part) | _out_of_model(columns, order, part)]] = True
    return wrong


def _out_of_time(columns: Columns, order: Integers, part: Integers) -> Mask:
    """The rows that come after an operation which was called only after they had returned. `part` numbers the keys."""
    called, returned = columns.called[order], columns.returned[order]
    first, last = int(called.min()), int(called.max())
    if (last - first + 1) * (int(part[-1]) + 1) >= 2**63:
        # The range is too large for 64 bits, so use ranks: of a call its rank, of a return that of the last call
        # before.
        calls = np.unique(called)
        called, returned = np.searchsorted(calls, called), np.searchsorted(calls, returned, "right") - 1
        first, last = 0, len(calls) - 1
    # The times of each part are shifted beyond those of the part before, so that the running maximum starts again.
    moved = part * (last - first + 1) - first
    latest = np.maximum.accumulate(called + moved)
    # Nothing is called after `last`, so later returns are equivalent to one at that time.
    late: Mask = (np.minimum(returned, last) + moved < latest) & (columns.status[order] != UNKNOWN)
    return late


def _out_of_model(columns: Columns, order: Integers, part: Integers) -> Mask:
    """The reads that did not return the value of the last write of their key, and the operations of other kinds."""
    f = columns.f[order]
    places = np.arange(len(order))
    begins = np.maximum.accumulate(np.where(np.diff(part, prepend=-1) > 0, places, -1))
    last = np.maximum.accumulate(np.where(f == WRITE, places, -1))
    found = np.where(last >= begins, columns.value[order[last]], ABSENT)
    certain = (f == READ) & (columns.status[order] != UNKNOWN)
    wrong: Mask = (certain & (columns.result[order] != found)) | ((f != READ) & (f != WRITE))
    return wrong
