"""Frames: every message is decoded as it was encoded, in any chunks, and invalid bytes raise only FrameError."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from raft_chaos.raft.network.codec import (
    HEADER_BYTES,
    LENGTH_BYTES,
    MAX_FRAME,
    Envelope,
    FrameBuffer,
    FrameError,
    Hello,
    decode_envelope,
    decode_hello,
    encode_frame,
    framed,
)
from raft_chaos.raft.state.messages import AppendEntries, Entry, Message
from records import MESSAGES, NAMES, NUMBERS

HELLOS = st.builds(Hello, st.integers(0, 99), NAMES, NAMES, NUMBERS, st.binary(max_size=32), st.binary(max_size=32))
NESTED = b"\x92\x01" + b"\x95\xa3rvr\x01\xc3\x01" + b"\x91" * 50_000 + b"\x90"
"""A message with one field too many, which holds an array that holds an array that holds an array..."""


@given(NUMBERS, MESSAGES)
def test_every_message_survives_encoding_and_decoding(number: int, message: Message) -> None:
    frame = encode_frame(Envelope(number, message))
    assert decode_envelope(frame[HEADER_BYTES:]) == Envelope(number, message)


@given(HELLOS)
def test_a_handshake_survives_encoding_and_decoding(hello: Hello) -> None:
    assert decode_hello(encode_frame(hello)[HEADER_BYTES:]) == hello


def chunks(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return (data[start:end] for start, end in pairwise(edges))


@given(st.lists(st.binary(max_size=50), max_size=8), st.lists(NUMBERS, max_size=20))
def test_any_chunks_give_the_same_payloads(payloads: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(framed(payload) for payload in payloads)
    buffer = FrameBuffer()
    assert [payload for chunk in chunks(stream, cuts) for payload in buffer.feed(chunk)] == payloads


def test_single_bytes_give_the_same_payloads() -> None:
    stream = framed(b"ab") + framed(b"") + framed(b"c")
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
    payload = bytearray(encode_frame(Envelope(1, message))[HEADER_BYTES:])
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
    arrived = buffer.feed(framed(b"x") + framed(bytes(MAX_FRAME + 1))[:HEADER_BYTES])
    assert next(arrived) == b"x"
    with pytest.raises(FrameError, match=f"{MAX_FRAME + 1} bytes was announced; the maximum is {MAX_FRAME}"):
        next(arrived)


def test_a_message_beyond_the_maximum_is_not_sent() -> None:
    with pytest.raises(FrameError, match="larger than the maximum"):
        encode_frame(Envelope(1, AppendEntries(1, 0, 0, 0, [Entry(1, bytes(MAX_FRAME))])))


# ---- checksums ---------------------------------------------------------------------------------------------------

FRAMES = [encode_frame(Envelope(number, AppendEntries(2, 1, 1, 1, [Entry(2, b"x" * number)]))) for number in (1, 2, 3)]


@given(st.integers(0, 2), st.sets(st.integers(0, 8 * len(FRAMES[0]) - 1), min_size=1, max_size=3))
def test_a_frame_with_flipped_bits_is_refused_before_the_next_one_comes(place: int, bits: set[int]) -> None:
    frame = bytearray(FRAMES[place])
    for bit in bits:
        frame[bit // 8] ^= 1 << bit % 8
    buffer = FrameBuffer()
    arrived = buffer.feed(b"".join(FRAMES[:place]) + bytes(frame))
    assert [next(arrived) for _ in range(place)] == [one[HEADER_BYTES:] for one in FRAMES[:place]]
    with pytest.raises(FrameError, match=r"checksum of a frame.* is wrong: its bytes changed on the way"):
        next(arrived)


def test_a_wrong_length_is_found_by_the_header_alone() -> None:
    for bit in range(8 * HEADER_BYTES):
        header = bytearray(FRAMES[0][:HEADER_BYTES])
        header[bit // 8] ^= 1 << bit % 8
        buffer = FrameBuffer()
        buffer.add(bytes(header))
        if bit < 8 * 8:
            with pytest.raises(FrameError, match="the checksum of a frame's header is wrong"):
                buffer.take()
        else:
            assert buffer.take() is None, "the checksum of the payload is not looked at before the payload is there"


@pytest.mark.parametrize(
    "payload", [b"\x97\xa5hello\x02\xa1c\xa2n2\x01\xc4\x00\xc4\x00", b"\x92\xa9challenge\xc4\x01n"]
)
def test_a_node_of_version_2_hears_which_version_this_is(payload: bytes) -> None:
    with pytest.raises(FrameError, match="protocol version 2 or older, whose frames have no checksum; this node spea"):
        list(FrameBuffer().feed(len(payload).to_bytes(LENGTH_BYTES, "big") + payload))


@given(HELLOS)
def test_a_node_of_version_2_takes_no_handshake_of_this_version_for_one_of_its_own(hello: Hello) -> None:
    with pytest.raises(FrameError, match="the handshake is malformed"):
        decode_hello(encode_frame(hello)[LENGTH_BYTES:])


@pytest.mark.parametrize("length", [0, 7])
def test_a_length_without_room_for_the_checksums_is_refused(length: int) -> None:
    announced = length.to_bytes(LENGTH_BYTES, "big")
    with pytest.raises(FrameError, match="bytes was announced"):
        list(FrameBuffer().feed(announced + zlib.crc32(announced).to_bytes(4, "big") + bytes(4)))
