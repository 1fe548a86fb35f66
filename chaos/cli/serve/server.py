"""The server, from the sockets on which it listens to the signal that ends it."""

from __future__ import annotations

import asyncio
import logging
import socket
import webbrowser

from aiohttp import web

from raft_chaos.chaos.cli.common import say
from raft_chaos.chaos.cli.result import print_now
from raft_chaos.chaos.cli.serve.folder import Folder
from raft_chaos.chaos.cli.serve.making import Maker
from raft_chaos.chaos.cli.serve.reports import Reports
from raft_chaos.chaos.cli.serve.site import Site
from raft_chaos.chaos.processes import interrupts
from raft_chaos.chaos.processes.supervisor import Supervisor

SHUTDOWN_S = 0.5
BACKLOG = 64


def run(folder: Folder, shown_as: str, supervisor: Supervisor, listeners: list[socket.socket], *, opens: bool) -> None:
    """Serves until a signal comes."""
    asyncio.run(_serve(folder, shown_as, supervisor, listeners, opens=opens))


async def _serve(
    folder: Folder, shown_as: str, supervisor: Supervisor, listeners: list[socket.socket], *, opens: bool
) -> None:
    port = listeners[0].getsockname()[1]
    site = Site(folder, Reports(folder, Maker(supervisor)), shown_as, lambda: port)
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # what no server understands is refused, not told
    runner = web.AppRunner(site.application(), access_log=None, handle_signals=False, shutdown_timeout=SHUTDOWN_S)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    await runner.setup()
    try:
        for listener in listeners:
            await web.SockSite(runner, listener, backlog=BACKLOG).start()
        with interrupts.held(lambda number: _set_soon(loop, stopped)):
            address = f"http://127.0.0.1:{port}/"
            print_now(address)
            say(f"{shown_as} is shown at this address, to this machine only; Ctrl-C ends it")
            if opens and not await asyncio.to_thread(webbrowser.open, address):
                say("--open: no browser was found")
            await stopped.wait()
            supervisor.close()  # who waits for a report waits no longer
    finally:
        await runner.cleanup()


def _set_soon(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    """For the handler of a signal, which runs between any two lines of Python."""
    loop.call_soon_threadsafe(event.set)
