"""An order of a history's reads and writes, by their values: a linearization of each key that its values decide.

That is the order of `blocks.py` for plain writes and their reads, the zones of Gibbons and Korach (1997): blocks by
max(first, last), in each the write first and then its reads by their calls. Nothing is checked here: a key whose
operations have no such order, or whose values were written several times, gets one that does not hold.
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
    """Rows, key by key: all writes and all certain reads. O(n log n), and linear in memory."""
    reading = (columns.f == READ) & (columns.status == OK)
    rows = np.flatnonzero(reading | (columns.f == WRITE))
    if not len(rows):
        return rows
    reading, key, called = reading[rows], columns.key[rows], columns.called[rows]
    value = np.where(reading, columns.result[rows], columns.value[rows])
    initial = value == ABSENT
    value = np.where(initial, value.max(), value)  # ABSENT is so far from all others that pairs with it fit nowhere

    by_block = _sorted_by(key, initial, value, reading, called)
    rows, key, called = rows[by_block], key[by_block], called[by_block]
    initial, value = initial[by_block], value[by_block]
    # Nothing is called after the last call, so all returns from then on are alike.
    returned = np.where(columns.status[rows] == UNKNOWN, called.max(), np.minimum(columns.returned[rows], called.max()))

    begins = np.flatnonzero(_changes(key) | _changes(initial) | _changes(value))
    first, last = np.minimum.reduceat(returned, begins), np.maximum.reduceat(called, begins)
    # The first value's block comes first (False before True), and of equals those with first < last.
    blocks = _sorted_by(key[begins], ~initial[begins], np.maximum(first, last), first >= last)
    return rows[_members(begins, np.diff(begins, append=len(rows)), blocks)]


def _changes(column: Integers | Mask) -> Mask:
    """Where something else stands than before; so at the first place."""
    return np.concatenate(([True], column[1:] != column[:-1]))


def _members(begins: Integers, sizes: Integers, order: Integers) -> Integers:
    """The places of all blocks' members, the blocks in this order."""
    sizes = sizes[order]
    before = np.cumsum(sizes) - sizes
    return np.repeat(begins[order] - before, sizes) + np.arange(sizes.sum())


def _sorted_by(*columns: Integers | Mask) -> Integers:
    """The rows by the first column, those with an equal one by the second, and so on: what `np.lexsort` does by sorting
    as often as there are columns, and this once."""
    joined = columns[0].astype(np.int64)
    for column in columns[1:]:
        joined = _joined(joined, column.astype(np.int64))
    return np.argsort(joined)


def _joined(high: Integers, low: Integers) -> Integers:
    """One number for each pair, in the order of the pairs. If they are too far apart for that, ranks stand in for them;
    of those all pairs fit."""
    if _span(high) * _span(low) >= 2**63:
        high = np.unique(high, return_inverse=True)[1]
    if _span(high) * _span(low) >= 2**63:
        low = np.unique(low, return_inverse=True)[1]
    joined: Integers = (high - high.min()) * _span(low) + (low - low.min())
    return joined


def _span(column: Integers) -> int:
    return int(column.max()) - int(column.min()) + 1
