"""The write-ahead log: term, vote, entries and truncations in one file, in order of time, behind a snapshot in another.

`log_file` has the format of the file, `sync_mark` the mark of how much of it was synced, `recovery` what a node makes
of its records, and `snapshot_file` the snapshot.

A snapshot (§7) gives the log's space back. It is written to a file of its own, and then what is left of the log to a
new one, which begins with a `LogBase`. Each gets its name only once it is synced, so both are always whole. A crash
between the two leaves a snapshot that is newer than the log: recovery takes it, and finishes the work.

Recovery reads the file in pieces. Entries that the node has not in memory any more are read back from the file
(`read_entries`), whose offsets are kept.

A disk that fails ends the node (`DiskFailedError`). After a failed write nobody knows what is on the disk, and after a
failed sync the next one may succeed without the lost bytes: to try again would acknowledge what is not there.
"""

from __future__ import annotations

import errno
import logging
from array import array
from collections.abc import Sequence
from threading import Lock
from typing import cast

from raft_chaos.raft.state.messages import (
    Append,
    Entry,
    FileRecord,
    LogBase,
    Record,
    Recovered,
    SaveSnapshot,
    Snapshot,
)
from raft_chaos.raft.storage.disk import Disk
from raft_chaos.raft.storage.failing import READ_BACK, DiskFailedError
from raft_chaos.raft.storage.framing import HEADER, Records, body_of
from raft_chaos.raft.storage.identity import IDENTITY, Identity, check_identity, write_identity
from raft_chaos.raft.storage.log_file import (
    ADVICE,
    FILE,
    MAGIC,
    MAGIC_WITH_BASE,
    Batch,
    CorruptLogError,
    check_end,
    check_magic,
    decode_batch,
    encode_record,
    open_batch,
)
from raft_chaos.raft.storage.recovery import Fold
from raft_chaos.raft.storage.snapshot_file import SNAPSHOT, STAGED, SnapshotFileError, read_snapshot, write_staged
from raft_chaos.raft.storage.sync_mark import MARK_SYNCED_EVERY, SYNCED, encode_mark, mark_in

NEW_FILE = "raft.wal.new"

_OF_A_DISK = (errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS)

log = logging.getLogger("raft.wal")


