"""Links over real sockets: a refused caller does not affect other links, and links reconnect."""

from __future__ import annotations

import asyncio
import logging
import socket

import pytest

from ends import HOST, WAIT_S, Ends, is_dropped, listening, run
from raft_chaos.raft.network.codec import (
    HEADER_BYTES,
    MAX_FRAME,
    PROTOCOL_VERSION,
    Envelope,
    Hello,
    encode_frame,
    framed,
)
from raft_chaos.raft.state.messages import AppendEntries, Entry, RequestVote


def test_messages_arrive_in_order_with_sender_incarnation_and_number() -> None:
    async def main() -> None:
        n1 = await listening("n1", "n2")
        n2 = Ends("n2", {"n1": (HOST, n1.transport.port)}, incarnation=3)
        n2.transport.connect()
        first = await n2.send_until_arrived("n1", RequestVote(0, 0, 0), n1)
        assert first[:2] == ("n2", 3)
        sent = n2.transport.number([("n1", RequestVote(term, 0, 0)) for term in range(1, 100)])
        n2.transport.send(sent)
        assert [number for _, number, _ in sent] == list(range(sent[0][1], sent[0][1] + 99))
        arrived = [await n1.next() for _ in sent]
        assert arrived == [("n2", 3, number, message) for _, number, message in sent]
        await n2.transport.close()
        await n1.transport.close()

    run(main)


def test_a_link_that_is_down_drops_messages() -> None:
    async def main() -> None:
        n1 = await listening("n1", "n2")
        assert n1.transport.number([("n2", RequestVote(1, 0, 0))]) == []
        await n1.transport.close()

    run(main)


def test_a_link_that_holds_delivers_the_latest_message_when_it_comes_up() -> None:
    async def main() -> None:
        n1 = await listening("n1", "n2")
        n2 = Ends("n2", {"n1": (HOST, n1.transport.port)}, holds=True)
        sent = n2.transport.number([("n1", RequestVote(term, 0, 0)) for term in (1, 2, 3)])
        n2.transport.send(sent)
        n2.transport.connect()
        assert await n1.next() == ("n2", 1, 3, RequestVote(3, 0, 0))
        later = n2.transport.number([("n1", RequestVote(4, 0, 0))])
        n2.transport.send(later)
        assert await n1.next() == ("n2", 1, 4, RequestVote(4, 0, 0))
        assert n1.arrived.empty(), "what it held is delivered once"
        await n2.transport.close()
        await n1.transport.close()

    run(main)


def test_a_link_does_not_deliver_what_it_held_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        n1 = await listening("n1", "n2")
        n2 = Ends("n2", {"n1": (HOST, n1.transport.port)}, holds=True)
        n2.transport.send(n2.transport.number([("n1", RequestVote(1, 0, 0))]))
        n2.transport.connect()
        await asyncio.wait_for(n2.transport.connected(), WAIT_S)
        n2.transport.send(n2.transport.number([("n1", RequestVote(2, 0, 0))]))
        assert await n1.next() == ("n2", 1, 2, RequestVote(2, 0, 0))
        await n2.transport.close()
        await n1.transport.close()

    monkeypatch.setattr("raft_chaos.raft.network.outgoing.HELD_S", -1.0)
    run(main)


