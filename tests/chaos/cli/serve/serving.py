"""A server for tests: in a thread of this process, asked over real connections, whose paths are sent as they are."""

from __future__ import annotations

import asyncio
import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from aiohttp import web

from raft_chaos.chaos.cli.serve.folder import Folder
from raft_chaos.chaos.cli.serve.made import made_of
from raft_chaos.chaos.cli.serve.making import NoReportError
from raft_chaos.chaos.cli.serve.reports import Reports
from raft_chaos.chaos.cli.serve.site import Site


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass
class Server:
    """A server of one folder. `made` are the runs whose reports it has made, in this process."""

    port: int = 0
    made: list[str] = field(default_factory=list)

    def get(self, target: str, method: str = "GET", **headers: str) -> Answer:
        """Asks for this target, byte for byte. The header `Sec_Fetch_Site` is Sec-Fetch-Site."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, target, headers={name.replace("_", "-"): text for name, text in headers.items()})
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def make(self, run: Path) -> bytes:
        self.made.append(run.name)
        answer = made_of(run)
        if answer[:1] != b"+":
            raise NoReportError(answer[1:].decode())
        return answer[1:]


def _set(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    loop.call_soon_threadsafe(event.set)


@contextmanager
def serving(path: Path) -> Iterator[Server]:
    server, begun = Server(), threading.Event()
    stop: list[Callable[[], None]] = []

    async def serve() -> None:
        folder, end = Folder(path), asyncio.Event()
        loop = asyncio.get_running_loop()
        stop.append(lambda: _set(loop, end))
        site = Site(folder, Reports(folder, server.make), "runs", lambda: server.port)
        runner = web.AppRunner(site.application(), shutdown_timeout=0.5)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server.port = runner.addresses[0][1]
        begun.set()
        await end.wait()
        await runner.cleanup()
        folder.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert begun.wait(20)
        yield server
    finally:
        stop[0]()
        thread.join(20)
