"""Frames: every message is decoded as it was encoded, in any chunks, and invalid bytes raise only FrameError."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from raft_chaos.raft.network.codec import (
    LENGTH_BYTES,
    MAX_FRAME,
    Envelope,
    FrameBuffer,
    FrameError,
    Hello,
    decode_envelope,
    decode_hello,
    encode_frame,
)
from raft_chaos.raft.state.messages import AppendEntries, Entry, Message
from records import MESSAGES, NAMES, NUMBERS

HELLOS = st.builds(Hello, st.integers(0, 99), NAMES, NAMES, NUMBERS, st.binary(max_size=32), st.binary(max_size=32))
NESTED = b"\x92\x01" + b"\x95\xa3rvr\x01\xc3\x01" + b"\x91" * 50_000 + b"\x90"
"""A message with one field too many, which holds an array that holds an array that holds an array..."""


@given(NUMBERS, MESSAGES)
def test_every_message_survives_encoding_and_decoding(number: int, message: Message) -> None:
    frame = encode_frame(Envelope(number, message))
    assert decode_envelope(frame[LENGTH_BYTES:]) == Envelope(number, message)


@given(HELLOS)
def test_a_handshake_survives_encoding_and_decoding(hello: Hello) -> None:
    assert decode_hello(encode_frame(hello)[LENGTH_BYTES:]) == hello


def chunks(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return (data[start:end] for start, end in pairwise(edges))


@given(st.lists(st.binary(max_size=50), max_size=8), st.lists(NUMBERS, max_size=20))
def test_any_chunks_give_the_same_payloads(payloads: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(len(payload).to_bytes(LENGTH_BYTES, "big") + payload for payload in payloads)
    buffer = FrameBuffer()
    assert [payload for chunk in chunks(stream, cuts) for payload in buffer.feed(chunk)] == payloads


def test_single_bytes_give_the_same_payloads() -> None:
    stream = b"\0\0\0\x02ab\0\0\0\0\0\0\0\x01c"
    buffer = FrameBuffer()
    assert [payload for byte in stream for payload in buffer.feed(bytes([byte]))] == [b"ab", b"", b"c"]


@given(st.binary(max_size=200))
@example(NESTED)
@example(b"\x92\x01\x96\xa2ae\x01\x01\x01\x01\xdd\xff\xff\xff\xff")  # an array of four thousand million entries
@example(b"\x96\xa5hello\x01\xa2\xff\xff\x01\x01\x01")  # a string that is no UTF-8
def test_arbitrary_payloads_raise_nothing_but_frame_error(payload: bytes) -> None:
    for decode, kind in ((decode_hello, Hello), (decode_envelope, Envelope)):
        try:
            assert isinstance(decode(payload), kind)
        except FrameError:
            pass


@given(MESSAGES, st.data())
def test_damaged_messages_raise_nothing_but_frame_error(message: Message, data: st.DataObject) -> None:
    payload = bytearray(encode_frame(Envelope(1, message))[LENGTH_BYTES:])
    payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    del payload[data.draw(st.integers(0, len(payload))) :]
    try:
        decode_envelope(bytes(payload))
    except FrameError:
        pass


def test_endless_nesting_is_a_malformed_message() -> None:
    with pytest.raises(FrameError, match="a message is malformed"):
        decode_envelope(NESTED)


@given(st.binary(max_size=300))
def test_an_arbitrary_stream_raises_nothing_but_frame_error(stream: bytes) -> None:
    buffer = FrameBuffer(max_frame=64)
    try:
        assert all(len(payload) <= 64 for payload in buffer.feed(stream))
    except FrameError:
        pass


def test_a_length_beyond_the_maximum_is_refused_before_its_bytes_arrive() -> None:
    buffer = FrameBuffer()
    whole = b"\0\0\0\x01x"
    arrived = buffer.feed(whole + (MAX_FRAME + 1).to_bytes(LENGTH_BYTES, "big"))
    assert next(arrived) == b"x"
    with pytest.raises(FrameError, match=f"{MAX_FRAME + 1} bytes was announced; the maximum is {MAX_FRAME}"):
        next(arrived)


def test_a_message_beyond_the_maximum_is_not_sent() -> None:
    with pytest.raises(FrameError, match="larger than the maximum"):
        encode_frame(Envelope(1, AppendEntries(1, 0, 0, 0, [Entry(1, bytes(MAX_FRAME))])))
