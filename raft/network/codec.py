"""Frames between nodes: a header under a checksum of its own, then a msgpack payload under another one.

    length              4 bytes: how many bytes follow it, the two checksums and the payload
    header checksum     4 bytes: the CRC-32 of the length
    payload checksum    4 bytes: the CRC-32 of the payload
    payload             at most `MAX_FRAME` bytes; all numbers are big-endian

Nothing is decoded whose checksum is wrong. TCP has a checksum too, of 16 bits; it misses one damaged segment in tens of
thousands, and all damage by a machine that passes the bytes on (Stone and Partridge, "When the CRC and TCP Checksum
Disagree", SIGCOMM 2000). The length has a checksum of its own, as in iSCSI's header digest (RFC 7143): a receiver that
believed a wrong length would wait for megabytes that nobody sends, and take every later frame for a part of them. A CRC
keeps out accidents, not an attacker, who can compute it too: that is what a secret or TLS is for.

A connection carries messages in one direction. The caller's first frame is its `Hello`; every later one is an
`Envelope`. With a secret the receiver sends two frames back: a `Challenge`, which the Hello answers, and a `Welcome`
(`handshake` says how they are proven). Anything else is a `FrameError`, and the receiver closes the connection: after a
bad frame it cannot know where the next one begins.

Decoding checks all that the bytes alone can tell: types, ranges and sizes (declared in `state.messages`), and whether
the numbers of one message contradict each other. `raft.server.claims` lists what is checked where.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Annotated
from zlib import crc32

import msgspec

from raft_chaos.invariants.events import MALFORMED
from raft_chaos.raft.state.messages import (
    MAX_NUMBER,
    AppendEntries,
    AppendEntriesReply,
    InstallSnapshot,
    Message,
    Number,
    PreVote,
    RequestVote,
)

PROTOCOL_VERSION = 5
"""4 had neither configurations (§6) nor transfers of the leadership, 3 neither snapshots nor PreVote."""
MAX_FRAME = 8 * 1024 * 1024
MAX_HANDSHAKE = 4096
"""The longest payload (bytes) of a frame of the handshake: whoever sends one is not known yet."""
LENGTH_BYTES = 4
HEADER_BYTES = 12
_CHECKSUM_BYTES = HEADER_BYTES - LENGTH_BYTES
_TLS_HANDSHAKE = b"\x16\x03"
"""The first two bytes of a connection that speaks TLS, which is the likeliest mistake."""
_WITHOUT_CHECKSUMS = (b"\xa5hello", b"\xa9challe")
"""What follows the length and one byte more where a node of version 2 says hello, or asks for a proof."""


class FrameError(Exception):
    """The bytes are not a frame of this protocol. The message says what was found and what was expected."""


_Bytes = Annotated[bytes, msgspec.Meta(max_length=64)]


class Hello(msgspec.Struct, frozen=True, array_like=True, tag="hello"):
    """The identity of the caller. With a secret also its nonce, and its proof; otherwise both are empty."""

    version: int
    cluster: str
    node: str
    incarnation: Number
    nonce: _Bytes = b""
    proof: _Bytes = b""


class Challenge(msgspec.Struct, frozen=True, array_like=True, tag="challenge"):
    """The receiver's first frame: the caller must prove with this nonce that it knows the secret."""

    nonce: _Bytes


class Welcome(msgspec.Struct, frozen=True, array_like=True, tag="welcome"):
    """The receiver's answer to a proven Hello: its own proof, with the caller's nonce."""

    proof: _Bytes


