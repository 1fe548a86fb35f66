"""TLS between a protocol and its TCP connection.

To the protocol above, a `TlsConnection` is its transport; to the TCP connection below, it is the protocol. It encrypts
and decrypts in memory (`ssl.SSLObject`), on any event loop.

The event loops have TLS of their own, but they tell an accepting protocol of a connection only when its handshake is
complete. Then nobody counts or times those who never complete it. Here:

    accepting   `connection_made` comes when the connection does; what is written before the end of the handshake waits
    calling     `connection_made` comes with the end of the handshake, when the other end has shown who it is
    both        `connection_lost` always comes, with the `ssl.SSLError` if TLS failed

Each chunk of bytes from below becomes at most one call of `data_received`, as without TLS. So a protocol that pauses
reading gets no more than it would get without TLS.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

READ_BYTES = 1 << 16


class TlsConnection(asyncio.Transport, asyncio.Protocol):
    """One connection. `calls` is the name that the certificate of the other end must have; None: this end accepts.

    `to_plain_http` is sent to a caller that speaks HTTP without TLS.
    """

    def __init__(
        self, above: asyncio.Protocol, context: ssl.SSLContext, calls: str | None, to_plain_http: bytes = b""
    ) -> None:
        super().__init__()
        self._above = above
        self._to_plain_http = to_plain_http
        self._accepts = calls is None
        self._arrived = ssl.MemoryBIO()
        self._to_send = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._arrived, self._to_send, server_side=self._accepts, server_hostname=calls)
        self._below: Any = None
        self._is_secure = False  # the handshake is complete
        self._waiting: list[bytes] = []  # what was written before
        self._is_over = False  # nothing is read or written any more
        self._error: ssl.SSLError | None = None
        self._certificate: Any = None  # of the other end, once the handshake is complete

    # ---- the protocol of the TCP connection -------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._below = transport
        if self._accepts:
            self._above.connection_made(self)
        if not self._is_over:
            self._shake_hands()

    def data_received(self, data: bytes) -> None:
        if self._is_over:
            return
        self._arrived.write(data)
        if not self._is_secure:
            self._shake_hands()
        if self._is_secure and not self._is_over:
            self._read()

    def connection_lost(self, error: Exception | None) -> None:
        self._is_over = True
        self._above.connection_lost(self._error or error)

    def pause_writing(self) -> None:
        self._above.pause_writing()

    def resume_writing(self) -> None:
        self._above.resume_writing()

    # ---- TLS --------------------------------------------------------------------------------------------------------

    def _shake_hands(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return
        except ssl.SSLError as error:
            if error.reason == "HTTP_REQUEST":
                self._below.write(self._to_plain_http)
            self._fail(error)
            return
        self._certificate = self._tls.getpeercert()  # now: a connection that has failed later does not tell it
        self._is_secure = True
        self._flush()
        if not self._accepts:
            self._above.connection_made(self)
        for data in self._waiting:
            self.write(data)
        self._waiting.clear()

    def _read(self) -> None:
        """Passes on all that can be decrypted, also if something behind it cannot."""
        pieces: list[bytes] = []
        error: ssl.SSLError | None = None
        has_ended = False
        try:
            while not has_ended:
                piece = self._tls.read(READ_BYTES)
                pieces.append(piece)
                has_ended = not piece
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as failed:
            error = failed
        self._flush()  # TLS itself may have something to answer
        if data := b"".join(pieces):
            self._above.data_received(data)
        if error is not None:
            self._fail(error)
        elif has_ended:
            self.close()

    def _flush(self) -> None:
        if self._to_send.pending:
            self._below.write(self._to_send.read())

    def _fail(self, error: ssl.SSLError) -> None:
        """Ends the connection, after the alert that tells the other end why."""
        if self._is_over:
            return
        self._is_over = True
        self._error = error
        self._flush()
        if self._is_secure:
            self._below.abort()  # the other end may never read what has been written before
        else:
            self._below.close()

    # ---- the transport of the protocol above ------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._is_over:
            return
        if not self._is_secure:
            self._waiting.append(bytes(data))
            return
        rest = memoryview(data)
        try:
            while rest:  # a single call encrypts at most one record
                rest = rest[self._tls.write(rest) :]
        except ssl.SSLError as error:
            self._fail(error)
            return
        self._flush()

    def close(self) -> None:
        """Tells the other end, and closes once everything is sent. Does not wait for the other end to say the same."""
        if self._is_over:
            return
        self._is_over = True
        if self._is_secure:
            try:
                self._tls.unwrap()
            except ssl.SSLError:
                pass  # the other end has not said the same yet
            self._flush()
        self._below.close()

    def abort(self) -> None:
        self._is_over = True
        self._below.abort()

    def is_closing(self) -> bool:
        return self._is_over or bool(self._below.is_closing())

    def pause_reading(self) -> None:
        self._below.pause_reading()

    def resume_reading(self) -> None:
        self._below.resume_reading()

    def get_write_buffer_size(self) -> int:
        return int(self._below.get_write_buffer_size())

    def can_write_eof(self) -> bool:
        return False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == "sslcontext":
            return self._tls.context
        if name == "peercert":
            return self._certificate
        return self._below.get_extra_info(name, default)
