"""The outgoing connection to one peer. As long as the link runs, it reconnects after a loss, with a growing, jittered
delay; while it is down, messages are lost, but for one: a link that `holds` keeps the latest, and delivers it as soon
as it is up. So a node that comes back hears from its leader at once, and not with the next heartbeat. To Raft this is a
slow network.

What a peer does not read is kept up to `MAX_UNSENT_BYTES`, and then messages to it are lost, too. The messages of one
turn of the node come on top, which `Timing.max_bytes_in_flight` bounds.
"""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
from typing import Any

from raft_chaos.raft.network.codec import (
    MAX_HANDSHAKE,
    Challenge,
    Envelope,
    FrameBuffer,
    FrameError,
    Hello,
    decode_reply,
    encode_frame,
)
from raft_chaos.raft.network.handshake import Secret
from raft_chaos.raft.network.tls import Tls, reason_of

log = logging.getLogger("raft.transport")

MAX_UNSENT_BYTES = 16 * 1024 * 1024
HELD_S = 1.0
"""What a link holds is not delivered if it is older."""
BACKOFF_MIN_S, BACKOFF_MAX_S = 0.02, 0.5
ANSWER_TIMEOUT_S = 2.0

Address = tuple[str, int]


class Link:
    """The outgoing link to `peer`. A peer that refuses the handshake is named in one log line until that changes."""

    def __init__(
        self,
        peer: str,
        address: Address,
        hello: Hello,
        secret: Secret | None,
        tls: Tls | None,
        *,
        holds: bool = False,
    ) -> None:
        self.peer = peer
        self._address = address
        self._hello = hello
        self._secret = secret
        self._tls = tls
        self._holds = holds
        self._held: tuple[float, Envelope] | None = None  # when it was to be sent, and the message
        self._connection: Any = None
        self._task: asyncio.Task[None] | None = None
        self._try_now = asyncio.Event()
        self.has_been_up = asyncio.Event()
        self._complaint = ""
        # Jitter only spreads reconnects over time; no verdict depends on it.
        self._jitter = random.Random(peer)

    @property
    def takes(self) -> bool:
        """Whether a message may reach the peer if it is sent now."""
        if not self._is_up:
            return self._holds
        return bool(self._connection.get_write_buffer_size() < MAX_UNSENT_BYTES)

    @property
    def _is_up(self) -> bool:
        return self._connection is not None and not self._connection.is_closing()

    def send(self, envelope: Envelope) -> None:
        # The connection may have broken since the message was numbered; then the message is lost, as on any network.
        if self._is_up:
            self._connection.write(encode_frame(envelope))
        elif self._holds:
            self._held = (asyncio.get_running_loop().time(), envelope)

    def _send_held(self) -> None:
        if self._held is not None:
            since, envelope = self._held
            self._held = None
            if asyncio.get_running_loop().time() - since <= HELD_S:
                self.send(envelope)

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._keep_up())

    def try_now(self) -> None:
        """Reconnects now: the peer has just called, so it is up, and waiting for the delay is not necessary."""
        self._try_now.set()

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _keep_up(self) -> None:
        loop = asyncio.get_running_loop()
        backoff_s = BACKOFF_MIN_S
        while True:
            started = loop.time()
            self._try_now.clear()
            outgoing = _Outgoing(self.peer, self._hello, self._secret)
            try:
                connection = await self._connect(outgoing)
            except (OSError, UnicodeError):
                pass  # the peer is down or not up yet (or its name is none): try again below
            else:
                try:
                    await self._use(outgoing)
                finally:
                    self._connection = None
                    connection.abort()
                if loop.time() - started > BACKOFF_MAX_S:
                    backoff_s = BACKOFF_MIN_S
            try:
                async with asyncio.timeout(backoff_s * self._jitter.uniform(0.5, 1.0)):
                    await self._try_now.wait()
            except TimeoutError:
                pass  # it has not called
            backoff_s = min(2 * backoff_s, BACKOFF_MAX_S)

    async def _connect(self, outgoing: _Outgoing) -> Any:
        protocol = outgoing if self._tls is None else self._tls.calls(outgoing, self.peer)
        connection, _ = await asyncio.get_running_loop().create_connection(lambda: protocol, *self._address)
        return connection

    async def _use(self, outgoing: _Outgoing) -> None:
        """Waits for the end of the handshake, if it has not ended yet, and then for the end of the connection."""
        if not outgoing.greeted.done():
            await asyncio.wait(
                [outgoing.greeted, outgoing.gone], timeout=ANSWER_TIMEOUT_S, return_when="FIRST_COMPLETED"
            )
        if outgoing.greeted.done():
            self._connection = outgoing.connection
            self._send_held()
            self.has_been_up.set()
            await outgoing.gone
        elif not outgoing.gone.done():
            outgoing.complaint = (
                f"no answer to the handshake in {ANSWER_TIMEOUT_S:g} s (is it paused, or without secret?)"
            )
        if outgoing.complaint and outgoing.complaint != self._complaint:
            log.warning("no link to %s: %s", self.peer, outgoing.complaint)
        self._complaint = outgoing.complaint


class _Outgoing(asyncio.Protocol):
    """One connection: the caller's side of the handshake. Afterwards it only sends."""

    def __init__(self, peer: str, hello: Hello, secret: Secret | None) -> None:
        loop = asyncio.get_running_loop()
        self.greeted: asyncio.Future[None] = loop.create_future()
        self.gone: asyncio.Future[None] = loop.create_future()
        self.complaint = ""
        self.connection: Any = None
        self._peer = peer
        self._hello = hello
        self._secret = secret
        self._challenge = b""
        self._frames = FrameBuffer(MAX_HANDSHAKE)

    def connection_made(self, transport: Any) -> None:
        self.connection = transport
        if self._secret is None:
            self.connection.write(encode_frame(self._hello))
            self.greeted.set_result(None)

    def data_received(self, data: bytes) -> None:
        try:
            for payload in self._frames.feed(data):
                self._take(payload)
        except FrameError as error:
            self.complaint = str(error)
            self.connection.abort()

    def _take(self, payload: bytes) -> None:
        reply = decode_reply(payload)
        if self._secret is None:
            raise FrameError("it asks for a proof; give this node the cluster's secret file")
        if isinstance(reply, Challenge) and not self._challenge:
            self._challenge = reply.nonce
            self._hello = self._secret.proven(self._hello, self._peer, self._challenge)
            self.connection.write(encode_frame(self._hello))
        elif not isinstance(reply, Challenge) and self._challenge and not self.greeted.done():
            self._secret.check_welcome(reply.proof, self._hello, self._peer, self._challenge)
            self.greeted.set_result(None)
        else:
            raise FrameError("its answers to the handshake come in the wrong order")

    def connection_lost(self, error: Exception | None) -> None:
        if isinstance(error, ssl.SSLError):
            self.complaint = reason_of(error)
        if not self.gone.done():
            self.gone.set_result(None)