class Envelope(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A message with its number; (sender, incarnation, number) is its id."""

    number: Number
    message: Message


_pack_checksums = struct.Struct(">II").pack
_unpack_header = struct.Struct(">III").unpack_from
_encoder = msgspec.msgpack.Encoder()
_hello_decoder = msgspec.msgpack.Decoder(Hello)
_reply_decoder = msgspec.msgpack.Decoder(Challenge | Welcome)
_envelope_decoder = msgspec.msgpack.Decoder(Envelope)


def encode_frame(content: Hello | Challenge | Welcome | Envelope) -> bytes:
    """Raises FrameError if the content is larger than a frame may be."""
    payload = _encoder.encode(content)
    if len(payload) > MAX_FRAME:
        raise FrameError(f"a frame of {len(payload)} bytes is larger than the maximum of {MAX_FRAME}")
    return framed(payload)


def framed(payload: bytes) -> bytes:
    """The frame of this payload."""
    length = (_CHECKSUM_BYTES + len(payload)).to_bytes(LENGTH_BYTES, "big")
    return length + _pack_checksums(crc32(length), crc32(payload)) + payload


def decode_hello(payload: bytes) -> Hello:
    try:
        return _hello_decoder.decode(payload)
    except MALFORMED as error:
        raise FrameError(f"the handshake is malformed: {error}") from None


def decode_reply(payload: bytes) -> Challenge | Welcome:
    """A frame that the receiver sends back."""
    try:
        reply: Challenge | Welcome = _reply_decoder.decode(payload)
        return reply
    except MALFORMED as error:
        raise FrameError(f"the answer to the handshake is malformed: {error}") from None


def decode_envelope(payload: bytes) -> Envelope:
    try:
        envelope = _envelope_decoder.decode(payload)
    except MALFORMED as error:
        raise FrameError(f"a message is malformed: {error}") from None
    if contradiction := _contradiction(envelope.message):
        raise FrameError(f"a message contradicts itself: {contradiction}")
    return envelope


def _contradiction(message: Message) -> str:
    """What no correct node of any cluster says; "" for a message without a contradiction."""
    if type(message) is AppendEntries:
        if not message.entries:  # a heartbeat
            return "" if message.prev_log_term <= message.term else _later(message.prev_log_term, message.term)
        terms = [message.prev_log_term, *[entry.term for entry in message.entries]]
        if terms != sorted(terms):
            return "terms that decrease from one entry to the next (§5.3)"
        if terms[-1] > message.term:
            return _later(terms[-1], message.term)
        if message.prev_log_index + len(message.entries) > MAX_NUMBER:
            return f"{len(message.entries)} entries from index {message.prev_log_index} on"
    elif type(message) is AppendEntriesReply:
        if message.conflict_term > message.term:
            return _later(message.conflict_term, message.term)
    elif type(message) is RequestVote:
        if message.last_log_term > message.term:
            return _later(message.last_log_term, message.term)
    elif type(message) is PreVote and message.last_log_term >= message.term:
        return _later(message.last_log_term, message.term - 1)
    elif type(message) is InstallSnapshot:
        if message.last_included_term > message.term:
            return _later(message.last_included_term, message.term)
        if message.offset + len(message.data) > message.size:
            return f"{len(message.data)} bytes from {message.offset} on, of a snapshot of {message.size}"
    return ""


def _later(entry: int, term: int) -> str:
    return f"an entry of term {entry} in term {term}"


class FrameBuffer:
    """Cuts a stream of bytes, which arrives in arbitrary pieces, into payloads. `max_frame` may change on the way."""

    def __init__(self, max_frame: int = MAX_FRAME) -> None:
        self.max_frame = max_frame
        self._data: bytes | bytearray = b""
        self._start = 0  # what lies before it has been taken

    @property
    def waiting(self) -> int:
        """The number of bytes that have not been taken."""
        return len(self._data) - self._start

    def add(self, data: bytes) -> None:
        if self._start == len(self._data):  # nearly always: what comes at once are whole frames
            self._data = data
        else:
            # A long frame comes in many pieces: growing one buffer keeps that linear.
            rest = self._data if isinstance(self._data, bytearray) else bytearray(self._data)
            del rest[: self._start]
            rest += data
            self._data = rest
        self._start = 0

    def take(self) -> bytes | None:
        """The next payload; None if it is not complete. Raises FrameError on a wrong checksum, and on a length beyond
        the maximum."""
        data, start = self._data, self._start
        begin = start + HEADER_BYTES
        if begin > len(data):
            return None
        length, of_length, of_payload = _unpack_header(data, start)
        if crc32(data[start : start + LENGTH_BYTES]) != of_length:
            raise FrameError(_no_header(bytes(data[start:begin])))
        end = start + LENGTH_BYTES + length
        if not 0 <= end - begin <= self.max_frame:
            raise FrameError(f"a frame of {end - begin} bytes was announced; the maximum is {self.max_frame}")
        if end > len(data):
            return None
        self._start = end
        payload = bytes(data[begin:end])
        self._check(payload, of_payload)
        return payload

    def _check(self, payload: bytes, checksum: int) -> None:
        if crc32(payload) != checksum:
            raise FrameError(f"the checksum of a frame of {len(payload)} bytes is wrong: its bytes changed on the way")

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The payloads that `data` completes. Raises FrameError as `take` does."""
        self.add(data)
        while (payload := self.take()) is not None:
            yield payload


def _no_header(found: bytes) -> str:
    """Why these bytes, whose checksum is wrong, are no header of a frame."""
    if found.startswith(_TLS_HANDSHAKE):
        return "the caller speaks TLS, and this node does not; give all nodes of the cluster TLS"
    if found.startswith(_WITHOUT_CHECKSUMS, LENGTH_BYTES + 1):
        return f"protocol version 2 or older, whose frames have no checksum; this node speaks {PROTOCOL_VERSION}"
    return "the checksum of a frame's header is wrong: its bytes changed on the way, or they are no frame"
