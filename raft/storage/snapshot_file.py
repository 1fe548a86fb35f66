"""The file of a snapshot (§7).

    file    = magic (8 bytes, the last one a version), then one record as in `raft.storage.framing`
    body    = the snapshot (`raft.state.messages.Snapshot`) as a msgpack array

It gets its name only once it is synced, so it is never torn.
"""

from __future__ import annotations

import msgspec

from raft_chaos.raft.state.messages import Snapshot
from raft_chaos.raft.storage.disk import Disk
from raft_chaos.raft.storage.framing import DamagedRecordError, header_of, unframe

SNAPSHOT = "raft.snapshot"
STAGED = "raft.snapshot.new"
SNAPSHOT_VERSION = 2
"""Version 1 had no configuration (§6); a program of that version would go on with the members of the beginning."""
READS = (1, SNAPSHOT_VERSION)
SNAPSHOT_MAGIC = b"RCSNAP\x00" + bytes([SNAPSHOT_VERSION])

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Snapshot).decode


class SnapshotFileError(Exception):
    """The file is no valid snapshot. The message says the file, the offset, and what is wrong."""


def write_staged(disk: Disk, snapshot: Snapshot) -> None:
    """Writes the file under the name that it has until it is synced. Raises OSError."""
    if STAGED in disk.list():
        disk.remove(STAGED)
    body = _encode(snapshot)
    disk.append(STAGED, SNAPSHOT_MAGIC + header_of(body))
    disk.append(STAGED, body)  # by itself: a large one is not copied


def read_snapshot(disk: Disk) -> Snapshot:
    """Raises SnapshotFileError, and OSError if the file cannot be read."""
    data, name = disk.read(SNAPSHOT), disk.describe(SNAPSHOT)
    found = data[: len(SNAPSHOT_MAGIC)]
    if found[:-1] != SNAPSHOT_MAGIC[:-1] or found[-1] not in READS:
        raise SnapshotFileError(
            f"{name}, offset 0: not a snapshot of this version (expected {SNAPSHOT_MAGIC!r}, found {found!r})"
        )
    try:
        records = list(unframe(data, len(found), _decode))
    except DamagedRecordError as error:
        raise SnapshotFileError(f"{name}, offset {error.offset}: {error}") from None
    if len(records) != 1 or records[0][1] != len(data):
        raise SnapshotFileError(f"{name}, offset {len(found)}: the snapshot is damaged")
    return records[0][0]
