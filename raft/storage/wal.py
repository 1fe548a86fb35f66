"""The write-ahead log: term, vote, entries and truncations in one file, in order of time.

    file    = magic (8 bytes), then records as in `raft.storage.framing`
    body    = a msgpack array of everything that one write made durable together (`raft.state.messages.Record`)

A node writes and syncs each record before it begins the next. So a damaged record with nothing behind it is a torn
tail: its write never completed, no other node has heard of it, and recovery cuts it off. A damaged record with an
intact one behind it was synced before: that is corruption, and the node must not start, since it may have forgotten a
vote or an acknowledged entry.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import chain

import msgspec

from raft_chaos.invariants.events import MALFORMED
from raft_chaos.raft.state.messages import Entry, HardState, Record, Recovered, Truncate
from raft_chaos.raft.storage.disk import Disk
from raft_chaos.raft.storage.framing import DamagedRecordError, frame, unframe

MAGIC = b"RCWAL\x00\x00\x01"
FILE = "raft.wal"
IDENTITY = "identity.json"

log = logging.getLogger("raft.wal")

_encoder = msgspec.msgpack.Encoder()
_decode = msgspec.msgpack.Decoder(list[Record]).decode


class CorruptLogError(Exception):
    """The log or the data folder is invalid. The message says the file, the offset, what is wrong, and what to do."""


class Identity(msgspec.Struct, frozen=True):
    """The owner of a data folder. A node writes it after the log, so a folder with an identity must have a log too."""

    cluster: str
    node: str


def encode_record(records: Sequence[Record]) -> bytes:
    """One write's worth of records, framed."""
    return frame(_encoder.encode(records))


def decode_records(data: bytes, name: str = FILE) -> tuple[list[list[Record]], int]:
    """All records of a log file's content, and the offset at which a torn tail begins (its length if there is none).

    Raises CorruptLogError.
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
    return batches, good


_ADVICE = (
    "Refusing to start: this node may have forgotten a vote or an acknowledged entry. "
    "Restore the data folder, or remove this server from the cluster and add it again under a new name."
)


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

    def recover(self, identity: Identity) -> Recovered:
        """Opens the log, creating it in an unused folder. Raises CorruptLogError."""
        disk = self.disk
        files = disk.list()
        if IDENTITY in files:
            self._check_identity(identity)
            if FILE not in files:
                raise CorruptLogError(
                    f"{disk.describe(FILE)}: the log is missing from a data folder that was in use. {_ADVICE}"
                )
            data = disk.read(FILE)
            batches, good = decode_records(data, disk.describe(FILE))
            recovered = fold(batches, disk.describe(FILE))
            if good < len(data):
                name, lost = disk.describe(FILE), len(data) - good
                log.warning("%s: cut %d bytes at offset %d, a write that was never completed", name, lost, good)
                disk.truncate(FILE, good)
            # A kill between append and sync leaves records only in the page cache. Sync them, since this node now
            # reports them and counts them as durable.
            disk.sync(FILE)
            return recovered
        self._create(identity, files)
        return Recovered()

    def _create(self, identity: Identity, files: list[str]) -> None:
        # A first start that crashed half-way leaves a log without identity. Nothing depends on such a log.
        disk = self.disk
        if FILE in files:
            if len(disk.read(FILE)) > len(MAGIC):
                raise CorruptLogError(f"{disk.describe(IDENTITY)}: missing beside a log that was in use. {_ADVICE}")
            disk.truncate(FILE, 0)
        disk.append(FILE, MAGIC)
        disk.sync(FILE)
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
        self.disk.append(FILE, encode_record(records))

    def sync(self) -> None:
        self.disk.sync(FILE)
