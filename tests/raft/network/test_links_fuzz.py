"""Random frames and handshakes, to the decoders and to transports that listen: nothing but a refusal comes of them."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ends import HOST, WAIT_S, Ends, listening, run
from raft_chaos.raft.network.codec import (
    HEADER_BYTES,
    MAX_HANDSHAKE,
    PROTOCOL_VERSION,
    Challenge,
    Envelope,
    FrameBuffer,
    FrameError,
    Hello,
    Welcome,
    decode_envelope,
    decode_hello,
    decode_reply,
    encode_frame,
    framed,
)
from raft_chaos.raft.network.handshake import Secret
from raft_chaos.raft.state.messages import AppendEntries, AppendEntriesReply, Entry, RequestVote, RequestVoteReply
from records import MESSAGES, NAMES

ANY_NUMBERS = st.integers(-(2**63), 2**64 - 1) | st.sampled_from([-1, 0, 1, 10**9, 2**63 - 1, 2**63, 2**64 - 1])
ANY_ENTRIES = st.builds(Entry, ANY_NUMBERS, st.binary(max_size=20))
ANY_MESSAGES = st.one_of(
    MESSAGES,
    st.builds(RequestVote, ANY_NUMBERS, ANY_NUMBERS, ANY_NUMBERS),
    st.builds(RequestVoteReply, ANY_NUMBERS, st.booleans()),
    st.builds(AppendEntries, ANY_NUMBERS, ANY_NUMBERS, ANY_NUMBERS, ANY_NUMBERS, st.lists(ANY_ENTRIES, max_size=3)),
    st.builds(AppendEntriesReply, ANY_NUMBERS, st.booleans(), ANY_NUMBERS, ANY_NUMBERS, ANY_NUMBERS, ANY_NUMBERS),
)
ANY_BYTES = st.binary(max_size=40)
HELLOS = st.builds(
    Hello,
    st.just(PROTOCOL_VERSION) | ANY_NUMBERS,
    st.just("c") | NAMES,
    st.sampled_from(["n1", "n2", "n3"]) | NAMES,
    ANY_NUMBERS,
    ANY_BYTES,
    ANY_BYTES,
)
GOOD_HELLO = st.just(Hello(PROTOCOL_VERSION, "c", "n2", 1))
CONTENTS = st.one_of(
    HELLOS,
    GOOD_HELLO,
    st.builds(Challenge, ANY_BYTES),
    st.builds(Welcome, ANY_BYTES),
    st.builds(Envelope, ANY_NUMBERS, ANY_MESSAGES),
)


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """Frames, whole and damaged, with arbitrary bytes between them; most begin with a good handshake."""
    frames = [encode_frame(one) for one in draw(st.lists(CONTENTS, max_size=6))]
    if draw(st.integers(0, 3)):
        frames.insert(0, encode_frame(draw(GOOD_HELLO)))
    frames += [framed(draw(ANY_BYTES)) for _ in range(draw(st.integers(0, 2)))]
    stream = bytearray(b"".join(draw(ANY_BYTES) + one if not draw(st.integers(0, 5)) else one for one in frames))
    for _ in range(draw(st.integers(0, 2)) if stream else 0):
        stream[draw(st.integers(0, len(stream) - 1))] = draw(st.integers(0, 255))
    return bytes(stream[: draw(st.integers(0, len(stream)))] if draw(st.booleans()) else stream)


@given(streams(), st.sampled_from([16, 64, MAX_HANDSHAKE]), st.integers(1, 50))
def test_decoders_raise_nothing_but_frame_error_and_keep_at_most_a_frame(
    stream: bytes, max_frame: int, piece: int
) -> None:
    buffer = FrameBuffer(max_frame)
    try:
        for start in range(0, len(stream), piece):
            for payload in buffer.feed(stream[start : start + piece]):
                for decode in (decode_hello, decode_reply, decode_envelope):
                    try:
                        decode(payload)
                    except FrameError:
                        pass
            assert buffer.waiting < max_frame + HEADER_BYTES
    except FrameError:
        pass


@given(ANY_MESSAGES)
def test_what_is_decoded_can_be_sent_on_and_is_in_range(message: Any) -> None:
    payload = encode_frame(Envelope(1, message))[HEADER_BYTES:]
    try:
        decoded = decode_envelope(payload).message
    except FrameError:
        return
    assert 0 <= decoded.term < 2**63
    assert decode_envelope(encode_frame(Envelope(2, decoded))[HEADER_BYTES:]).message == decoded


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.booleans(), streams()), min_size=1, max_size=20))
def test_a_listening_transport_survives_any_callers(callers: list[tuple[bool, bytes]]) -> None:
    """Callers of a node with a secret, and of one without; afterwards a good peer of either is heard."""
    failures: list[object] = []
    secret = Secret(b"s" * 32)

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
        ends = {True: await listening("n1", "n2", "n3", secret=secret), False: await listening("n1", "n2", "n3")}
        writers = []
        for with_secret, stream in callers:
            _, writer = await asyncio.open_connection(HOST, ends[with_secret].transport.port)
            writer.write(stream)
            writers.append(writer)
        for with_secret, n1 in ends.items():
            n3 = Ends("n3", {"n1": (HOST, n1.transport.port)}, secret=secret if with_secret else None)
            n3.transport.connect()
            await asyncio.wait_for(n3.transport.connected(), WAIT_S)
            n3.transport.send([("n1", 1_000_000, RequestVote(5, 0, 0))])
            while (await n1.next())[:3:2] != ("n3", 1_000_000):
                pass
            await n3.transport.close()
        for writer in writers:
            writer.transport.abort()
        for n1 in ends.values():
            await n1.transport.close()

    run(main)
    assert failures == []
