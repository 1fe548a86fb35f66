"""The write-ahead log: term, vote, entries and truncations in one file, in order of time, behind a snapshot in another.

    file    = magic (8 bytes, the last one a version), then records as in `raft.storage.framing`
    body    = a msgpack array of everything that one write made durable together (`raft.state.messages.FileRecord`)

A write that never completed leaves a torn tail: no other node has heard of it, and recovery cuts it off. All that was
synced may have been acknowledged: if that is damaged, the node must not start, since it may have forgotten a vote or an
entry. Two things tell damage from a torn tail:

- A node writes and syncs each record before it begins the next. So a damaged record with an intact one behind it was
  synced.
- A second file is the mark: how much of the log was synced, written after each sync and before anything is
  acknowledged. So all that is damaged or missing below the mark was synced.

The mark is cheap, since it is itself synced only once in `MARK_SYNCED_EVERY` records. The end of a process does not set
it back, since the operating system has it. A power failure can set it back by that many records. Then bytes above the
mark that are no record are a torn tail, or records that were acknowledged and damaged later. Nothing on the disk can
tell which, and the log line about the cut says so.

A snapshot (§7, `raft.storage.snapshot_file`) gives the log's space back. It is written to a file of its own, and then
what is left of the log to a new one, which begins with a `LogBase` (version 2 of the format; version 1 has none). Each
gets its name only once it is synced, so both are always whole. A crash between the two leaves a snapshot that is newer
than the log: recovery takes it, and finishes the work. The mark of a log with a base says the base too, so that the
mark of an earlier file means nothing to a newer one. The first record of such a file was synced before the file got its
name, so it is never a torn tail.

Entries that the node has not in memory any more are read back from the file (`read_entries`), whose offsets are kept.

A disk that fails ends the node (`DiskFailedError`). After a failed write nobody knows what is on the disk, and after a
failed sync the next one may succeed without the lost bytes: to try again would acknowledge what is not there.
"""

from __future__ import annotations

import errno
import logging
import zlib
from array import array
from collections.abc import Sequence
from itertools import chain
from threading import Lock
from typing import Annotated, cast

import msgspec

from raft_chaos.invariants.events import MALFORMED
from raft_chaos.raft.state.messages import (
    Append,
    Committed,
    Entry,
    FileRecord,
    HardState,
    LogBase,
    Record,
    Recovered,
    SaveSnapshot,
    Snapshot,
    Truncate,
)
from raft_chaos.raft.storage.disk import Disk
from raft_chaos.raft.storage.framing import HEADER, DamagedRecordError, begins, body_of, frame, unframe
from raft_chaos.raft.storage.snapshot_file import SNAPSHOT, STAGED, SnapshotFileError, read_snapshot, write_staged

MAGIC = b"RCWAL\x00\x00\x01"
MAGIC_WITH_BASE = b"RCWAL\x00\x00\x02"
FILE = "raft.wal"
NEW_FILE = "raft.wal.new"
SYNCED = "raft.wal.synced"
"""The mark: a size of the log in bytes (8 bytes, big-endian), the index of its base if it has one (8 bytes), and the
CRC-32 of these bytes."""
IDENTITY = "identity.json"
MARK_SYNCED_EVERY = 256
READ_BACK = "read an entry back"

_OF_A_DISK = (errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS)

log = logging.getLogger("raft.wal")

_encoder = msgspec.msgpack.Encoder()
_decode = msgspec.msgpack.Decoder(Annotated[list[FileRecord], msgspec.Meta(min_length=1)]).decode
"""An empty write is none: nobody makes one, so it is damage like any other."""


class CorruptLogError(Exception):
    """The log or the data folder is invalid. The message says the file, the offset, what is wrong, and what to do."""


