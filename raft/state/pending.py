"""Records that are not durable yet, and the actions that wait for them.

Every record that must reach the disk gets a number, its lsn. `Pending` holds, under that number, the messages, events
and votes that must wait until the record is durable. One write is under way at a time; all records that come meanwhile
go into the next one, so that one sync serves them all (group commit).
"""

from __future__ import annotations

from collections.abc import Iterable

from raft_chaos.raft.state.held import Held
from raft_chaos.raft.state.messages import Record, SaveSnapshot, Truncate
from raft_chaos.raft.state.ready import Write

_BEGINS_A_WRITE = (Truncate, SaveSnapshot)


class Pending:
    """Records in order, and the actions that wait for them. lsn 0 is durable from the start.

    Invariant: `durable_lsn <= last_lsn`, and each held action waits for a record between the two.
    """

    __slots__ = ("_held", "_write_under_way", "durable_lsn", "last_lsn", "unwritten")

    def __init__(self) -> None:
        self.last_lsn = 0
        self.durable_lsn = 0
        self.unwritten: list[tuple[int, Record]] = []
        self._write_under_way = False
        self._held: dict[int, list[Held]] = {}  # by lsn; under one lsn in the order of the calls

    @property
    def held(self) -> list[tuple[int, Held]]:
        """The waiting actions, each with its lsn, in the order in which `written` will return them."""
        return [(lsn, held) for lsn in sorted(self._held) for held in self._held[lsn]]

    def record(self, record: Record) -> int:
        """Numbers a record; `next_write` will return it."""
        self.last_lsn += 1
        self.unwritten.append((self.last_lsn, record))
        return self.last_lsn

    def hold(self, lsn: int, held: Held) -> None:
        """Keeps `held` until the record `lsn` is durable. That record must not be durable yet."""
        assert self.durable_lsn < lsn <= self.last_lsn
        if lsn in self._held:
            self._held[lsn].append(held)
        else:
            self._held[lsn] = [held]

    def next_write(self) -> Write | None:
        """All waiting records, up to the next truncation or snapshot; None while a write is under way.

        A truncation begins a write of its own: before it is written, the node has reported the entries that it undoes
        as durable, and has reported the truncation itself. A snapshot is a write of its own, since it replaces the log:
        what was recorded before it is durable by then, and what was recorded after it follows in the new log.
        """
        if self._write_under_way or not self.unwritten:
            return None
        end = 1
        if type(self.unwritten[0][1]) is not SaveSnapshot:
            while end < len(self.unwritten) and type(self.unwritten[end][1]) not in _BEGINS_A_WRITE:
                end += 1
        batch, self.unwritten = self.unwritten[:end], self.unwritten[end:]
        self._write_under_way = True
        return Write(batch[-1][0], [record for _, record in batch])

    def written(self, lsn: int) -> list[Held]:
        """The write whose last record is `lsn` is durable. Returns the actions that waited for it, in the order of lsn,
        then of the calls of `hold`."""
        self._write_under_way = False
        due: list[Held] = []
        if len(self._held) <= lsn - self.durable_lsn:  # a follower with a long way to go holds nearly nothing
            numbers: Iterable[int] = sorted(number for number in self._held if number <= lsn)
        else:
            numbers = range(self.durable_lsn + 1, lsn + 1)
        for number in numbers:
            due += self._held.pop(number, ())
        self.durable_lsn = lsn
        return due