def test_a_peer_that_reads_nothing_costs_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its messages are lost once so many bytes wait for it, as on any network; none of another peer is."""
    limit, message = 300_000, AppendEntries(1, 0, 0, 0, [Entry(1, bytes(100_000))])
    monkeypatch.setattr("raft_chaos.raft.network.outgoing.MAX_UNSENT_BYTES", limit)

    async def main() -> None:
        silent = socket.create_server((HOST, 0))  # the system accepts, and nobody reads
        n3 = await listening("n3", "n1")
        n1 = Ends("n1", {"n2": (HOST, silent.getsockname()[1]), "n3": (HOST, n3.transport.port)})
        n1.transport.connect()
        await asyncio.wait_for(n1.transport.connected(), WAIT_S)
        async with asyncio.timeout(WAIT_S):
            while sent := n1.transport.number([("n2", message)]):
                n1.transport.send(sent)
                await asyncio.sleep(0)  # the system's own buffers take some of them
        waiting = n1.transport._links["n2"]._connection.get_write_buffer_size()
        assert limit <= waiting < limit + 2 * 100_000
        n1.transport.send(n1.transport.number([("n2", message), ("n3", RequestVote(2, 0, 0))]))
        assert n1.transport._links["n2"]._connection.get_write_buffer_size() == waiting
        assert (await n3.next())[3] == RequestVote(2, 0, 0)
        await n1.transport.close()
        await n3.transport.close()
        silent.close()

    run(main)


def test_no_message_is_lost_once_all_links_are_up() -> None:
    async def main() -> None:
        n1 = await listening("n1", "n2")
        n2 = Ends("n2", {"n1": (HOST, n1.transport.port)})
        n2.transport.connect()
        await asyncio.wait_for(n2.transport.connected(), WAIT_S)
        n2.transport.send([("n1", 17, RequestVote(1, 0, 0))])
        assert await n1.next() == ("n2", 1, 17, RequestVote(1, 0, 0))
        await n2.transport.close()
        await n1.transport.close()

    run(main)


def test_a_link_comes_back_after_the_other_side_has_restarted() -> None:
    async def main() -> None:
        n1 = await listening("n1", "n2")
        port = n1.transport.port
        n2 = Ends("n2", {"n1": (HOST, port)})
        n2.transport.connect()
        await n2.send_until_arrived("n1", RequestVote(1, 0, 0), n1)
        await n1.transport.close()
        async with asyncio.timeout(WAIT_S):
            while n2.transport.number([("n1", RequestVote(1, 0, 0))]):
                await asyncio.sleep(0)
        again = Ends("n1", {"n2": (HOST, 1)})
        await again.transport.listen(HOST, port)
        source, _, _, message = await n2.send_until_arrived("n1", RequestVote(2, 0, 0), again)
        assert (source, message) == ("n2", RequestVote(2, 0, 0))
        await n2.transport.close()
        await again.transport.close()

    run(main)


HELLO = encode_frame(Hello(PROTOCOL_VERSION, "c", "n3", 1))
UNWELCOME = {
    "another cluster": (
        encode_frame(Hello(PROTOCOL_VERSION, "other", "n3", 1)),
        "unknown caller: cluster 'other'; this node belongs to 'c'",
    ),
    "unknown node": (
        encode_frame(Hello(PROTOCOL_VERSION, "c", "n9", 1)),
        "unknown caller: node 'n9' is not one of this node's peers, n2, n3",
    ),
    "itself": (encode_frame(Hello(PROTOCOL_VERSION, "c", "n1", 1)), "node 'n1' is not one of"),
    "another version": (encode_frame(Hello(9, "c", "n3", 1)), "protocol version 9; this node speaks 5"),
    "no handshake": (encode_frame(Envelope(1, RequestVote(1, 0, 0))), "the handshake is malformed"),
    "HTTP": (
        b"GET / HTTP/1.1\r\n\r\n",
        "the checksum of a frame's header is wrong: its bytes changed on the way, or they are no",
    ),
    "oversized frame": (
        HELLO + framed(bytes(MAX_FRAME + 1))[:HEADER_BYTES],
        f"from n3: a frame of {MAX_FRAME + 1} bytes was announced",
    ),
    "malformed message": (HELLO + framed(b"abc"), "from n3: a message is malformed"),
    "malformed message, then good ones": (
        HELLO + framed(b"abc") + encode_frame(Envelope(1, RequestVote(1, 0, 0))),
        "from n3: a message is malformed",
    ),
    "nested without end": (
        HELLO + framed(b"\x92\x01\x95\xa3rvr\x01\xc3\x01" + b"\x91" * 50_000),
        "from n3: a message is malformed",
    ),
    "handshake twice": (HELLO + HELLO, "from n3: a message is malformed"),
}


@pytest.mark.parametrize(("sent", "said"), UNWELCOME.values(), ids=UNWELCOME)
def test_an_invalid_caller_is_disconnected_with_one_log_line_and_affects_no_other_link(
    sent: bytes, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        n1 = await listening("n1", "n2", "n3")
        n2 = Ends("n2", {"n1": (HOST, n1.transport.port)})
        n2.transport.connect()
        await n2.send_until_arrived("n1", RequestVote(1, 0, 0), n1)

        reader, writer = await asyncio.open_connection(HOST, n1.transport.port)
        writer.write(sent)
        assert await is_dropped(reader)
        writer.close()

        while not n1.arrived.empty():
            assert n1.arrived.get_nowait()[0] == "n2"
        n2.transport.send(n2.transport.number([("n1", RequestVote(2, 0, 0))]))
        while (await n1.next())[3] != RequestVote(2, 0, 0):
            pass  # earlier ones that were sent until the link was up
        await n2.transport.close()
        await n1.transport.close()

    with caplog.at_level(logging.INFO):
        run(main)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 1, lines
    assert lines[0].startswith("closed the connection from ")
    assert said in lines[0]


def test_a_caller_that_leaves_in_the_middle_of_a_frame_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        n1 = await listening("n1", "n2")
        _, writer = await asyncio.open_connection(HOST, n1.transport.port)
        writer.write(encode_frame(Hello(PROTOCOL_VERSION, "c", "n2", 1)) + framed(b"the other half")[:-7])
        await writer.drain()
        writer.close()
        n2 = Ends("n2", {"n1": (HOST, n1.transport.port)})
        n2.transport.connect()
        await n2.send_until_arrived("n1", RequestVote(1, 0, 0), n1)
        await n2.transport.close()
        await n1.transport.close()

    with caplog.at_level(logging.INFO):
        run(main)
    assert caplog.records == []


def test_an_occupied_port_is_an_os_error() -> None:
    async def main() -> None:
        n1 = await listening("n1")
        with pytest.raises(OSError):
            await Ends("n2", {}).transport.listen(HOST, n1.transport.port)
        await n1.transport.close()

    run(main)


def test_a_call_from_a_peer_ends_the_reconnect_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a delay of hours, only the handshake of the peer that has come back can bring the link up."""
    monkeypatch.setattr("raft_chaos.raft.network.outgoing.BACKOFF_MIN_S", 10_000.0)
    monkeypatch.setattr("raft_chaos.raft.network.outgoing.BACKOFF_MAX_S", 10_000.0)

    async def main() -> None:
        with socket.create_server((HOST, 0)) as reserved:
            port = reserved.getsockname()[1]
        n1 = Ends("n1", {"n2": (HOST, port)})
        await n1.transport.listen(HOST, 0)
        refused = asyncio.get_running_loop().create_connection(asyncio.Protocol, HOST, port)
        n1.transport.connect()
        with pytest.raises(OSError):  # asked after the link did: by now it has been refused as well, and waits
            await refused
        n2 = Ends("n2", {"n1": (HOST, n1.transport.port)})
        await n2.transport.listen(HOST, port)
        n2.transport.connect()
        arrived = await n1.send_until_arrived("n2", RequestVote(1, 0, 0), n2)
        assert arrived[0] == "n1"
        await n1.transport.close()
        await n2.transport.close()

    run(main)
