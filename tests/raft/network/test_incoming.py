"""Limits of incoming connections: how many, how much is kept of what they send, how much is handled in one turn."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter

import pytest

from ends import HOST, WAIT_S, Ends, is_dropped, listening, run
from raft_chaos.raft.network import incoming
from raft_chaos.raft.network.codec import (
    HEADER_BYTES,
    MAX_FRAME,
    PROTOCOL_VERSION,
    Envelope,
    FrameError,
    Hello,
    encode_frame,
    framed,
)
from raft_chaos.raft.network.transport import Transport
from raft_chaos.raft.state.messages import AppendEntries, Entry, Message, RequestVote

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def hello(node: str = "n2", incarnation: int = 1) -> bytes:
    return encode_frame(Hello(PROTOCOL_VERSION, "c", node, incarnation))


def votes(count: int) -> bytes:
    return b"".join(encode_frame(Envelope(number, RequestVote(number, 0, 0))) for number in range(count))


async def call(ends: Ends, sent: bytes) -> Stream:
    reader, writer = await asyncio.open_connection(HOST, ends.transport.port)
    writer.write(sent)
    return reader, writer


async def arrives(ends: Ends, source: str, number: int) -> None:
    while (await ends.next())[:3:2] != (source, number):
        pass


def hang_up(*streams: Stream) -> None:
    for _, writer in streams:
        writer.transport.abort()


def test_a_turn_of_the_loop_handles_a_bounded_part_of_a_flood_and_treats_callers_equally() -> None:
    """Messages, by sender, in each turn of the event loop, while two peers have far more to say."""
    turns: list[Counter[str]] = [Counter()]
    total = 4_000

    async def main() -> None:
        done = asyncio.Event()

        def receive(source: str, _incarnation: int, _number: int, _message: Message) -> None:
            turns[-1][source] += 1
            if sum(sum(turn.values()) for turn in turns) == 2 * total:
                done.set()

        def next_turn() -> None:
            turns.append(Counter())
            if not done.is_set():
                loop.call_soon(next_turn)

        loop = asyncio.get_running_loop()
        n1 = Transport(Hello(PROTOCOL_VERSION, "c", "n1", 1), {"n2": (HOST, 1), "n3": (HOST, 1)}, receive)
        await n1.listen(HOST, 0)
        streams = [await asyncio.open_connection(HOST, n1.port) for _ in range(2)]
        for name, (_, writer) in zip(("n2", "n3"), streams, strict=True):
            writer.write(hello(name) + votes(total))
        next_turn()
        await asyncio.wait_for(done.wait(), WAIT_S)
        hang_up(*streams)
        await n1.close()

    run(main)
    busy = [turn for turn in turns if turn]
    assert max(max(turn.values()) for turn in busy) <= incoming.FRAMES_PER_TURN
    assert any(len(turn) == 2 for turn in busy)


def test_a_long_frame_counts_as_several() -> None:
    long = encode_frame(Envelope(1, AppendEntries(1, 0, 0, 0, [Entry(1, bytes(incoming.BYTES_PER_FRAME * 100))])))
    turns: list[int] = [0]

    async def main() -> None:
        done = asyncio.Event()

        def receive(*_: object) -> None:
            turns[-1] += 1
            if sum(turns) == 5:
                done.set()

        def next_turn() -> None:
            turns.append(0)
            if not done.is_set():
                loop.call_soon(next_turn)

        loop = asyncio.get_running_loop()
        n1 = Transport(Hello(PROTOCOL_VERSION, "c", "n1", 1), {"n2": (HOST, 1)}, receive)
        await n1.listen(HOST, 0)
        _, writer = await asyncio.open_connection(HOST, n1.port)
        writer.write(hello() + 5 * long)
        next_turn()
        await asyncio.wait_for(done.wait(), WAIT_S)
        writer.transport.abort()
        await n1.close()

    run(main)
    assert max(turns) == 1


def test_silent_callers_cannot_keep_a_peer_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incoming, "MAX_UNKNOWN", 3)
    monkeypatch.setattr(incoming, "HELLO_TIMEOUT_S", 1_000.0)

    async def main() -> None:
        n1 = await listening("n1", "n2")
        silent = [await call(n1, b"") for _ in range(5)]
        for reader, _ in silent[:2]:
            assert await is_dropped(reader)
        peer = await call(n1, hello() + votes(1))
        await arrives(n1, "n2", 0)
        assert await is_dropped(silent[2][0])
        more = [await call(n1, b"") for _ in range(5)]
        peer[1].write(votes(8)[len(votes(7)) :])  # a known peer is not affected
        await arrives(n1, "n2", 7)
        hang_up(peer, *silent, *more)
        await n1.transport.close()

    run(main)


def test_a_new_connection_of_a_peer_replaces_its_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incoming, "MAX_PER_PEER", 2)

    async def main() -> None:
        n1 = await listening("n1", "n2", "n3")
        other = await call(n1, hello("n3") + votes(1))
        await arrives(n1, "n3", 0)
        streams = []
        for _ in range(4):
            streams.append(await call(n1, hello() + votes(1)))
            await arrives(n1, "n2", 0)
        for reader, _ in streams[:2]:
            assert await is_dropped(reader)
        for stream in (*streams[2:], other):
            stream[1].write(votes(2)[len(votes(1)) :])
            assert (await n1.next())[2] == 1
        hang_up(other, *streams)
        await n1.transport.close()

    run(main)


def test_unfinished_frames_are_bounded_in_total(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(incoming, "MAX_UNFINISHED_BYTES", 1_000_000)
    begun = framed(bytes(MAX_FRAME))[:HEADER_BYTES]

    async def main() -> None:
        n1 = await listening("n1", "n2", "n3")
        small = await call(n1, hello("n3") + begun + bytes(300_000))
        large = await call(n1, hello("n2") + begun + bytes(900_000))
        assert await is_dropped(large[0])
        await small[1].drain()
        assert not small[0].at_eof()
        hang_up(small, large)
        await n1.transport.close()

    with caplog.at_level(logging.INFO):
        run(main)
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("closed the connection from n2: unfinished frames exceed 1000000 bytes")


def test_a_caller_without_a_handshake_is_dropped_in_time(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(incoming, "HELLO_TIMEOUT_S", 0.1)

    async def main() -> None:
        n1 = await listening("n1", "n2")
        silent, slow = await call(n1, b""), await call(n1, hello()[:-1])
        greeted = await call(n1, hello())
        for reader, _ in (silent, slow):
            assert await is_dropped(reader)
        greeted[1].write(votes(1))
        await arrives(n1, "n2", 0)
        hang_up(silent, slow, greeted)
        await n1.transport.close()

    with caplog.at_level(logging.INFO):
        run(main)
    lines = [record.getMessage() for record in caplog.records]
    assert lines == ["closed the connection from an unknown caller: no handshake within 0.1 s"] * 2


def test_callers_that_come_again_and_again_do_not_fill_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(incoming, "LINES_PER_MINUTE", 5)

    async def main() -> None:
        n1 = await listening("n1", "n2")
        for _ in range(10):
            reader, writer = await call(n1, b"GET / HTTP/1.1\r\n\r\n")
            assert await is_dropped(reader)
            writer.close()
        await n1.transport.close()

    with caplog.at_level(logging.INFO):
        run(main)
    assert [record.getMessage().partition(" from")[0] for record in caplog.records] == [
        *["closed the connection"] * 4,
        "5 connections were closed in a minute; more are not logged in it",
    ]


def test_a_message_that_the_node_refuses_ends_its_connection(caplog: pytest.LogCaptureFixture) -> None:
    def receive(*_: object) -> None:
        raise FrameError("entry 7 cannot be")

    async def main() -> None:
        n1 = Transport(Hello(PROTOCOL_VERSION, "c", "n1", 1), {"n2": (HOST, 1)}, receive)
        await n1.listen(HOST, 0)
        reader, writer = await asyncio.open_connection(HOST, n1.port)
        writer.write(hello() + votes(3))
        assert await is_dropped(reader)
        writer.close()
        await n1.close()

    with caplog.at_level(logging.INFO):
        run(main)
    assert [record.getMessage() for record in caplog.records] == [
        "closed the connection from n2: entry 7 cannot be",
    ]
