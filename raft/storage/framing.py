"""Records in an append-only file, and how a reader tells a torn tail from damage.

    record  = length (4 bytes), CRC-32 of the body (4 bytes), body; numbers are big-endian

A body is a msgpack array that is not empty. A writer completes each record before it begins the next. So a damaged
record with an intact one behind it is damage. With nothing behind it, it can be a torn tail, a write that never
completed; whoever knows how much was complete can tell (`wal`).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from typing import TypeVar

from raft_chaos.invariants.events import MALFORMED

MAX_BODY = 1 << 30

T = TypeVar("T")

HEADER = 8
_unpack_header = struct.Struct(">II").unpack_from


class DamagedRecordError(Exception):
    """The record at `offset` is damaged, and an intact one follows it."""

    def __init__(self, offset: int, later: int) -> None:
        super().__init__(f"the record is damaged, and an intact one follows at offset {later}, so this is no torn tail")
        self.offset = offset


def frame(body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + zlib.crc32(body).to_bytes(4, "big") + body


def unframe(data: bytes, offset: int, decode: Callable[[bytes], T]) -> Iterator[tuple[T, int]]:
    """The records from `offset`, decoded, each with the offset at which it ends; leaves out a torn tail.

    Raises DamagedRecordError at a damaged record.
    """
    while offset < len(data):
        found = _record_at(data, offset, decode)
        if found is None:
            later = _next_record(data, offset + 1, decode)
            if later is None:
                return
            raise DamagedRecordError(offset, later)
        yield found
        offset = found[1]


def begins(data: bytes, offset: int) -> Iterator[int]:
    """Where each record begins, from `offset`, by the lengths that they say. Only for records that `unframe` gave."""
    while offset + HEADER <= len(data):
        yield offset
        offset += HEADER + _unpack_header(data, offset)[0]


def body_of(header: bytes, body: bytes) -> bytes | None:
    """The body, if it is the whole one that the header speaks of; None if either is damaged."""
    if len(header) != HEADER or _unpack_header(header) != (len(body), zlib.crc32(body)):
        return None
    return body


def _record_at(data: bytes, offset: int, decode: Callable[[bytes], T]) -> tuple[T, int] | None:
    """The record at `offset` and where it ends; None if there is no intact one."""
    begin = offset + HEADER
    if begin > len(data):
        return None
    length, checksum = _unpack_header(data, offset)
    end = begin + length
    if not 0 < length <= MAX_BODY or end > len(data):
        return None
    body = data[begin:end]
    if zlib.crc32(body) != checksum:
        return None
    try:
        return decode(body), end
    except MALFORMED:
        return None


def _next_record(data: bytes, offset: int, decode: Callable[[bytes], T]) -> int | None:
    """Where the next intact record begins. Tries every byte, since the damaged record's length may be wrong."""
    for candidate in range(offset, len(data) - HEADER):
        # This looks at one byte of what may be a msgpack array before it computes a checksum.
        first = data[candidate + HEADER]
        if (0x91 <= first <= 0x9F or first in (0xDC, 0xDD)) and _record_at(data, candidate, decode) is not None:
            return candidate
    return None
