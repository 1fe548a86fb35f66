"""Is this order of rows a linearization? `order.py` in NumPy: the proof of every "valid" that columns get, in O(n).

Keys are played one after the other, each from its first value. In a key's part of the order the latest call so far is a
running maximum, and so is the place of the last write so far. Only reads and writes are played: where another operation
stands, or one is left out that certainly happened, the order fails.
"""

from __future__ import annotations

import numpy as np

from raft_chaos.invariants.linearizability.columns.table import ABSENT, READ, UNKNOWN, WRITE, Columns, Integers, Mask


def faults(columns: Columns, order: Integers) -> Mask:
    """For each row whether the order fails at it; a key without any is valid. `order`: rows, those of a key together
    and keys in ascending order, or else all rows are faults."""
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
    """Who stands behind one that was called after it had returned. `part` numbers the keys, from 0."""
    called, returned = columns.called[order], columns.returned[order]
    first, last = int(called.min()), int(called.max())
    if (last - first + 1) * (int(part[-1]) + 1) >= 2**63:
        # Too wide for what follows, so by rank: a call's, and for a return that of the last call until then.
        calls = np.unique(called)
        called, returned = np.searchsorted(calls, called), np.searchsorted(calls, returned, "right") - 1
        first, last = 0, len(calls) - 1
    # The times of a part are moved behind those of the part before, so that the maximum begins anew.
    moved = part * (last - first + 1) - first
    latest = np.maximum.accumulate(called + moved)
    # Nothing is called after `last`, so later returns are like one at that time.
    late: Mask = (np.minimum(returned, last) + moved < latest) & (columns.status[order] != UNKNOWN)
    return late


def _out_of_model(columns: Columns, order: Integers, part: Integers) -> Mask:
    """Who returned something else than what the last write before it, of its key, wrote; and who is not played."""
    f = columns.f[order]
    places = np.arange(len(order))
    begins = np.maximum.accumulate(np.where(np.diff(part, prepend=-1) > 0, places, -1))
    last = np.maximum.accumulate(np.where(f == WRITE, places, -1))
    found = np.where(last >= begins, columns.value[order[last]], ABSENT)
    told = (f == READ) & (columns.status[order] != UNKNOWN)
    wrong: Mask = (told & (columns.result[order] != found)) | ((f != READ) & (f != WRITE))
    return wrong
