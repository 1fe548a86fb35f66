"""The file of the write-ahead log: its format, and what tells damage from a torn tail.

    file    = magic (8 bytes, the last one a version), then records as in `raft.storage.framing`
    body    = a msgpack array of everything that one write made durable together (`raft.state.messages.FileRecord`)

A write that never completed leaves a torn tail: no other node has heard of it, and recovery cuts it off. All that was
synced may have been acknowledged: if that is damaged, the node must not start, since it may have forgotten a vote or an
entry. Two things tell damage from a torn tail:

- A node writes and syncs each record before it begins the next. So a damaged record with an intact one behind it was
  synced.
- A second file is the mark (`sync_mark`): how much of the log was synced. So all that is damaged or missing below it
  was synced.

A file whose beginning a snapshot has replaced (version 2 of the format; version 1 has none) begins with a `LogBase`.
That record was synced before the file got its name, so it is never a torn tail.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

import msgspec

from raft_chaos.raft.state.messages import FileRecord, LogBase
from raft_chaos.raft.storage.framing import DamagedRecordError, Records, frame, opened_by

MAGIC = b"RCWAL\x00\x00\x01"
MAGIC_WITH_BASE = b"RCWAL\x00\x00\x02"
FILE = "raft.wal"

Batch = list[FileRecord]
"""What one write made durable together."""

decode_batch = msgspec.msgpack.Decoder(Annotated[Batch, msgspec.Meta(min_length=1)]).decode
"""An empty write is none: nobody makes one, so it is damage like any other."""
open_batch: Callable[[bytes, int], Batch | None] = opened_by(decode_batch)
_encoder = msgspec.msgpack.Encoder()

ADVICE = (
    "Refusing to start: this node may have forgotten a vote or an acknowledged entry. "
    "Restore the data folder, or remove this server from the cluster and add it again under a new name."
)


class CorruptLogError(Exception):
    """The log or the data folder is invalid. The message says the file, the offset, what is wrong, and what to do."""


def encode_record(records: Sequence[FileRecord]) -> bytes:
    """One write's worth of records, framed."""
    return frame(_encoder.encode(records))


def check_magic(records: Records[Batch], name: str) -> bool:
    """Whether the file is to begin with a base. Raises CorruptLogError if it is no log."""
    magic = records.bytes_at(0, len(MAGIC))
    if magic not in (MAGIC, MAGIC_WITH_BASE):
        raise CorruptLogError(f"{name}, offset 0: not a write-ahead log of this version (expected {MAGIC!r}). {ADVICE}")
    return magic == MAGIC_WITH_BASE


def check_end(
    records: Records[Batch], first: Batch | None, good: int, name: str, *, has_base: bool, synced: int
) -> None:
    """Raises CorruptLogError if what follows the last intact record, which ends at `good`, is more than a torn tail.

    `first` is the first intact record, and the first `synced` bytes are known to have been synced.
    """
    try:
        records.check_torn(good)
    except DamagedRecordError as error:
        raise CorruptLogError(f"{name}, offset {error.offset}: {error}. {ADVICE}") from None
    if has_base is not (first is not None and type(first[0]) is LogBase):
        raise CorruptLogError(
            f"{name}, offset {len(MAGIC)}: the first record is damaged; it was synced before the file got its name. "
            f"{ADVICE}"
        )
    if good < synced:
        found = "the file ends here" if good == records.size else "here is no intact record"
        raise CorruptLogError(
            f"{name}, offset {good}: {found}, but the log was synced up to offset {synced}. Records that this node has "
            f"acknowledged are lost. {ADVICE}"
        )


# ---- a content in memory --------------------------------------------------------------------------------------------


def records_of(data: bytes) -> Records[Batch]:
    return Records(lambda offset, size: data[offset : offset + size], open_batch)


def decode_records(data: bytes, name: str = FILE, synced: int = 0) -> tuple[list[Batch], int]:
    """All records of a log file's content, and the offset at which a torn tail begins (its length if there is none).

    The first `synced` bytes are known to have been synced. Raises CorruptLogError.
    """
    records = records_of(data)
    has_base = check_magic(records, name)
    batches: list[Batch] = []
    good = len(MAGIC)
    for batch, _, end in records.intact(good):
        batches.append(batch)
        good = end
    first = batches[0] if batches else None
    check_end(records, first, good, name, has_base=has_base, synced=synced)
    return batches, good


def intact_records(data: bytes) -> list[tuple[int, int]]:
    """(begin, end) of each record of a log file's content, up to the first damaged one."""
    return [(begin, end) for _, begin, end in records_of(data).intact(len(MAGIC))]


def base_of(data: bytes) -> int:
    """The index of the base of a log file with this content; 0 if it has none, or if its first record is damaged."""
    if data[: len(MAGIC)] == MAGIC_WITH_BASE:
        for batch, _, _ in records_of(data).intact(len(MAGIC)):
            return batch[0].index if isinstance(batch[0], LogBase) else 0
    return 0
