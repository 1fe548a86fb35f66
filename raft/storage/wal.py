"""The write-ahead log: term, vote, entries and truncations in one file, in order of time.

    file    = magic (8 bytes), then records as in `raft.storage.framing`
    body    = a msgpack array of everything that one write made durable together (`raft.state.messages.Record`)

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

A disk that fails ends the node (`DiskFailedError`). After a failed write nobody knows what is on the disk, and after a
failed sync the next one may succeed without the lost bytes: to try again would acknowledge what is not there.
"""

from __future__ import annotations

import errno
import logging
import zlib
from collections.abc import Sequence
from itertools import chain

import msgspec

from raft_chaos.invariants.events import MALFORMED
from raft_chaos.raft.state.messages import Entry, HardState, Record, Recovered, Truncate
from raft_chaos.raft.storage.disk import Disk
from raft_chaos.raft.storage.framing import DamagedRecordError, frame, unframe

MAGIC = b"RCWAL\x00\x00\x01"
FILE = "raft.wal"
SYNCED = "raft.wal.synced"
"""The mark: a size of the log in bytes (8 bytes, big-endian), and the CRC-32 of these 8 bytes."""
IDENTITY = "identity.json"
MARK_SYNCED_EVERY = 256

_OF_A_DISK = (errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS)

log = logging.getLogger("raft.wal")

_encoder = msgspec.msgpack.Encoder()
_decode = msgspec.msgpack.Decoder(list[Record]).decode


class CorruptLogError(Exception):
    """The log or the data folder is invalid. The message says the file, the offset, what is wrong, and what to do."""


class DiskFailedError(OSError):
    """The disk failed at an operation, and the node must end. The message says which, on which file, and what to do."""

    def __init__(self, doing: str, name: str, error: OSError) -> None:
        super().__init__(error.errno, error.strerror, name)
        self.doing = doing

    def __str__(self) -> str:
        return (
            f"{self.filename}: cannot {self.doing}: {self.strerror}. This node ends, since nothing says what the disk "
            "has of the last write, and to try again would not show it. Repair or free the disk, and start the node "
            "again: it continues from what was synced."
        )


class Identity(msgspec.Struct, frozen=True):
    """The owner of a data folder. A node writes it after the log, so a folder with an identity must have a log too."""

    cluster: str
    node: str


def encode_record(records: Sequence[Record]) -> bytes:
    """One write's worth of records, framed."""
    return frame(_encoder.encode(records))


def decode_records(data: bytes, name: str = FILE, synced: int = 0) -> tuple[list[list[Record]], int]:
    """All records of a log file's content, and the offset at which a torn tail begins (its length if there is none).

    The first `synced` bytes are known to have been synced. Raises CorruptLogError.
    """
    if data[: len(MAGIC)] != MAGIC:
        raise CorruptLogError(
            f"{name}, offset 0: not a write-ahead log of this version (expected {MAGIC!r}). {_ADVICE}"
        )
    batches: list[list[Record]] = []
    good = len(MAGIC)
    try:
        for batch, end in unframe(data, good, _decode):
            batches.append(batch)
            good = end
    except DamagedRecordError as error:
        raise CorruptLogError(f"{name}, offset {error.offset}: {error}. {_ADVICE}") from None
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


def fold(batches: Sequence[Sequence[Record]], name: str = FILE) -> Recovered:
    """The state after all records: the last hard state, and the entries that no later truncation deleted."""
    hard_state = HardState(0, None)
    entries: list[Entry] = []
    for record in chain.from_iterable(batches):
        if isinstance(record, HardState):
            hard_state = record
        elif isinstance(record, Truncate):
            del entries[record.from_index - 1 :]
        elif record.index == len(entries) + 1:
            entries.append(record.entry)
        else:
            raise CorruptLogError(f"{name}: entry {record.index} follows entry {len(entries)}. {_ADVICE}")
    return Recovered(hard_state, entries)


class WriteAheadLog:
    """The log file of one node on a disk. A write is durable only after `append` and `sync`."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        self._end = 0
        self._syncs = 0

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
        synced = self._read_mark() if SYNCED in files else 0
        batches, self._end = self._decode(data, name, synced)
        recovered = fold(batches, name)
        if self._end < len(data):
            log.warning("%s", _cut(name, self._end, len(data) - self._end, marked=SYNCED in files))
            self._cut_tail()
        # A kill between append and sync leaves records only in the page cache. Sync them, since this node now
        # reports them and counts them as durable.
        self.sync()
        if SYNCED not in files:
            disk.sync_folder()
        return recovered

    def _decode(self, data: bytes, name: str, synced: int) -> tuple[list[list[Record]], int]:
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

    def append(self, records: Sequence[Record]) -> None:
        """Raises DiskFailedError, after which the log must not be used any more."""
        data = encode_record(records)
        self._end += len(data)
        try:
            self.disk.append(FILE, data)
        except OSError as error:
            raise self._failed("append to the log", FILE, error) from error

    def sync(self) -> None:
        """Makes durable what was appended before. The first sync, after recovery, makes the mark durable too.

        Raises DiskFailedError, after which the log must not be used any more.
        """
        end, file = self._end, FILE
        try:
            self.disk.sync(file)
            file = SYNCED
            size = end.to_bytes(8, "big")
            self.disk.overwrite(SYNCED, size + zlib.crc32(size).to_bytes(4, "big"))
            if self._syncs % MARK_SYNCED_EVERY == 0:
                self.disk.sync(SYNCED)
        except OSError as error:
            raise self._failed("sync the log", file, error) from error
        self._syncs += 1

    def _failed(self, doing: str, file: str, error: OSError) -> DiskFailedError:
        """The error with the file that it names; if it names none, `file`."""
        if isinstance(error, DiskFailedError):
            return error
        return DiskFailedError(doing, error.filename or self.disk.describe(file), error)

    def _read_mark(self) -> int:
        """How much of the log was synced, at least."""
        synced = mark_in(self.disk.read(SYNCED))
        if synced is None:
            raise CorruptLogError(
                f"{self.disk.describe(SYNCED)}: damaged; it says how much of the log was synced. {_ADVICE}"
            )
        return synced


def mark_in(data: bytes) -> int | None:
    """The size of the log that the content of the mark says; None if it is damaged."""
    if len(data) != 12 or zlib.crc32(data[:8]) != int.from_bytes(data[8:], "big"):
        return None
    return int.from_bytes(data[:8], "big")


def _cut(name: str, offset: int, lost: int, *, marked: bool) -> str:
    """The log line of a torn tail that was cut off, with what is not known about it."""
    what = f"{name}: cut {lost} bytes at offset {offset}, a write that was never completed"
    if marked:
        return f"{what}; if the power failed, it can also be damage to the last records, which cannot be told apart"
    return f"{what}; an earlier version wrote this log without a mark of what was synced, so it can also be damage"