class WriteAheadLog:
    """The log file of one node on a disk. A write is durable only after `append` and `sync`."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        self._end = 0
        self._base_index = 0
        self._syncs = 0
        self._places = array("Q")  # the offset of the record that holds the entry, for each entry behind the base
        self._replacing = Lock()
        self.staged: SaveSnapshot | None = None
        """The snapshot that the next sync makes durable."""

    def recover(self, identity: Identity) -> Recovered:
        """Opens the log, creating it in an unused folder. Raises CorruptLogError or DiskFailedError."""
        try:
            return self._recover(identity)
        except OSError as error:
            if error.errno not in _OF_A_DISK:
                raise  # the folder is wrong, not its disk; the error says what is
            raise self._failed("recover the log", FILE, error) from error

    def _recover(self, identity: Identity) -> Recovered:
        disk = self.disk
        files = disk.list()
        if IDENTITY not in files:
            self._create(identity, files)
            return Recovered()
        check_identity(disk, identity)
        name = disk.describe(FILE)
        if FILE not in files:
            raise CorruptLogError(f"{name}: the log is missing from a data folder that was in use. {ADVICE}")
        records = Records(lambda offset, size: disk.read(FILE, offset, size), self._open)
        folded = self._read_records(records, name, marked=SYNCED in files)
        recovered = folded.recovered(self._read_snapshot(files))
        if self._end < records.size:
            log.warning("%s", _cut(name, self._end, records.size - self._end, marked=SYNCED in files))
            self._cut_tail()
        for staged in (STAGED, NEW_FILE):
            if staged in files:
                disk.remove(staged)  # the crash came before it got its name
        if recovered.snapshot is not None and recovered.snapshot.index > self._base_index:
            self._replace_log(SaveSnapshot(recovered.snapshot, recovered.hard_state, list(recovered.entries)))
        self._make_durable()
        if SYNCED not in files:
            disk.sync_folder()
        return recovered

    def _make_durable(self) -> None:
        """Makes durable what was found, since this node now reports it, and counts it as durable. A kill before a sync
        leaves it in the page cache alone: records of the log, and the name of the log itself."""
        self.disk.sync_folder()  # before the mark, which must not speak of a log that may still lose its name
        self.sync()

    def _read_records(self, records: Records[Batch], name: str, *, marked: bool) -> Fold:
        """Takes all records, and checks that nothing is missing among them or behind them. Raises CorruptLogError."""
        has_base = check_magic(records, name)
        folded, first = Fold(name, self.read_entries), None
        self._end = len(MAGIC)
        for batch, begin, end in records.intact(self._end):
            if first is None:
                first = batch
                self._base_index = batch[0].index if has_base and isinstance(batch[0], LogBase) else 0
            for record in batch:
                folded.take(record)
            self._note(batch, begin)
            self._end = end
        synced = self._read_mark() if marked else 0
        self._check_end(records, first, name, has_base=has_base, synced=synced)
        return folded

    def _open(self, body: bytes, checksum: int) -> Batch | None:
        """What a record says; None if it is damaged."""
        return open_batch(body, checksum)

    def _check_end(
        self, records: Records[Batch], first: Batch | None, name: str, *, has_base: bool, synced: int
    ) -> None:
        """Raises CorruptLogError if what follows the intact records is more than a torn tail."""
        check_end(records, first, self._end, name, has_base=has_base, synced=synced)

    def _cut_tail(self) -> None:
        """Removes a torn tail: a record that is appended behind it would be damaged, too."""
        self.disk.truncate(FILE, self._end)

    def _create(self, identity: Identity, files: list[str]) -> None:
        # A first start that crashed half-way leaves a log without identity. Nothing depends on such a log.
        disk = self.disk
        if FILE in files:
            if len(disk.read(FILE, 0, len(MAGIC) + 1)) > len(MAGIC):
                raise CorruptLogError(f"{disk.describe(IDENTITY)}: missing beside a log that was in use. {ADVICE}")
            disk.truncate(FILE, 0)
        disk.append(FILE, MAGIC)
        self._end = len(MAGIC)
        self.sync()
        write_identity(disk, identity, files)

    def size(self) -> int:
        """The size of the log in bytes, including unsynced ones."""
        return self._end

    def files(self, *, compacts: bool) -> dict[str, bytes]:
        """What was recovered, by the names of the files, if a later snapshot may replace it: if the node `compacts` its
        log, or has done so. Otherwise the log only grows, and its size says which part was recovered."""
        if not compacts and not self._base_index:
            return {}
        names = self.disk.list()
        return {name: self.disk.read(name) for name in (FILE, SNAPSHOT) if name in names}

    def append(self, records: Sequence[Record]) -> None:
        """A snapshot is the only record of its write. Raises DiskFailedError, after which the log must not be used any
        more."""
        if isinstance(records[0], SaveSnapshot):
            self._stage(records[0])
            return
        data = encode_record(cast(Sequence[FileRecord], records))
        self._note(records, self._end)
        self._end += len(data)
        try:
            self.disk.append(FILE, data)
        except OSError as error:
            raise self._failed("append to the log", FILE, error) from error

    def sync(self) -> None:
        """Makes durable what was appended before. The first sync, after recovery, makes the mark durable too.

        Raises DiskFailedError, after which the log must not be used any more.
        """
        file = FILE
        try:
            end = self._end
            if self.staged is not None:
                end = self._compact(self.staged)  # its new file is synced
            else:
                self.disk.sync(file)
            file = SYNCED
            self.disk.overwrite(SYNCED, encode_mark(end, self._base_index))
            if self._syncs % MARK_SYNCED_EVERY == 0:
                self.disk.sync(SYNCED)
        except OSError as error:
            raise self._failed("sync the log", file, error) from error
        self._syncs += 1

    # ---- entries that are not in memory ---------------------------------------------------------------------------

    def _note(self, records: Sequence[Record | FileRecord], offset: int) -> None:
        """The record of the file at this offset holds these."""
        for record in records:
            if type(record) is Append:
                self._place(record.index - self._base_index - 1, offset)

    def _place(self, place: int, offset: int) -> None:
        """The entry at this place behind the base is in the record at `offset`, whatever was there before."""
        if place < len(self._places):
            del self._places[place:]
        self._places.append(offset)

    def read_entries(self, first: int, last: int, max_bytes: int) -> list[Entry]:
        """The synced entries from `first`, at most to `last`, with about `max_bytes` of commands, but at least one.

        Raises DiskFailedError, after which the node must end: what cannot be read is not what is not there.
        """
        try:
            with self._replacing:
                return self._read_entries(first, last, max_bytes)
        except OSError as error:
            raise self._failed(READ_BACK, FILE, error) from error

    def _read_entries(self, first: int, last: int, max_bytes: int) -> list[Entry]:
        entries: list[Entry] = []
        held: dict[int, Entry] = {}
        at, size = -1, 0
        for index in range(first, last + 1):
            offset = self._places[index - self._base_index - 1]
            if offset != at:
                at, held = offset, self._entries_at(offset)
            if index not in held:
                raise _damaged(f"the record at offset {offset} does not hold entry {index}")
            entries.append(held[index])
            size += len(held[index].command)
            if size >= max_bytes:
                break
        return entries

    def _entries_at(self, offset: int) -> dict[int, Entry]:
        """The entries that the record at `offset` holds, by index. Raises OSError if it cannot be read."""
        header = self.disk.read_at(FILE, offset, HEADER)
        length = int.from_bytes(header[:4], "big")
        body = body_of(header, self.disk.read_at(FILE, offset + HEADER, length))
        if body is None:
            raise _damaged(f"the record at offset {offset} is damaged")
        return {record.index: record.entry for record in decode_batch(body) if type(record) is Append}

    # ---- snapshots (§7) -------------------------------------------------------------------------------------------

    def _stage(self, record: SaveSnapshot) -> None:
        """Writes the snapshot to a file that has not its name yet; the next sync does the rest."""
        try:
            write_staged(self.disk, record.snapshot)
        except OSError as error:
            raise self._failed("write a snapshot", STAGED, error) from error
        self.staged = record

    def _compact(self, record: SaveSnapshot) -> int:
        """The snapshot first: a crash behind it leaves a log that holds more than is needed, and never less. Returns
        the size of the new log."""
        self.name_snapshot()
        self._replace_log(record)
        self.staged = None
        return self._end

    def name_snapshot(self) -> None:
        """The first half of a sync that makes a snapshot durable. A crash behind it is the one that recovery mends."""
        self.disk.sync(STAGED)
        self.disk.rename(STAGED, SNAPSHOT)
        self.disk.sync_folder()

    def _replace_log(self, record: SaveSnapshot) -> None:
        """A new log file takes the place of the old one, whose space the file system gets back."""
        disk, snapshot = self.disk, record.snapshot
        behind = [Append(index, entry) for index, entry in enumerate(record.entries, snapshot.index + 1)]
        first: list[FileRecord] = [LogBase(snapshot.index, snapshot.term, snapshot.digest), record.hard_state, *behind]
        data = MAGIC_WITH_BASE + encode_record(first)
        if NEW_FILE in disk.list():
            disk.remove(NEW_FILE)
        disk.append(NEW_FILE, data)
        disk.sync(NEW_FILE)
        with self._replacing:  # whoever reads entries back has the old file and its places, or the new ones
            disk.rename(NEW_FILE, FILE)
            if not self._base_index:
                self._syncs = 0  # the mark grows, and must not be torn: sync it at once
            self._end, self._base_index = len(data), snapshot.index
            self._places = array("Q", [len(MAGIC)]) * len(behind)
        disk.sync_folder()

    def _read_snapshot(self, files: list[str]) -> Snapshot | None:
        if SNAPSHOT not in files:
            return None
        try:
            return read_snapshot(self.disk)
        except SnapshotFileError as error:
            raise CorruptLogError(f"{error}. {ADVICE}") from None

    def _failed(self, doing: str, file: str, error: OSError) -> DiskFailedError:
        """The error with the file that it names; if it names none, `file`."""
        if isinstance(error, DiskFailedError):
            return error
        return DiskFailedError(doing, error.filename or self.disk.describe(file), error)

    def _read_mark(self) -> int:
        """How much of the log was synced, at least; 0 if the mark is that of an earlier file."""
        mark = mark_in(self.disk.read(SYNCED))
        if mark is None:
            raise CorruptLogError(
                f"{self.disk.describe(SYNCED)}: damaged; it says how much of the log was synced. {ADVICE}"
            )
        size, base_index = mark
        if base_index > self._base_index:
            raise CorruptLogError(
                f"{self.disk.describe(FILE)}, offset 0: its first record is damaged, or it is an earlier log: "
                f"{self.disk.describe(SYNCED)} speaks of one that begins after entry {base_index}. {ADVICE}"
            )
        return size if base_index == self._base_index else 0


def _damaged(what: str) -> OSError:
    """A disk that gives back other bytes than were written to it has failed."""
    return OSError(errno.EIO, what)


def _cut(name: str, offset: int, lost: int, *, marked: bool) -> str:
    """The log line of a torn tail that was cut off, with what is not known about it."""
    what = f"{name}: cut {lost} bytes at offset {offset}, a write that was never completed"
    if marked:
        return f"{what}; if the power failed, it can also be damage to the last records, which cannot be told apart"
    return f"{what}; an earlier version wrote this log without a mark of what was synced, so it can also be damage"
