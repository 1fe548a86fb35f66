"""The HTTP client for all systems: keep-alive connections on bare asyncio protocols.

It is as cheap as Python allows, so that the benchmark measures the server: a request is one write of bytes, an answer
is one search for the end of the head. It understands answers with a Content-Length, and those in chunks (errors of
etcd), whose body it leaves as it came.
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
    return post("/executeCommand", body)


def post(path: str, body: bytes) -> bytes:
    """The bytes of one POST."""
    head = b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % (path.encode(), len(body))
    return head + body


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
        if head_end < 4 or not _is_whole(data, head_end):
            self._received = data
            return
        self._received = b""
        self._on_answer(int(data[9:12]), data[head_end:])

    def connection_lost(self, error: Exception | None) -> None:
        self._on_lost()

    def close(self) -> None:
        self._transport.abort()


def _is_whole(data: bytes, head_end: int) -> bool:
    """Whether the body has come. One without a length comes in chunks, and the last of them is empty."""
    start = data.lower().find(b"content-length:", 0, head_end) + 15
    if start < 15:
        return data.endswith(b"\r\n0\r\n\r\n")
    return len(data) >= head_end + int(data[start : data.index(b"\r\n", start)])


def get_status(port: int) -> dict[str, Any] | None:
    """`GET /status` of the node at `port`; None while it does not answer."""
    return json_of(port, "GET", "/status")


def json_of(port: int, method: str, path: str, body: bytes | None = None) -> dict[str, Any] | None:
    """The answer to one request on a connection of its own; None if there is none."""
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request(method, path, body)
        answer: dict[str, Any] = msgspec.json.decode(connection.getresponse().read())
        return answer
    except (OSError, http.client.HTTPException, msgspec.DecodeError):
        return None
    finally:
        connection.close()
