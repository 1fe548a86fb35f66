"""Frames between nodes: four bytes of length (big-endian), then a msgpack payload.

A connection carries frames in one direction. Its first frame is the handshake, `Hello`; every other one is an
`Envelope`. Anything else is a `FrameError`, and the receiver closes the connection: after a bad frame it cannot know
where the next one begins.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from raft_chaos.invariants.events import MALFORMED
from raft_chaos.raft.state.messages import Message

PROTOCOL_VERSION = 1
MAX_FRAME = 8 * 1024 * 1024
LENGTH_BYTES = 4


class FrameError(Exception):
    """The bytes are not a frame of this protocol. The message says what was found and what was expected."""


class Hello(msgspec.Struct, frozen=True, array_like=True, tag="hello"):
    """The identity of the caller. `http_url` is its address for clients, so that other nodes can redirect to it."""

    version: int
    cluster: str
    node: str
    incarnation: int
    http_url: str


class Envelope(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A message with its number; (sender, incarnation, number) is its id."""

    number: int
    message: Message


_encoder = msgspec.msgpack.Encoder()
_hello_decoder = msgspec.msgpack.Decoder(Hello)
_envelope_decoder = msgspec.msgpack.Decoder(Envelope)


def encode_frame(content: Hello | Envelope) -> bytes:
    """Raises FrameError if the content is larger than a frame may be."""
    payload = _encoder.encode(content)
    if len(payload) > MAX_FRAME:
        raise FrameError(f"a frame of {len(payload)} bytes is larger than the maximum of {MAX_FRAME}")
    return len(payload).to_bytes(LENGTH_BYTES, "big") + payload


def decode_hello(payload: bytes) -> Hello:
    try:
        return _hello_decoder.decode(payload)
    except MALFORMED as error:
        raise FrameError(f"the handshake is malformed: {error}") from None


def decode_envelope(payload: bytes) -> Envelope:
    try:
        return _envelope_decoder.decode(payload)
    except MALFORMED as error:
        raise FrameError(f"a message is malformed: {error}") from None


class FrameBuffer:
    """Cuts a stream of bytes, which arrives in arbitrary pieces, into payloads."""

    def __init__(self, max_frame: int = MAX_FRAME) -> None:
        self.max_frame = max_frame
        self._data = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The payloads that `data` completes. Raises FrameError on a length beyond the maximum."""
        self._data += data
        start, end = 0, len(self._data)
        try:
            while end - start >= LENGTH_BYTES:
                length = int.from_bytes(self._data[start : start + LENGTH_BYTES], "big")
                if length > self.max_frame:
                    raise FrameError(f"a frame of {length} bytes was announced; the maximum is {self.max_frame}")
                stop = start + LENGTH_BYTES + length
                if stop > end:
                    return
                payload = bytes(self._data[start + LENGTH_BYTES : stop])
                start = stop
                yield payload
        finally:
            del self._data[:start]
