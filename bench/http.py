"""The HTTP client for both systems: keep-alive connections on bare asyncio protocols.

It is as cheap as Python allows, so that the benchmark measures the server: a request is one write of bytes, an answer
is one search for the end of the head. It understands only answers with a Content-Length, which both servers send.
"""

from __future__ import annotations

import asyncio
import http.client
from collections.abc import Callable
from typing import Any

import msgspec

HOST = "127.0.0.1"

OnAnswer = Callable[[int, bytes], None]
"""Called with the status and the body of each answer."""


def put_request(key: str, value: str) -> bytes:
    """The bytes of one `POST /executeCommand` that puts a key."""
    body = b'{"command":{"op":"put","key":"%s","value":"%s"}}' % (key.encode(), value.encode())
    return b"POST /executeCommand HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


class Connection(asyncio.Protocol):
    """One connection with at most one request open. `on_lost` is called when the server is gone."""

    def __init__(self, on_answer: OnAnswer, on_lost: Callable[[], None]) -> None:
        self._on_answer = on_answer
        self._on_lost = on_lost
        self._received = b""
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def send(self, request: bytes) -> None:
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        data = self._received + data
        head_end = data.find(b"\r\n\r\n") + 4
        if head_end < 4 or len(data) < head_end + _content_length(data, head_end):
            self._received = data
            return
        self._received = b""
        self._on_answer(int(data[9:12]), data[head_end:])

    def connection_lost(self, error: Exception | None) -> None:
        self._on_lost()

    def close(self) -> None:
        self._transport.abort()


def _content_length(data: bytes, head_end: int) -> int:
    start = data.lower().index(b"content-length:", 0, head_end) + 15
    return int(data[start : data.index(b"\r\n", start)])


def get_status(port: int) -> dict[str, Any] | None:
    """`GET /status` of the node at `port`; None while it does not answer."""
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", "/status")
        status: dict[str, Any] = msgspec.json.decode(connection.getresponse().read())
        return status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
