"""Who may send requests to a node over HTTP, over how many connections, and how long a request may take.

A browser sends requests for any page that it shows. Such a page must not drive a cluster of whoever looks at it, so a
request is refused with 403

    for its Host      if it calls this node by a name that is not its own. (DNS rebinding: a page of another site gets
                      that site's name to mean this address, and could then read what the node answers.)
    for its Origin    if it comes from a page of another origin. No page comes from a node, so this is every page.
    as cross-site     if the browser says so (Sec-Fetch-Site), which covers requests without an Origin

curl, Postman and other programs send neither an Origin nor Sec-Fetch-Site.

With TLS a client must have a certificate of the cluster's CA (`raft.network.tls`).

A connection must bring its first request within `REQUEST_TIMEOUT_S`, the handshake of TLS included, and each request
its body. Beyond
`MAX_CONNECTIONS` the oldest one that has brought no request goes; if there is none, the new one is not served.
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal
from urllib.parse import urlsplit

from raft_chaos.raft.network.tls import Tls
from raft_chaos.raft.server.addresses import ip_of, is_any

REQUEST_TIMEOUT_S = 10.0
KEEP_ALIVE_S = 75.0
MAX_CONNECTIONS = 512
_USE_HTTPS = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
    b'{"ok":false,"error":"this port speaks https; the client needs a certificate of the cluster\'s CA"}\n'
)


class AllowedCallers:
    """Checks the headers by which a browser says for whom it asks. `address` is where this node listens."""

    def __init__(self, address: str, names: Iterable[str], scheme: Literal["http", "https"] = "http") -> None:
        self._scheme = scheme
        self._names = {"localhost", address.lower(), *(name.lower().rstrip(".") for name in names)}
        self._is_any = is_any(address)
        self._own_host: str | None = None
        """The last Host header that was one of this node's names: nearly every request repeats it."""

    def refusal(self, headers: Mapping[str, str]) -> str | None:
        """Why the request is refused; None if it is not. (aiohttp refuses a request with two hosts.)"""
        host = headers.get("Host")
        if host is not None and host != self._own_host:
            if not self._is_own(_name_of(host)):
                return (
                    f"Host: this node is not called {host!r}; "
                    "use its address, or start it with --allow-host and the name"
                )
            self._own_host = host
        if "Origin" in headers:
            origin = headers["Origin"]
            if host is None or origin.lower() != f"{self._scheme}://{host.lower()}":
                return f"Origin: requests from the pages of {origin!r} are refused; send them from a program"
        if "Sec-Fetch-Site" in headers and headers["Sec-Fetch-Site"].lower() == "cross-site":
            return "Sec-Fetch-Site: requests from pages of other sites are refused; send them from a program"
        return None

    def location(self, url: str, headers: Mapping[str, str]) -> str:
        """The URL of another node, as this client reaches it: if the nodes listen on all addresses of the machine, at
        the one at which the client has reached this node."""
        parts, host = urlsplit(url), headers.get("Host")
        if host is None or not is_any(parts.hostname or ""):
            return url
        name = _name_of(host)
        return f"{parts.scheme}://{f'[{name}]' if ':' in name else name}:{parts.port}"

    def _is_own(self, name: str) -> bool:
        if name in self._names:
            return True
        ip = ip_of(name)
        return ip is not None and (ip.is_loopback or self._is_any)


def _name_of(host: str) -> str:
    """The name or address in a Host header, without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower().rstrip(".")


class Connections:
    """Counts and times the connections of an HTTP server; `make_handler` makes the protocol that serves one."""

    def __init__(self, make_handler: Callable[[], asyncio.Protocol], tls: Tls | None = None) -> None:
        self.make_handler = make_handler
        self._tls = tls
        self._open = 0
        self.silent: dict[asyncio.BaseTransport, _Connection] = {}
        """The connections without a request yet, the oldest first."""
        self._most = min(MAX_CONNECTIONS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4)

    def __call__(self) -> asyncio.Protocol:
        connection = _Connection(self)
        return connection if self._tls is None else self._tls.accepts(connection, _USE_HTTPS)

    def asked(self, transport: asyncio.BaseTransport | None) -> None:
        """A whole request has come on this connection."""
        connection = self.silent.pop(transport, None) if transport is not None else None
        if connection is not None:
            connection.spoke()

    def opened(self, connection: _Connection, transport: asyncio.Transport) -> bool:
        """Whether the connection is served."""
        if self._open >= self._most:
            if not self.silent:
                return False
            next(iter(self.silent.values())).abort()
        self._open += 1
        self.silent[transport] = connection
        return True

    def closed(self, transport: asyncio.BaseTransport) -> None:
        self._open -= 1
        self.silent.pop(transport, None)


class _Connection(asyncio.Protocol):
    """Passes all events of a connection on to the handler that serves it."""

    def __init__(self, owner: Connections) -> None:
        self._owner = owner
        self._handler: Any = None  # None: not served
        self._transport: Any = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        if not self._owner.opened(self, transport):
            transport.abort()
            return
        self._timer = asyncio.get_running_loop().call_later(REQUEST_TIMEOUT_S, self.abort)
        self._handler = self._owner.make_handler()
        self._handler.connection_made(transport)

    def spoke(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def abort(self) -> None:
        self._transport.abort()
        self._end()

    def connection_lost(self, error: Exception | None) -> None:
        handler = self._handler
        self._end()
        if handler is not None:
            handler.connection_lost(error)

    def _end(self) -> None:
        """Counts the connection as closed, once: an aborted one makes room at once."""
        self.spoke()
        if self._transport is not None and self._handler is not None:
            self._owner.closed(self._transport)
            self._transport = None

    def data_received(self, data: bytes) -> None:
        if self._handler is not None:
            self._handler.data_received(data)

    def eof_received(self) -> bool | None:
        return self._handler.eof_received() if self._handler is not None else None

    def pause_writing(self) -> None:
        if self._handler is not None:
            self._handler.pause_writing()

    def resume_writing(self) -> None:
        if self._handler is not None:
            self._handler.resume_writing()
