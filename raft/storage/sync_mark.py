"""The mark: how much of the log was synced, in a file of its own.

A node writes it after each sync and before it acknowledges anything. The mark is cheap, since it is itself synced only
once in `MARK_SYNCED_EVERY` records. The end of a process does not set it back, since the operating system has it. A
power failure can set it back by that many records. Then bytes above the mark that are no record are a torn tail, or
records that were acknowledged and damaged later. Nothing on the disk can tell which, and the log line about the cut
says so.

The mark says the log's base too, so that the mark of an earlier file means nothing to a newer one. It is always as
long: of a file that grows, a power failure may leave the new bytes with the old length.
"""

from __future__ import annotations

import zlib

SYNCED = "raft.wal.synced"
"""A size of the log in bytes (8 bytes, big-endian), the index of its base (8 bytes; in older files only if it has one),
and the CRC-32 of these bytes."""
MARK_SYNCED_EVERY = 256


def encode_mark(size: int, base_index: int) -> bytes:
    body = size.to_bytes(8, "big") + base_index.to_bytes(8, "big")
    return body + zlib.crc32(body).to_bytes(4, "big")


def mark_in(data: bytes) -> tuple[int, int] | None:
    """The size of the log that the content of the mark says, and the index of its base; None if it is damaged."""
    body = data[:-4]
    if len(data) not in (12, 20) or zlib.crc32(body) != int.from_bytes(data[-4:], "big"):
        return None
    return int.from_bytes(body[:8], "big"), int.from_bytes(body[8:], "big")
