"""The load generator, a process of its own: closed-loop clients, each with one open command at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count
from multiprocessing.connection import Connection as Pipe
from time import monotonic

import msgspec

from bench.http import HOST, Connection, put_request
from raft_chaos.raft.server.event_loop import run_event_loop

KEYS = 100


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """`clients` connections to one port put keys, of which there are `keys`, for `warmup_s + duration_s`, or until
    `commands` were answered. `put` makes the bytes of a request."""

    port: int
    clients: int
    warmup_s: float = 0.0
    duration_s: float
    commands: int | None = None
    keys: int = KEYS
    put: Callable[[str, str], bytes] = put_request


class LoadResult(msgspec.Struct, frozen=True):
    """The answers with status 200 after the warm-up: how many in how many seconds, and their latencies (s), sorted.

    `refused` is the first answer with another status, or why the connection broke; the load ends there.
    """

    committed: int
    elapsed_s: float
    latencies_s: list[float]
    refused: str = ""

    @property
    def per_second(self) -> float:
        return self.committed / self.elapsed_s

    def percentile_ms(self, percent: float) -> float:
        return self.latencies_s[min(len(self.latencies_s) - 1, int(len(self.latencies_s) * percent / 100))] * 1e3


def load_main(load: Load, answer: Pipe) -> None:
    """Carries out the load and sends a LoadResult."""
    answer.send(run_event_loop(_Generator(load).run()))
    answer.close()


class _Generator:
    def __init__(self, load: Load) -> None:
        self._load = load
        self._latencies_s: list[float] = []
        self._numbers = count(1)
        self._over = asyncio.Event()
        self._refused = ""
        self._answered = 0
        self._measure_from = 0.0
        self._sent_at = [0.0] * load.clients

    async def run(self) -> LoadResult:
        load, loop = self._load, asyncio.get_running_loop()
        connections = [await self._connect(loop, client) for client in range(load.clients)]
        self._measure_from = monotonic() + load.warmup_s
        for client, connection in enumerate(connections):
            self._next(client, connection)
        try:
            async with asyncio.timeout(load.warmup_s + load.duration_s):
                await self._over.wait()
        except TimeoutError:
            pass  # the regular end of a load by time
        elapsed_s = monotonic() - self._measure_from
        latencies_s = sorted(self._latencies_s)
        self._over.set()
        for connection in connections:
            connection.close()
        return LoadResult(len(latencies_s), elapsed_s, latencies_s, self._refused)

    async def _connect(self, loop: asyncio.AbstractEventLoop, client: int) -> Connection:
        def answered(status: int, body: bytes) -> None:
            self._on_answer(client, connection, status, body)

        def lost() -> None:
            self._stop("the connection was closed")

        _, connection = await loop.create_connection(lambda: Connection(answered, lost), HOST, self._load.port)
        return connection

    def _next(self, client: int, connection: Connection) -> None:
        load, number = self._load, next(self._numbers)
        if load.commands is not None and number > load.commands:
            return
        request = load.put(f"k{number % load.keys}", f"{client}.{number}")
        self._sent_at[client] = monotonic()
        connection.send(request)

    def _on_answer(self, client: int, connection: Connection, status: int, body: bytes) -> None:
        if self._over.is_set():
            return
        if status != 200:
            self._stop(f"answer {status}: {body.decode(errors='replace').strip()}")
            return
        now = monotonic()
        if now >= self._measure_from:
            self._latencies_s.append(now - self._sent_at[client])
        self._answered += 1
        if self._answered == self._load.commands:
            self._over.set()
        else:
            self._next(client, connection)

    def _stop(self, reason: str) -> None:
        if not self._over.is_set():
            self._refused = reason
            self._over.set()
