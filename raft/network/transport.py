"""Links between nodes: one TCP connection for each direction of each pair, frames as in `codec`.

A link that is down drops its messages: Raft resends what matters, so the transport never does. The link reconnects
with a growing, jittered delay. If a caller belongs to another cluster, or sends something that is not a frame, the
node closes its connection and logs one line; all other connections stay open.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from raft_chaos.raft.network.codec import (
    PROTOCOL_VERSION,
    Envelope,
    FrameBuffer,
    FrameError,
    Hello,
    decode_envelope,
    decode_hello,
    encode_frame,
)
from raft_chaos.raft.state.messages import Message

log = logging.getLogger("raft.transport")

MAX_UNSENT_BYTES = 64 * 1024 * 1024
BACKOFF_MIN_S, BACKOFF_MAX_S = 0.02, 0.5

Address = tuple[str, int]
Numbered = tuple[str, int, Message]
"""A message to a peer, with its number."""


class Receiver(Protocol):
    """Called for each message that arrives: sender, its incarnation, the message's number, the message."""

    def __call__(self, source: str, incarnation: int, number: int, message: Message) -> None: ...


class Transport:
    """All links of one node. `peer_urls` learns from the handshakes where clients reach each peer."""

    def __init__(self, hello: Hello, peers: Mapping[str, Address], receive: Receiver) -> None:
        self.hello = hello
        self.receive = receive
        self.peer_urls: dict[str, str] = {}
        self.port = 0
        self._links = {peer: _Link(peer, address, self._make_hello) for peer, address in peers.items()}
        self._server: asyncio.Server | None = None
        self._incoming: set[_Incoming] = set()  # only closed, so the order does not matter
        self._number = 0

    async def listen(self, host: str, port: int) -> None:
        """Binds the listening socket; `port` 0 takes a free one, and `self.port` says which. Raises OSError."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Incoming(self), host, port)
        self.port = self._server.sockets[0].getsockname()[1]

    def connect(self, http_url: str) -> None:
        """Starts the outgoing links; the handshake will say that clients reach this node at `http_url`."""
        old = self.hello
        self.hello = Hello(old.version, old.cluster, old.node, old.incarnation, http_url)
        for link in self._links.values():
            link.start()

    async def connected(self) -> None:
        """Waits until every link has been up, for a host that must not lose its first messages."""
        for link in self._links.values():
            await link.has_been_up.wait()

    def number(self, messages: Iterable[tuple[str, Message]]) -> list[Numbered]:
        """Numbers the messages whose link is up, so that they can be reported before they leave; others are lost."""
        numbered: list[Numbered] = []
        for peer, message in messages:
            if self._links[peer].is_up:
                self._number += 1
                numbered.append((peer, self._number, message))
        return numbered

    def send(self, numbered: Iterable[Numbered]) -> None:
        for peer, number, message in numbered:
            self._links[peer].send(encode_frame(Envelope(number, message)))

    async def close(self) -> None:
        for link in self._links.values():
            await link.stop()
        if self._server is not None:
            self._server.close()
        for incoming in list(self._incoming):
            incoming.abort()

    def _make_hello(self) -> bytes:
        return encode_frame(self.hello)

    def check_hello(self, theirs: Hello) -> None:
        """Raises FrameError if the caller is not a peer in this cluster."""
        ours = self.hello
        if theirs.version != PROTOCOL_VERSION:
            raise FrameError(f"protocol version {theirs.version}; this node speaks {PROTOCOL_VERSION}")
        if theirs.cluster != ours.cluster:
            raise FrameError(f"cluster {theirs.cluster!r}; this node belongs to {ours.cluster!r}")
        if theirs.node not in self._links:
            raise FrameError(f"node {theirs.node!r} is not one of this node's peers, {', '.join(self._links)}")

    def greeted_by(self, theirs: Hello) -> None:
        self.peer_urls[theirs.node] = theirs.http_url
        self._links[theirs.node].try_now()

    def opened(self, incoming: _Incoming) -> None:
        self._incoming.add(incoming)

    def closed(self, incoming: _Incoming) -> None:
        self._incoming.discard(incoming)


class _Incoming(asyncio.Protocol):
    """One connection from a peer: a handshake, then messages."""

    def __init__(self, owner: Transport) -> None:
        self._owner = owner
        self._frames = FrameBuffer()
        self._peer: Hello | None = None
        self._connection: asyncio.Transport | None = None
        self._closed = False

    def connection_made(self, transport: Any) -> None:
        self._connection = transport
        self._owner.opened(self)

    def data_received(self, data: bytes) -> None:
        if self._closed:
            return
        try:
            for payload in self._frames.feed(data):
                self._take(payload)
        except FrameError as error:
            caller = self._peer.node if self._peer else "an unknown caller"
            log.warning("closed the connection from %s: %s", caller, error)
            self.abort()

    def _take(self, payload: bytes) -> None:
        if self._peer is None:
            hello = decode_hello(payload)
            self._owner.check_hello(hello)
            self._peer = hello
            self._owner.greeted_by(hello)
            return
        envelope = decode_envelope(payload)
        self._owner.receive(self._peer.node, self._peer.incarnation, envelope.number, envelope.message)

    def connection_lost(self, error: Exception | None) -> None:
        self._closed = True
        self._owner.closed(self)

    def abort(self) -> None:
        self._closed = True
        if self._connection is not None:
            self._connection.abort()


class _Link:
    """The outgoing connection to one peer; as long as the link runs, it reconnects after a loss."""

    def __init__(self, peer: str, address: Address, make_hello: Callable[[], bytes]) -> None:
        self.peer = peer
        self._address = address
        self._make_hello = make_hello
        self._connection: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None
        self._try_now = asyncio.Event()
        self.has_been_up = asyncio.Event()
        # Jitter only spreads reconnects over time; no verdict depends on it.
        self._jitter = random.Random(peer)

    @property
    def is_up(self) -> bool:
        connection = self._connection
        if connection is None or connection.is_closing():
            return False
        return connection.get_write_buffer_size() < MAX_UNSENT_BYTES

    def send(self, frame: bytes) -> None:
        # The connection may have broken since the message was numbered; then the message is lost, as on any network.
        if self._connection is not None and not self._connection.is_closing():
            self._connection.write(frame)

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._keep_up())

    def try_now(self) -> None:
        """Reconnects now: the peer has just called, so it is up, and waiting for the delay is not necessary."""
        self._try_now.set()

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._connection is not None:
            self._connection.abort()

    async def _keep_up(self) -> None:
        loop = asyncio.get_running_loop()
        backoff_s = BACKOFF_MIN_S
        while True:
            started = loop.time()
            self._try_now.clear()
            gone: asyncio.Future[None] = loop.create_future()
            try:
                connection, _ = await loop.create_connection(lambda gone=gone: _Outgoing(gone), *self._address)  # type: ignore[misc]
            except OSError:
                pass  # the peer is down or not up yet: try again below
            else:
                connection.write(self._make_hello())
                self._connection = connection
                self.has_been_up.set()
                await gone
                self._connection = None
                if loop.time() - started > BACKOFF_MAX_S:
                    backoff_s = BACKOFF_MIN_S
            try:
                async with asyncio.timeout(backoff_s * self._jitter.uniform(0.5, 1.0)):
                    await self._try_now.wait()
            except TimeoutError:
                pass  # it has not called
            backoff_s = min(2 * backoff_s, BACKOFF_MAX_S)


class _Outgoing(asyncio.Protocol):
    """Reports when the connection is gone; it never receives anything."""

    def __init__(self, gone: asyncio.Future[None]) -> None:
        self._gone = gone

    def connection_lost(self, error: Exception | None) -> None:
        if not self._gone.done():
            self._gone.set_result(None)
