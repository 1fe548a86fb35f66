"""The state that a node recovers from the records of its log: `Fold` takes them one by one.

Of a long log only the newest entries stay in memory, and the older ones are read back from the disk when somebody wants
them (`RecoveredEntries`). So a recovery takes bounded memory, however long the log is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import overload

from raft_chaos.raft.state.log import CACHE_BYTES, ENTRY_BYTES, READ_BYTES
from raft_chaos.raft.state.messages import (
    Append,
    Committed,
    Entry,
    FileRecord,
    HardState,
    LogBase,
    Recovered,
    SaveSnapshot,
    Snapshot,
    Truncate,
)
from raft_chaos.raft.storage.log_file import ADVICE, FILE, CorruptLogError

ReadBack = Callable[[int, int, int], list[Entry]]
"""The entries from the first index at most to the last, with about so many bytes of commands, but at least one."""


class RecoveredEntries(Sequence[Entry]):
    """Entries from index `first` on: `older` of them are on the disk alone, and `newest` follow."""

    def __init__(self, first: int, older: int, newest: list[Entry], read_back: ReadBack) -> None:
        self._first = first
        self._older = older
        self._newest = newest
        self._read_back = read_back

    def __len__(self) -> int:
        return self._older + len(self._newest)

    @overload
    def __getitem__(self, place: int) -> Entry: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Entry]: ...
    def __getitem__(self, place: int | slice) -> Entry | Sequence[Entry]:
        if isinstance(place, slice):
            return [self[one] for one in range(*place.indices(len(self)))]
        place = range(len(self))[place]
        if place >= self._older:
            return self._newest[place - self._older]
        return self._read_back(self._first + place, self._first + place, 1)[0]

    def __iter__(self) -> Iterator[Entry]:
        index, newest = self._first, self._first + self._older
        while index < newest:
            read = self._read_back(index, newest - 1, READ_BYTES)
            yield from read
            index += len(read)
        yield from self._newest


class Fold:
    """The state after all records that were taken: the last hard state, and the entries that no truncation deleted.

    With a way to read them back, only about `CACHE_BYTES` of the newest entries stay in memory.
    """

    def __init__(self, name: str = FILE, read_back: ReadBack | None = None, kept_bytes: int = CACHE_BYTES) -> None:
        self._name = name
        self._read_back = read_back
        self._kept_bytes = kept_bytes
        self._hard_state = HardState(0, None)
        self._base = LogBase(0, 0, "")
        self._commit_index = 0
        self._snapshot: Snapshot | None = None
        self._entries: list[Entry] = []
        self._older = 0  # entries behind the base that are not in memory
        self._held = 0  # bytes of those that are, about; it may be too much
        self._last_index = 0

    def take(self, record: FileRecord | SaveSnapshot) -> None:
        """Raises CorruptLogError for a record that cannot follow the earlier ones."""
        match record:
            case Append():
                if record.index != self._last_index + 1:
                    raise CorruptLogError(
                        f"{self._name}: entry {record.index} follows entry {self._last_index}. {ADVICE}"
                    )
                self._last_index += 1
                self._entries.append(record.entry)
                self._held += ENTRY_BYTES + len(record.entry.command)
                if self._held > self._kept_bytes and self._read_back is not None:
                    self._let_go()
            case HardState():
                self._hard_state = record
            case Truncate():
                self._truncate(max(record.from_index - self._base.index - 1, 0))
            case LogBase():
                self._base = record
                self._last_index = record.index
            case Committed():
                self._commit_index = record.index
            case SaveSnapshot():
                snapshot, self._hard_state = record.snapshot, record.hard_state
                self._entries, self._older = list(record.entries), 0
                self._snapshot, self._commit_index = snapshot, 0
                self._base = LogBase(snapshot.index, snapshot.term, snapshot.digest)
                self._last_index = snapshot.index + len(self._entries)

    def _truncate(self, place: int) -> None:
        if place < self._older:
            self._older, self._entries = place, []
        else:
            del self._entries[place - self._older :]
        self._last_index = self._base.index + self._older + len(self._entries)

    def _let_go(self) -> None:
        """Half of the entries leave the memory: to take out one at a time would move all others each time."""
        half = (len(self._entries) + 1) // 2
        del self._entries[:half]
        self._older += half
        self._held = sum(ENTRY_BYTES + len(entry.command) for entry in self._entries)

    def recovered(self, snapshot: Snapshot | None = None) -> Recovered:
        """The state, with the newest `snapshot`; then its entries are those behind it. Raises CorruptLogError."""
        if self._snapshot is not None:
            snapshot = self._snapshot
        base, commit_index = self._base, self._commit_index
        if commit_index > self._last_index:
            raise CorruptLogError(
                f"{self._name}: entries up to {commit_index} were committed, but the log ends with entry "
                f"{self._last_index}. {ADVICE}"
            )
        if snapshot is None or snapshot.index < base.index:
            if base.index:
                found = f"the snapshot ends at {snapshot.index}" if snapshot is not None else "there is no snapshot"
                raise CorruptLogError(f"{self._name}: the log begins after entry {base.index}, but {found}. {ADVICE}")
            return Recovered(self._hard_state, self._behind(0), commit_index=commit_index)
        known = commit_index if commit_index > snapshot.index else 0
        return Recovered(self._hard_state, self._behind_snapshot(snapshot), snapshot, known)

    def _behind_snapshot(self, snapshot: Snapshot) -> Sequence[Entry]:
        """The entries that follow the snapshot. If a crash came before the log was replaced, the log begins earlier,
        and ends or goes on in another way if the snapshot is a leader's (§7)."""
        replaced = snapshot.index - self._base.index
        if replaced == 0:
            return self._behind(0)
        entries = self._behind(0)
        matches = replaced <= len(entries) and entries[replaced - 1].term == snapshot.term
        return self._behind(replaced) if matches else []

    def _behind(self, place: int) -> Sequence[Entry]:
        """The entries from this place behind the base on."""
        if place >= self._older:
            return self._entries[place - self._older :]
        assert self._read_back is not None, "otherwise all are in memory"
        return RecoveredEntries(self._base.index + 1 + place, self._older - place, self._entries, self._read_back)


def fold(
    batches: Sequence[Sequence[FileRecord | SaveSnapshot]], name: str = FILE, snapshot: Snapshot | None = None
) -> Recovered:
    """The state after all these records, with the newest `snapshot`. Raises CorruptLogError."""
    folded = Fold(name)
    for record in chain.from_iterable(batches):
        folded.take(record)
    return folded.recovered(snapshot)
