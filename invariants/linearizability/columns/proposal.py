"""Proposes an order of a history's reads and writes by their values.

It is the order of `blocks.py` for plain writes and their reads, the zones of Gibbons and Korach (1997): blocks by
max(first, last), and in each block the write, then its reads by their calls. Nothing is checked here: if a key's
operations have no such order, or a value was written several times, the proposed order is wrong.
"""

from __future__ import annotations

import numpy as np

from raft_chaos.invariants.linearizability.columns.table import (
    ABSENT,
    OK,
    READ,
    UNKNOWN,
    WRITE,
    Columns,
    Integers,
    Mask,
)


def proposal(columns: Columns) -> Integers:
    """The proposed order, key by key, as rows: all writes and all certain reads. O(n log n) time, O(n) memory."""
    reading = (columns.f == READ) & (columns.status == OK)
    rows = np.flatnonzero(reading | (columns.f == WRITE))
    if not len(rows):
        return rows
    reading, key, called = reading[rows], columns.key[rows], columns.called[rows]
    value = np.where(reading, columns.result[rows], columns.value[rows])
    initial = value == ABSENT
    value = np.where(initial, value.max(), value)  # ABSENT is too far from other values: pairs would not fit in 64 bits

    by_block = _sorted_by(key, initial, value, reading, called)
    rows, key, called = rows[by_block], key[by_block], called[by_block]
    initial, value = initial[by_block], value[by_block]
    # Nothing is called after the last call, so all later returns are equivalent.
    returned = np.where(columns.status[rows] == UNKNOWN, called.max(), np.minimum(columns.returned[rows], called.max()))

    begins = np.flatnonzero(_changes(key) | _changes(initial) | _changes(value))
    first, last = np.minimum.reduceat(returned, begins), np.maximum.reduceat(called, begins)
    # The initial value's block comes first (False before True); among equals, blocks with first < last.
    blocks = _sorted_by(key[begins], ~initial[begins], np.maximum(first, last), first >= last)
    return rows[_members(begins, np.diff(begins, append=len(rows)), blocks)]


def _changes(column: Integers | Mask) -> Mask:
    """Where the value differs from the one before. True at the first place."""
    return np.concatenate(([True], column[1:] != column[:-1]))


def _members(begins: Integers, sizes: Integers, order: Integers) -> Integers:
    """The places of the members of all blocks, with the blocks in this order."""
    sizes = sizes[order]
    before = np.cumsum(sizes) - sizes
    return np.repeat(begins[order] - before, sizes) + np.arange(sizes.sum())


def _sorted_by(*columns: Integers | Mask) -> Integers:
    """The rows sorted by the first column, then by the second, and so on. `np.lexsort` sorts once per column, this once
    in total."""
    joined = columns[0].astype(np.int64)
    for column in columns[1:]:
        joined = _joined(joined, column.astype(np.int64))
    return np.argsort(joined)


def _joined(high: Integers, low: Integers) -> Integers:
    """One number for each pair, in the order of the pairs. Where the range is too large for 64 bits, it uses ranks
    instead of values; pairs of ranks always fit."""
    if _span(high) * _span(low) >= 2**63:
        high = np.unique(high, return_inverse=True)[1]
    if _span(high) * _span(low) >= 2**63:
        low = np.unique(low, return_inverse=True)[1]
    joined: Integers = (high - high.min()) * _span(low) + (low - low.min())
    return joined


def _span(column: Integers) -> int:
    return int(column.max()) - int(column.min()) + 1
