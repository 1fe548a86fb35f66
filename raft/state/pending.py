"""What is not durable yet, and what waits until it is.

Every record that must reach the disk gets a number, its lsn. Whatever must not be said or counted before a record is
durable is held here under that number. One write is under way at a time; all records that come meanwhile go into the
next one, so that one sync serves them all (group commit).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count

import msgspec

from raft_chaos.raft.state.messages import Record, Truncate


class Write(msgspec.Struct, frozen=True):
    """Records to make durable as one unit; `lsn` is the number of the last of them."""

    lsn: int
    records: list[Record]


class Pending:
    """Records in order, and actions that wait for them. lsn 0 is durable from the start."""

    __slots__ = ("_count", "_held", "_write_under_way", "durable_lsn", "last_lsn", "unwritten")

    def __init__(self) -> None:
        self.last_lsn = 0
        self.durable_lsn = 0
        self.unwritten: list[tuple[int, Record]] = []
        self._write_under_way = False
        self._held: list[tuple[int, int, Callable[[], None]]] = []  # a heap: lsn, order of the calls, action
        self._count = count()

    def record(self, record: Record) -> int:
        """Numbers a record; `next_write` will hand it out."""
        self.last_lsn += 1
        self.unwritten.append((self.last_lsn, record))
        return self.last_lsn

    def hold(self, lsn: int, action: Callable[[], None]) -> None:
        """Does `action` once the record `lsn` is durable; held actions in the order of lsn, then of these calls."""
        if lsn <= self.durable_lsn:
            action()
        else:
            heapq.heappush(self._held, (lsn, next(self._count), action))

    def next_write(self) -> Write | None:
        """All records that wait, up to the next truncation; none while a write is under way.

        A truncation begins a write of its own, so that by then everything it undoes has been reported durable, and
        the truncation itself has been announced.
        """
        if self._write_under_way or not self.unwritten:
            return None
        end = 1
        while end < len(self.unwritten) and type(self.unwritten[end][1]) is not Truncate:
            end += 1
        batch, self.unwritten = self.unwritten[:end], self.unwritten[end:]
        self._write_under_way = True
        return Write(batch[-1][0], [record for _, record in batch])

    def written(self, lsn: int) -> None:
        """The write that ended with record `lsn` is durable: does what waited for it."""
        self._write_under_way = False
        self.durable_lsn = lsn
        while self._held and self._held[0][0] <= lsn:
            heapq.heappop(self._held)[2]()
