"""Connections from peers: who may call, how many at once, and how much of their bytes is kept and handled.

    before the Hello   at most 4 kB are kept, for at most a second, which includes the handshake of TLS. Beyond
                       `MAX_UNKNOWN` callers the oldest one goes: a peer says hello at once, so an idle caller cannot
                       keep it out.
    after it           at most `MAX_PER_PEER` connections of a peer; a newer one replaces the oldest, whose other end is
                       likely to be dead. Unfinished frames of all peers have `MAX_UNFINISHED_BYTES` together.
    in each turn       of the event loop, at most `FRAMES_PER_TURN` frames of a connection are handled, and less if they
                       are long. Meanwhile nothing more is read from it. So however much one caller sends, the others,
                       the clients and the timers wait for milliseconds.

A caller that breaks a rule is disconnected with one log line; all other connections stay open.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import ssl
import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from raft_chaos.raft.network.codec import (
    MAX_FRAME,
    MAX_HANDSHAKE,
    PROTOCOL_VERSION,
    Challenge,
    FrameBuffer,
    FrameError,
    Hello,
    Welcome,
    decode_envelope,
    decode_hello,
    encode_frame,
)
from raft_chaos.raft.network.handshake import Secret, fresh_nonce
from raft_chaos.raft.network.tls import Tls, check_caller, reason_of
from raft_chaos.raft.state.messages import Message

log = logging.getLogger("raft.transport")

HELLO_TIMEOUT_S = 1.0
MAX_UNKNOWN = 64
MAX_PER_PEER = 4
MAX_UNFINISHED_BYTES = 64 * 1024 * 1024
FRAMES_PER_TURN = 64
BYTES_PER_FRAME = 4096
"""A frame that is longer counts as several."""
LINES_PER_MINUTE = 60


class Receiver(Protocol):
    """Called for each message that arrives: sender, its incarnation, the message's number, the message.

    Raises FrameError for a message that no correct peer sends; the connection is then closed.
    """

    def __call__(self, source: str, incarnation: int, number: int, message: Message) -> None: ...


class Arrivals:
    """All connections from peers. `greeted` is called with the name of a peer that has said hello, `refused` with that
    of one whose connection was closed for what came over it. `frames` cuts the bytes of each connection into frames."""

    def __init__(
        self,
        ours: Hello,
        peers: Iterable[str],
        secret: Secret | None,
        receive: Receiver,
        greeted: Callable[[str], None],
        tls: Tls | None = None,
        *,
        frames: type[FrameBuffer] = FrameBuffer,
        refused: Callable[[str], None] = lambda peer: None,
    ) -> None:
        self.ours = ours
        self.secret = secret
        self.tls = tls
        self.receive = receive
        self.frames = frames
        self.refused = refused
        self._greeted = greeted
        self._unknown: dict[Incoming, None] = {}  # the oldest first
        self._known: dict[str, list[Incoming]] = {peer: [] for peer in peers}  # of each peer, the oldest first
        self._most_unknown = min(MAX_UNKNOWN, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 8)
        self._lines = _Lines()

    def protocol(self) -> asyncio.Protocol:
        """The protocol of a new connection."""
        incoming = Incoming(self)
        return incoming if self.tls is None else self.tls.accepts(incoming)

    def check(self, theirs: Hello) -> None:
        """Raises FrameError if the caller is not a peer in this cluster."""
        if theirs.version != PROTOCOL_VERSION:
            raise FrameError(f"protocol version {theirs.version}; this node speaks {PROTOCOL_VERSION}")
        if theirs.cluster != self.ours.cluster:
            raise FrameError(f"cluster {theirs.cluster!r}; this node belongs to {self.ours.cluster!r}")
        if theirs.node not in self._known:
            raise FrameError(f"node {theirs.node!r} is not one of this node's peers, {', '.join(self._known)}")

    def opened(self, incoming: Incoming) -> None:
        if len(self._unknown) >= self._most_unknown:
            oldest = next(iter(self._unknown))
            oldest.refuse(f"{self._most_unknown} callers have not said who they are, and this one called first")
        self._unknown[incoming] = None

    def greeted(self, incoming: Incoming, peer: str) -> None:
        del self._unknown[incoming]
        connections = self._known[peer]
        connections.append(incoming)
        if len(connections) > MAX_PER_PEER:
            connections.pop(0).abort()
        self._greeted(peer)

    def make_room(self) -> None:
        """Closes the connection with the longest unfinished frame while all of them together are too long."""
        connections = [one for peer in self._known.values() for one in peer]
        while sum(one.waiting for one in connections) > MAX_UNFINISHED_BYTES:
            longest = max(connections, key=lambda one: one.waiting)
            longest.refuse(f"unfinished frames exceed {MAX_UNFINISHED_BYTES} bytes, and this one is the longest")
            connections.remove(longest)

    def closed(self, incoming: Incoming) -> None:
        self._unknown.pop(incoming, None)
        for connections in self._known.values():
            if incoming in connections:
                connections.remove(incoming)

    def complain(self, caller: str, reason: str) -> None:
        if self._lines.allow():
            log.warning("closed the connection from %s: %s", caller, reason)

    def close(self) -> None:
        for one in [*self._unknown, *(one for peer in self._known.values() for one in peer)]:
            one.abort()


class Incoming(asyncio.Protocol):
    """One connection from a peer: a handshake, then messages."""

    def __init__(self, owner: Arrivals) -> None:
        self._owner = owner
        self._receive = owner.receive
        self._loop = asyncio.get_running_loop()
        self._frames = owner.frames(MAX_HANDSHAKE)
        self._challenge = b""
        self._peer: Hello | None = None
        self._connection: Any = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_working = False  # bytes wait for the next turn, and nothing is read
        self._closed = False

    @property
    def waiting(self) -> int:
        return 0 if self._closed else self._frames.waiting

    def connection_made(self, transport: Any) -> None:
        self._connection = transport
        self._owner.opened(self)
        self._timer = self._loop.call_later(HELLO_TIMEOUT_S, self._no_hello, self._loop.time() + HELLO_TIMEOUT_S)
        if self._owner.secret is not None:
            self._challenge = fresh_nonce()
            transport.write(encode_frame(Challenge(self._challenge)))

    def _no_hello(self, due: float) -> None:
        late = self._loop.time() - due
        if late > HELLO_TIMEOUT_S / 2:  # this process was paused, so the Hello may be here, unread
            due += late + HELLO_TIMEOUT_S
            self._timer = self._loop.call_later(HELLO_TIMEOUT_S, self._no_hello, due)
        else:
            self.refuse(f"no handshake within {HELLO_TIMEOUT_S:g} s")

    def data_received(self, data: bytes) -> None:
        if self._closed:
            return
        self._frames.add(data)
        if not self._is_working:
            self._work()

    def _work(self) -> None:
        """Handles what a turn allows; see the module's header."""
        budget = FRAMES_PER_TURN
        try:
            while budget > 0 and not self._closed:
                payload = self._frames.take()
                if payload is None:
                    if self._is_working or self._frames.waiting:
                        self._wait_for_more()
                    return
                budget -= 1 + len(payload) // BYTES_PER_FRAME
                if self._peer is None:
                    self._greet(decode_hello(payload))
                else:
                    envelope = decode_envelope(payload)
                    self._receive(self._peer.node, self._peer.incarnation, envelope.number, envelope.message)
        except FrameError as error:
            self.refuse(str(error))
        if not self._closed:
            if not self._is_working:
                self._is_working = True
                self._connection.pause_reading()
            self._loop.call_soon(self._work)

    def _wait_for_more(self) -> None:
        if self._is_working:
            self._is_working = False
            if not self._connection.is_closing():
                self._connection.resume_reading()
        if self._frames.waiting > MAX_HANDSHAKE:
            self._owner.make_room()

    def _greet(self, hello: Hello) -> None:
        owner = self._owner
        owner.check(hello)
        if owner.tls is not None:
            check_caller(self._connection.get_extra_info("peercert"), hello.node)
        if owner.secret is not None:
            owner.secret.check_caller(hello, owner.ours.node, self._challenge)
            self._connection.write(encode_frame(Welcome(owner.secret.welcome(hello, owner.ours.node, self._challenge))))
        self._peer = hello
        self._frames.max_frame = MAX_FRAME
        if self._timer is not None:
            self._timer.cancel()
        owner.greeted(self, hello.node)

    def refuse(self, reason: str) -> None:
        """Ends the connection with a log line."""
        if not self._closed:
            self._owner.complain(self._peer.node if self._peer else "an unknown caller", reason)
            self.abort()
            if self._peer is not None:
                self._owner.refused(self._peer.node)

    def connection_lost(self, error: Exception | None) -> None:
        if isinstance(error, ssl.SSLError):
            self.refuse(reason_of(error))
        self._end()

    def abort(self) -> None:
        self._end()
        if self._connection is not None:
            self._connection.abort()

    def _end(self) -> None:
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._frames = FrameBuffer()
        self._owner.closed(self)


class _Lines:
    """Limits log lines: a caller that comes back again and again must not fill the disk."""

    def __init__(self) -> None:
        self._since = 0.0
        self._lines = 0

    def allow(self) -> bool:
        now = time.monotonic()
        if now - self._since >= 60:
            self._since, self._lines = now, 0
        self._lines += 1
        if self._lines == LINES_PER_MINUTE:
            log.warning("%d connections were closed in a minute; more are not logged in it", LINES_PER_MINUTE)
        return self._lines < LINES_PER_MINUTE