class DiskFailedError(OSError):
    """The disk failed at an operation, and the node must end. The message says which, on which file, and what to do."""

    def __init__(self, doing: str, name: str, error: OSError) -> None:
        super().__init__(error.errno, error.strerror, name)
        self.doing = doing

    def __str__(self) -> str:
        return (
            f"{self.filename}: cannot {self.doing}: {self.strerror}. This node ends, since {self._why}. Repair or free "
            "the disk, and start the node again: it continues from what was synced."
        )

    @property
    def _why(self) -> str:
        if self.doing == READ_BACK:
            return "an entry that it cannot read is not one that is missing, and to go on would send or apply others"
        return "nothing says what the disk has of the last write, and to try again would not show it"


class Identity(msgspec.Struct, frozen=True):
    """The owner of a data folder. A node writes it after the log, so a folder with an identity must have a log too."""

    cluster: str
    node: str


def encode_record(records: Sequence[FileRecord]) -> bytes:
    """One write's worth of records, framed."""
    return frame(_encoder.encode(records))


def decode_records(data: bytes, name: str = FILE, synced: int = 0) -> tuple[list[list[FileRecord]], int]:
    """All records of a log file's content, and the offset at which a torn tail begins (its length if there is none).

    The first `synced` bytes are known to have been synced. Raises CorruptLogError.
    """
    if data[: len(MAGIC)] not in (MAGIC, MAGIC_WITH_BASE):
        raise CorruptLogError(
            f"{name}, offset 0: not a write-ahead log of this version (expected {MAGIC!r}). {_ADVICE}"
        )
    batches: list[list[FileRecord]] = []
    good = len(MAGIC)
    try:
        for batch, end in unframe(data, good, _decode):
            batches.append(batch)
            good = end
    except DamagedRecordError as error:
        raise CorruptLogError(f"{name}, offset {error.offset}: {error}. {_ADVICE}") from None
    if (data[: len(MAGIC)] == MAGIC_WITH_BASE) is not (bool(batches) and type(batches[0][0]) is LogBase):
        raise CorruptLogError(
            f"{name}, offset {len(MAGIC)}: the first record is damaged; it was synced before the file got its name. "
            f"{_ADVICE}"
        )
    if good < synced:
        found = "the file ends here" if good == len(data) else "here is no intact record"
        raise CorruptLogError(
            f"{name}, offset {good}: {found}, but the log was synced up to offset {synced}. Records that this node has "
            f"acknowledged are lost. {_ADVICE}"
        )
    return batches, good


_ADVICE = (
    "Refusing to start: this node may have forgotten a vote or an acknowledged entry. "
    "Restore the data folder, or remove this server from the cluster and add it again under a new name."
)


def intact_records(data: bytes) -> list[tuple[int, int]]:
    """(begin, end) of each record of a log file's content, up to the first damaged one."""
    spans: list[tuple[int, int]] = []
    begin = len(MAGIC)
    try:
        for _, end in unframe(data, begin, _decode):
            spans.append((begin, end))
            begin = end
    except DamagedRecordError:
        pass
    return spans


def base_of(data: bytes) -> int:
    """The index of the base of a log file with this content; 0 if it has none, or if its first record is damaged."""
    if data[: len(MAGIC)] == MAGIC_WITH_BASE:
        try:
            for batch, _ in unframe(data, len(MAGIC), _decode):
                return batch[0].index if isinstance(batch[0], LogBase) else 0
        except DamagedRecordError:
            pass
    return 0


