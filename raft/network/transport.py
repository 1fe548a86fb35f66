"""Links between nodes: one TCP connection for each direction of each pair, frames as in `codec`.

A link that is down drops its messages: Raft resends what matters, so the transport never does. (One that `holds` keeps
the latest message instead.) `outgoing` has the connections that this node opens, `incoming` those that it accepts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping

from raft_chaos.raft.network.codec import Envelope, FrameBuffer, Hello
from raft_chaos.raft.network.handshake import Secret
from raft_chaos.raft.network.incoming import Arrivals, Receiver
from raft_chaos.raft.network.outgoing import Address, Link
from raft_chaos.raft.network.tls import Tls
from raft_chaos.raft.state.messages import Message

Numbered = tuple[str, int, Message]
"""A message to a peer, with its number."""


class Transport:
    """All links of one node. With a secret, both ends of each link prove that they know it; with TLS, both ends show
    certificates, and links are encrypted.

    `frames` cuts what comes into frames, and checks them. `refused` is called with the name of a peer whose connection
    was closed for what came over it.
    """

    def __init__(
        self,
        hello: Hello,
        peers: Mapping[str, Address],
        receive: Receiver,
        secret: Secret | None = None,
        tls: Tls | None = None,
        *,
        frames: type[FrameBuffer] = FrameBuffer,
        refused: Callable[[str], None] = lambda peer: None,
        holds: bool = False,
    ) -> None:
        self.port = 0
        self._links = {peer: Link(peer, address, hello, secret, tls, holds=holds) for peer, address in peers.items()}
        self._arrivals = Arrivals(
            hello,
            peers,
            secret,
            receive,
            lambda peer: self._links[peer].try_now(),
            tls,
            frames=frames,
            refused=refused,
        )
        self._server: asyncio.Server | None = None
        self._number = 0

    async def listen(self, host: str, port: int) -> None:
        """Binds the listening socket; `port` 0 takes a free one, and `self.port` says which. Raises OSError."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._arrivals.protocol, host, port)
        self.port = self._server.sockets[0].getsockname()[1]

    def connect(self) -> None:
        """Starts the outgoing links."""
        for link in self._links.values():
            link.start()

    async def connected(self) -> None:
        """Waits until every link has been up, for a host that must not lose its first messages."""
        for link in self._links.values():
            await link.has_been_up.wait()

    def number(self, messages: Iterable[tuple[str, Message]]) -> list[Numbered]:
        """Numbers the messages that their links take, so that they are reported before they leave; others are lost."""
        numbered: list[Numbered] = []
        for peer, message in messages:
            if self._links[peer].takes:
                self._number += 1
                numbered.append((peer, self._number, message))
        return numbered

    def send(self, numbered: Iterable[Numbered]) -> None:
        for peer, number, message in numbered:
            self._links[peer].send(Envelope(number, message))

    async def close(self) -> None:
        for link in self._links.values():
            await link.stop()
        if self._server is not None:
            self._server.close()
        self._arrivals.close()
