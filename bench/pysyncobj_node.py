"""One node of the other system: PySyncObj behind a thin aiohttp front end, so that both have the same API.

    POST /executeCommand   a put, answered after it was committed and applied; 503 unless this node leads
    GET  /status           role, last applied index

PySyncObj works in a thread of its own, which passes a command's callback to the event loop. Its journal is a mapped
file that it never flushes, so a power failure can lose an answered command. `flush` makes it durable in the only way
that needs no change of PySyncObj: it flushes each entry as it is added.
"""

from __future__ import annotations

import _socket
import asyncio
import os
import socket
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web
from pysyncobj import SyncObj, SyncObjConf, replicated, syncobj  # type: ignore[import-untyped]
from pysyncobj.journal import FileJournal  # type: ignore[import-untyped]

from raft_chaos.raft.server.event_loop import run_event_loop

# PySyncObj replaces it by one for Windows in each process that imports PySyncObj.
socket.inet_ntop = _socket.inet_ntop


class PySyncObjConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Addresses are "host:port". `flush` makes the journal durable, which PySyncObj itself does not. It takes a
    snapshot whenever its log has more than `snapshot_every` entries; 0: never."""

    node: str
    address: str
    peers: list[str]
    data_dir: str
    http_port: int
    flush: bool
    snapshot_every: int = 0


class FlushedJournal(FileJournal):  # type: ignore[misc]
    """The journal, with each entry on disk before it is sent or acknowledged."""

    def add(self, command: bytes, index: int, term: int) -> None:
        super().add(command, index, term)
        self.flush()


class Store(SyncObj):  # type: ignore[misc]
    """A replicated dictionary, with the timing of our own nodes."""

    def __init__(self, config: PySyncObjConfig) -> None:
        self.items: dict[str, str] = {}
        settings = SyncObjConf(
            journalFile=str(Path(config.data_dir) / "journal"),
            # Measured with it: 10 commands/s for one client and 600 for 64, since batches wait for its 50 ms tick.
            appendEntriesUseBatch=False,
            raftMinTimeout=0.15,
            raftMaxTimeout=0.3,
            # PySyncObj requires less than a third of the least timeout.
            appendEntriesPeriod=0.049,
            # Its default of 5 s would be most of a restarted node's catch-up; our nodes retry after at most 0.5 s.
            connectionRetryTime=0.1,
            # A journal that is compacted without a dump file could not be recovered.
            fullDumpFile=str(Path(config.data_dir) / "dump") if config.snapshot_every else None,
            logCompactionMinEntries=config.snapshot_every or 1 << 40,
            logCompactionMinTime=1 << 30,
        )
        if config.flush:
            syncobj.createJournal = FlushedJournal  # the only way to replace its journal
        super().__init__(config.address, config.peers, settings)

    @replicated  # type: ignore[untyped-decorator]
    def put(self, key: str, value: str) -> None:
        self.items[key] = value


def pysyncobj_main(config: PySyncObjConfig, control: Connection) -> None:
    """Runs a node until its controller is gone."""
    run_event_loop(_serve(config, control))


async def _serve(config: PySyncObjConfig, control: Connection) -> None:
    Path(config.data_dir).mkdir(parents=True, exist_ok=True)
    loop = asyncio.get_running_loop()
    store = Store(config)

    async def execute_command(request: web.Request) -> web.Response:
        command = msgspec.json.decode(await request.read())["command"]
        if not store._isLeader():
            return _json(503, {"ok": False, "error": "this node is not the leader"})
        applied: asyncio.Future[int] = loop.create_future()
        store.put(command["key"], command["value"], callback=_handed_to(loop, applied))
        error = await applied
        return _json(200, {"ok": True}) if error == 0 else _json(504, {"ok": False, "error": error})

    async def status(request: web.Request) -> web.Response:
        role = "leader" if store._isLeader() else "follower"
        return _json(200, {"node": config.node, "role": role, "last_applied": store.raftLastApplied})

    app = web.Application()
    app.router.add_post("/executeCommand", execute_command)
    app.router.add_get("/status", status)
    runner = web.AppRunner(app, access_log=None, handle_signals=False)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", config.http_port).start()
    loop.add_reader(control.fileno(), os._exit, 0)  # the controller sends nothing: readable means that it is gone
    control.send("ready")
    await asyncio.Event().wait()


def _handed_to(loop: asyncio.AbstractEventLoop, future: asyncio.Future[int]) -> Callable[[Any, int], None]:
    """A callback for PySyncObj's thread that sets the future's result in the loop's thread."""

    def settle(error: int) -> None:
        if not future.done():
            future.set_result(error)

    return lambda _, error: loop.call_soon_threadsafe(settle, error)  # type: ignore[return-value]


def _json(status: int, body: Any) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(body) + b"\n", content_type="application/json")