def fold(
    batches: Sequence[Sequence[FileRecord | SaveSnapshot]], name: str = FILE, snapshot: Snapshot | None = None
) -> Recovered:
    """The state after all records, with the newest `snapshot`: the last hard state, and the entries behind the snapshot
    that no later truncation deleted. Raises CorruptLogError."""
    hard_state, base, commit_index = HardState(0, None), LogBase(0, 0, ""), 0
    entries: list[Entry] = []
    for record in chain.from_iterable(batches):
        match record:
            case HardState():
                hard_state = record
            case Truncate():
                del entries[max(record.from_index - base.index - 1, 0) :]
            case LogBase():
                base = record
            case Committed():
                commit_index = record.index
            case SaveSnapshot():
                snapshot, hard_state, entries = record.snapshot, record.hard_state, record.entries.copy()
                base, commit_index = LogBase(snapshot.index, snapshot.term, snapshot.digest), 0
            case Append():
                if record.index != base.index + len(entries) + 1:
                    last = base.index + len(entries)
                    raise CorruptLogError(f"{name}: entry {record.index} follows entry {last}. {_ADVICE}")
                entries.append(record.entry)
    if commit_index > base.index + len(entries):
        raise CorruptLogError(
            f"{name}: entries up to {commit_index} were committed, but the log ends with entry "
            f"{base.index + len(entries)}. {_ADVICE}"
        )
    if snapshot is None or snapshot.index < base.index:
        if base.index:
            found = f"the snapshot ends at {snapshot.index}" if snapshot is not None else "there is no snapshot"
            raise CorruptLogError(f"{name}: the log begins after entry {base.index}, but {found}. {_ADVICE}")
        return Recovered(hard_state, entries, commit_index=commit_index)
    behind = _behind(snapshot, base.index, entries)
    return Recovered(hard_state, behind, snapshot, commit_index if commit_index > snapshot.index else 0)


