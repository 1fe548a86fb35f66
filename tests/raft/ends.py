"""Transports over real sockets on loopback, for tests of links."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from raft_chaos.raft.network.codec import PROTOCOL_VERSION, Hello
from raft_chaos.raft.network.handshake import Secret
from raft_chaos.raft.network.tls import Tls
from raft_chaos.raft.network.transport import Transport
from raft_chaos.raft.server.event_loop import run_event_loop
from raft_chaos.raft.state.messages import Message

Arrived = tuple[str, int, int, Message]
HOST = "127.0.0.1"
WAIT_S = 20.0  # how long a test that fails hangs; one that passes never waits for it


class Ends:
    """A transport and the messages that arrive at it."""

    def __init__(
        self,
        node: str,
        peers: dict[str, tuple[str, int]],
        *,
        cluster: str = "c",
        incarnation: int = 1,
        secret: Secret | None = None,
        tls: Tls | None = None,
        holds: bool = False,
    ) -> None:
        self.arrived: asyncio.Queue[Arrived] = asyncio.Queue()
        hello = Hello(PROTOCOL_VERSION, cluster, node, incarnation)
        self.transport = Transport(
            hello, peers, lambda *arrived: self.arrived.put_nowait(arrived), secret, tls, holds=holds
        )

    async def next(self) -> Arrived:
        return await asyncio.wait_for(self.arrived.get(), WAIT_S)

    async def send_until_arrived(self, to: str, message: Message, other: Ends) -> Arrived:
        """Repeats the message: messages that are sent before a link is up are lost by design."""
        async with asyncio.timeout(WAIT_S):
            while True:
                self.transport.send(self.transport.number([(to, message)]))
                try:
                    return await asyncio.wait_for(other.arrived.get(), 0.02)
                except TimeoutError:
                    continue


def run(main: Callable[[], Awaitable[None]]) -> None:
    run_event_loop(main())


async def listening(node: str, *peers: str, secret: Secret | None = None, tls: Tls | None = None) -> Ends:
    """A transport that listens, and whose peers are down."""
    ends = Ends(node, dict.fromkeys(peers, (HOST, 1)), secret=secret, tls=tls)
    await ends.transport.listen(HOST, 0)
    return ends


async def is_dropped(reader: asyncio.StreamReader) -> bool:
    """Waits for the end of a connection, whatever comes before it."""
    try:
        await asyncio.wait_for(reader.read(), WAIT_S)
    except ConnectionError:
        pass  # a reset is as good an end
    return True
