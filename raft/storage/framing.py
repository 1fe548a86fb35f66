"""Records in an append-only file, and how a reader tells a torn tail from damage.

    record  = length (4 bytes), CRC-32 of the body (4 bytes), body; numbers are big-endian

A body is a msgpack array that is not empty. A writer completes each record before it begins the next. So a damaged
record with an intact one behind it is damage. With nothing behind it, it can be a torn tail, a write that never
completed; whoever knows how much was complete can tell (`wal`).

A file is read in pieces, so a long one takes no more memory than a short one. A record is read as a whole.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from raft_chaos.invariants.events import MALFORMED

MAX_BODY = 1 << 30
PIECE = 4 * 1024 * 1024
"""How many bytes of a file are read at once, unless a record is longer."""

T = TypeVar("T")

LONGEST_SEARCHED = 64 * 1024 * 1024
"""Behind damage no longer record is looked for: what stands there is no length, and any number may be one."""

HEADER = 8
_unpack_header = struct.Struct(">II").unpack_from


class DamagedRecordError(Exception):
    """The record at `offset` is damaged, and an intact one follows it."""

    def __init__(self, offset: int, later: int) -> None:
        super().__init__(f"the record is damaged, and an intact one follows at offset {later}, so this is no torn tail")
        self.offset = offset


def frame(body: bytes) -> bytes:
    return header_of(body) + body


def header_of(body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + zlib.crc32(body).to_bytes(4, "big")


def body_of(header: bytes, body: bytes) -> bytes | None:
    """The body, if it is the whole one that the header speaks of; None if either is damaged."""
    if len(header) != HEADER or _unpack_header(header) != (len(body), zlib.crc32(body)):
        return None
    return body


def opened_by(decode: Callable[[bytes], T]) -> Callable[[bytes, int], T | None]:
    """Opens a body that has this checksum and can be decoded; gives None for another one."""

    def opened(body: bytes, checksum: int) -> T | None:
        if zlib.crc32(body) != checksum:
            return None
        try:
            return decode(body)
        except MALFORMED:
            return None

    return opened


def unframe(data: bytes, offset: int, decode: Callable[[bytes], T]) -> Iterator[tuple[T, int]]:
    """The records from `offset`, decoded, each with the offset at which it ends; leaves out a torn tail.

    Raises DamagedRecordError at a damaged record.
    """
    records = Records(lambda begin, size: data[begin : begin + size], opened_by(decode))
    for record, _, end in records.intact(offset):
        yield record, end
        offset = end
    records.check_torn(offset)


class Records(Generic[T]):
    """The records of a file. `read` gives the bytes from an offset, so many or fewer if the file ends before; `opened`
    gives what a body with a checksum says, or None if it is damaged."""

    def __init__(self, read: Callable[[int, int], bytes], opened: Callable[[bytes, int], T | None]) -> None:
        self._read = read
        self._opened = opened
        self._piece, self._begin = b"", 0  # the bytes that were read last, and their offset
        self._size: int | None = None  # of the file, once its end was seen

    @property
    def size(self) -> int:
        """The size of the file."""
        while self._size is None:
            self._read_piece(self._begin + len(self._piece), PIECE)
        return self._size

    def bytes_at(self, offset: int, size: int) -> bytes:
        """These bytes, or fewer if the file ends before."""
        begin = offset - self._begin
        if begin < 0 or (begin + size > len(self._piece) and not self._sees_end()):
            self._read_piece(offset, max(size, PIECE))
            begin = 0
        return self._piece[begin : begin + size]

    def _sees_end(self) -> bool:
        return self._begin + len(self._piece) == self._size

    def _read_piece(self, offset: int, size: int) -> None:
        self._piece, self._begin = b"", offset  # the last one goes before the next one comes
        self._piece = self._read(offset, size)
        if len(self._piece) < size:
            self._size = offset + len(self._piece)

    def intact(self, offset: int) -> Iterator[tuple[T, int, int]]:
        """The records from `offset` up to the first that is not intact, each with where it begins and ends."""
        while (found := self._at(offset)) is not None:
            record, end = found
            yield record, offset, end
            offset = end

    def _at(self, offset: int, longest: int = MAX_BODY) -> tuple[T, int] | None:
        """The record at `offset` and where it ends; None if there is no intact one."""
        header = self.bytes_at(offset, HEADER)
        if len(header) < HEADER:
            return None
        length, checksum = _unpack_header(header)
        end = offset + HEADER + length
        if not 0 < length <= longest or (self._size is not None and end > self._size):
            return None
        body = self.bytes_at(offset, HEADER + length)[HEADER:]
        if len(body) < length:
            return None
        record = self._opened(body, checksum)
        return None if record is None else (record, end)

    def check_torn(self, offset: int) -> None:
        """Raises DamagedRecordError if an intact record follows the bytes at `offset`, which are none."""
        later = self._next(offset + 1)
        if later is not None:
            raise DamagedRecordError(offset, later)

    def _next(self, offset: int) -> int | None:
        """Where the next intact record begins. Tries every byte, since the damaged record's length may be wrong."""
        while len(piece := self.bytes_at(offset, PIECE)) > HEADER:
            for place in range(len(piece) - HEADER):
                # This looks at one byte of what may be a msgpack array before it computes a checksum.
                first = piece[place + HEADER]
                if not (0x91 <= first <= 0x9F or first in (0xDC, 0xDD)):
                    continue
                if self._at(offset + place, LONGEST_SEARCHED) is not None:
                    return offset + place
            offset += len(piece) - HEADER
        return None