def _behind(snapshot: Snapshot, base_index: int, entries: list[Entry]) -> list[Entry]:
    """The entries that follow the snapshot. If a crash came before the log was replaced, the log begins earlier, and
    ends or goes on in another way if the snapshot is a leader's (§7)."""
    replaced = snapshot.index - base_index
    if replaced == 0:
        return entries
    matches = replaced <= len(entries) and entries[replaced - 1].term == snapshot.term
    return entries[replaced:] if matches else []


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
        self._check_identity(identity)
        name = disk.describe(FILE)
        if FILE not in files:
            raise CorruptLogError(f"{name}: the log is missing from a data folder that was in use. {_ADVICE}")
        data = disk.read(FILE)
        self._base_index = base_of(data)
        synced = self._read_mark() if SYNCED in files else 0
        batches, self._end = self._decode(data, name, synced)
        recovered = fold(batches, name, self._read_snapshot(files))
        for batch, offset in zip(batches, begins(data, len(MAGIC)), strict=False):
            self._note(batch, offset)
        if self._end < len(data):
            log.warning("%s", _cut(name, self._end, len(data) - self._end, marked=SYNCED in files))
            self._cut_tail()
        for staged in (STAGED, NEW_FILE):
            if staged in files:
                disk.remove(staged)  # the crash came before it got its name
        if recovered.snapshot is not None and recovered.snapshot.index > self._base_index:
            self._replace_log(SaveSnapshot(recovered.snapshot, recovered.hard_state, recovered.entries))
        # A kill between append and sync leaves records only in the page cache. Sync them, since this node now
        # reports them and counts them as durable.
        self.sync()
        if SYNCED not in files:
            disk.sync_folder()
        return recovered

    def _decode(self, data: bytes, name: str, synced: int) -> tuple[list[list[FileRecord]], int]:
        return decode_records(data, name, synced)

    def _cut_tail(self) -> None:
        """Removes a torn tail: a record that is appended behind it would be damaged, too."""
        self.disk.truncate(FILE, self._end)

    def _create(self, identity: Identity, files: list[str]) -> None:
        # A first start that crashed half-way leaves a log without identity. Nothing depends on such a log.
        disk = self.disk
        if FILE in files:
            if len(disk.read(FILE)) > len(MAGIC):
                raise CorruptLogError(f"{disk.describe(IDENTITY)}: missing beside a log that was in use. {_ADVICE}")
            disk.truncate(FILE, 0)
        disk.append(FILE, MAGIC)
        self._end = len(MAGIC)
        self.sync()
        staged = IDENTITY + ".new"
        if staged in files:
            disk.remove(staged)
        disk.append(staged, msgspec.json.encode(identity) + b"\n")
        disk.sync(staged)
        disk.rename(staged, IDENTITY)
        disk.sync_folder()

    def _check_identity(self, identity: Identity) -> None:
        name = self.disk.describe(IDENTITY)
        try:
            found = msgspec.json.decode(self.disk.read(IDENTITY), type=Identity)
        except MALFORMED as error:
            raise CorruptLogError(f"{name}, offset 0: {error}. {_ADVICE}") from None
        if found != identity:
            raise CorruptLogError(
                f"{name}: this folder belongs to node {found.node!r} of cluster {found.cluster!r}, "
                f"not to node {identity.node!r} of cluster {identity.cluster!r}. Give each node a folder of its own."
            )

    def size(self) -> int:
        """The size of the log in bytes, including unsynced ones."""
        return len(self.disk.read(FILE))

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
            if self.staged is not None:
                self._compact(self.staged)
            end = self._end
            self.disk.sync(file)
            file = SYNCED
            size = end.to_bytes(8, "big")
            if self._base_index:
                size += self._base_index.to_bytes(8, "big")
            self.disk.overwrite(SYNCED, size + zlib.crc32(size).to_bytes(4, "big"))
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
        return {record.index: record.entry for record in _decode(body) if type(record) is Append}

    # ---- snapshots (§7) -------------------------------------------------------------------------------------------

    def _stage(self, record: SaveSnapshot) -> None:
        """Writes the snapshot to a file that has not its name yet; the next sync does the rest."""
        try:
            write_staged(self.disk, record.snapshot)
        except OSError as error:
            raise self._failed("write a snapshot", STAGED, error) from error
        self.staged = record

    def _compact(self, record: SaveSnapshot) -> None:
        """The snapshot first: a crash behind it leaves a log that holds more than is needed, and never less."""
        self.name_snapshot()
        self._replace_log(record)
        self.staged = None

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
            self._end, self._base_index, self._syncs = len(data), snapshot.index, 0
            self._places = array("Q", [len(MAGIC)]) * len(behind)
        disk.sync_folder()

    def _read_snapshot(self, files: list[str]) -> Snapshot | None:
        if SNAPSHOT not in files:
            return None
        try:
            return read_snapshot(self.disk)
        except SnapshotFileError as error:
            raise CorruptLogError(f"{error}. {_ADVICE}") from None

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
                f"{self.disk.describe(SYNCED)}: damaged; it says how much of the log was synced. {_ADVICE}"
            )
        size, base_index = mark
        if base_index > self._base_index:
            raise CorruptLogError(
                f"{self.disk.describe(FILE)}, offset 0: its first record is damaged, or it is an earlier log: "
                f"{self.disk.describe(SYNCED)} speaks of one that begins after entry {base_index}. {_ADVICE}"
            )
        return size if base_index == self._base_index else 0


def _damaged(what: str) -> OSError:
    """A disk that gives back other bytes than were written to it has failed."""
    return OSError(errno.EIO, what)


def mark_in(data: bytes) -> tuple[int, int] | None:
    """The size of the log that the content of the mark says, and the index of its base; None if it is damaged."""
    body = data[:-4]
    if len(data) not in (12, 20) or zlib.crc32(body) != int.from_bytes(data[-4:], "big"):
        return None
    return int.from_bytes(body[:8], "big"), int.from_bytes(body[8:], "big")


def _cut(name: str, offset: int, lost: int, *, marked: bool) -> str:
    """The log line of a torn tail that was cut off, with what is not known about it."""
    what = f"{name}: cut {lost} bytes at offset {offset}, a write that was never completed"
    if marked:
        return f"{what}; if the power failed, it can also be damage to the last records, which cannot be told apart"
    return f"{what}; an earlier version wrote this log without a mark of what was synced, so it can also be damage"
