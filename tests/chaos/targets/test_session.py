"""A request of a client is sent once: what is sent twice is no longer one operation."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from raft_chaos.chaos.schedule.data import Operation
from raft_chaos.chaos.targets.described import DescribedDoor
from raft_chaos.chaos.targets.description import parse
from raft_chaos.chaos.targets.door import NoAnswer, Outcome
from raft_chaos.chaos.targets.session import session_of_clients

TARGET = b"""
command = "true"
persistent = true

[get]
request = "GET /{key}"
ok = { status = 200 }
value = "value"

[put]
request = "PUT /{key}"
ok = { status = 200 }

[delete]
request = "DELETE /{key}"
ok = { status = 200 }
"""


class Server:
    """Answers the first request, and keeps the connection; at the second one it reads it, and dies."""

    server: asyncio.Server

    def __init__(self) -> None:
        self.heard: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            self.heard.append(head.split(b" ")[0])
            if len(self.heard) > 1:
                self.server.close()
                writer.transport.abort()
                return
            writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{"value":null}')


@pytest.mark.parametrize("f", ["put", "delete", "get"])
def test_a_request_is_not_repeated_when_a_kept_connection_breaks(f: str) -> None:
    async def main() -> tuple[list[bytes], Outcome | NoAnswer, Outcome | NoAnswer]:
        server = Server()
        server.server = await asyncio.start_server(server.serve, "127.0.0.1", 0)
        host, port = server.server.sockets[0].getsockname()
        url = f"http://{host}:{port}"
        async with session_of_clients() as session:
            door = DescribedDoor(parse(TARGET, Path("target.toml")), session, lambda: {"n1": url})
            answers = [
                await door.ask(url, door.command(operation, "s", 1), 5_000_000)
                for operation in (
                    Operation(id="c0/1", client="c0", at_us=0, f="get", key="k"),
                    Operation(id="c0/2", client="c0", at_us=0, f=f, key="k", value="v"),  # type: ignore[arg-type]
                )
            ]
        return server.heard, answers[0], answers[1]

    heard, first, second = asyncio.run(main())
    assert first == Outcome("ok", None)
    assert heard == [b"GET", f.upper().encode()]
    assert isinstance(second, NoAnswer) and second.may_have_happened, "it was sent, so its outcome is unknown"
