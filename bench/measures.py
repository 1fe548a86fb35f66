"""The measurements: commands a second and their latency, the time without a leader, and catching up.

Each function runs one fresh cluster of one system and returns its figures. `rounds` runs two systems in turn, so that
other load on the machine affects both, and each ratio compares two figures of the same round.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterable
from itertools import count
from pathlib import Path
from statistics import median
from time import monotonic
from typing import NamedTuple, TypeAlias

from bench.http import HOST, Connection
from bench.load import KEYS, Load, LoadResult, load_main
from bench.systems import NODES, SETTLE_TIMEOUT_S, BenchError, Cluster, System
from raft_chaos.chaos.processes.supervisor import Supervisor

ATTEMPTS = 3
FILL_CLIENTS = 64
FILL_LIMIT_S = 180.0
CATCH_UP_LIMIT_S = 120.0
RETRY_S = 0.002

Figures: TypeAlias = dict[str, float]
"""Figures by the name of their row."""


class Sizes(NamedTuple):
    """The sizes of the measurements. Times are in seconds; `kills`, `entries` and `simulated_s` are for each round.

    `behind` entries are missed by a node that then gets a snapshot, and a node starts again after `restarted` commands.
    A leader's memory is measured up to `remembered` commands.
    A campaign has so many `seeds` a round.
    """

    rounds: int
    warmup_s: float
    duration_s: float
    kills: int
    entries: tuple[int, ...]
    simulated_s: float
    behind: int
    restarted: int
    remembered: int
    seeds: int


FULL = Sizes(
    rounds=5,
    warmup_s=0.5,
    duration_s=3.0,
    kills=4,
    entries=(10_000, 100_000),
    simulated_s=60.0,
    behind=100_000,
    restarted=1_000_000,
    remembered=100_000,
    seeds=150,
)
QUICK = Sizes(
    rounds=1,
    warmup_s=0.3,
    duration_s=1.0,
    kills=3,
    entries=(2_000,),
    simulated_s=10.0,
    behind=2_000,
    restarted=20_000,
    remembered=5_000,
    seeds=15,
)


class Row(NamedTuple):
    """One line of a table: the figures of both systems, round by round. `more_is_better` inverts the ratio.

    `theirs` is empty for a figure without a counterpart.
    """

    name: str
    ours: list[float]
    theirs: list[float]
    more_is_better: bool

    @property
    def ratios(self) -> list[float]:
        """How many times better our figure is, for each round."""
        pairs = zip(self.ours, self.theirs, strict=True) if self.theirs else ()
        return [ours / theirs if self.more_is_better else theirs / ours for ours, theirs in pairs]


class Bench:
    """Runs the clusters of one benchmark."""

    def __init__(self, supervisor: Supervisor, folder: Path, sizes: Sizes) -> None:
        self.sizes = sizes
        self.supervisor = supervisor
        self._folder = folder
        self._numbers = count(1)

    def rounds(self, measure: Callable[[System], Figures], ours: System, theirs: System) -> list[Row]:
        """Measures both systems in turn; the first system of a round is the second one of the next round."""
        figures: dict[str, list[Figures]] = {ours.name: [], theirs.name: []}
        for number in range(self.sizes.rounds):
            for system in (ours, theirs) if number % 2 == 0 else (theirs, ours):
                figures[system.name].append(self._measured(measure, system))
        names = figures[ours.name][0]
        return [
            Row(
                name,
                [one[name] for one in figures[ours.name]],
                [one[name] for one in figures[theirs.name]],
                more_is_better="commands/s" in name,
            )
            for name in names
        ]

    def _measured(self, measure: Callable[[System], Figures], system: System) -> Figures:
        """Measures; tries again with a fresh cluster if the leader lost its leadership because the machine is busy."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return measure(system)
            except BenchError as error:
                if attempt == ATTEMPTS:
                    raise
                print(f"measured again: {error}", file=sys.stderr, flush=True)
        raise AssertionError("unreachable")

    def new_folder(self) -> Path:
        """A name for a new folder of this benchmark."""
        return self._folder / f"{next(self._numbers)}"

    def cluster(self, system: System) -> Cluster:
        return Cluster(system, self.supervisor, self.new_folder())

    def load(self, cluster: Cluster, load: Load) -> LoadResult:
        """Runs the load in a process of its own. Raises BenchError if a command was refused."""
        answer, theirs = self.supervisor.pipe()
        child = self.supervisor.start("load", load_main, load, theirs)
        theirs.close()
        try:
            result: LoadResult = answer.recv()
        except EOFError:
            raise BenchError("the load generator ended without a result") from None
        finally:
            child.kill()
            answer.close()
        if result.refused or not result.committed:
            raise BenchError(f"{cluster.system.name}: {result.refused or 'no command was answered'}")
        return result

    # ---- commands a second, and how long one takes ----------------------------------------------------------------

    def throughput(self, system: System, clients: int) -> Figures:
        sizes = self.sizes
        with self.cluster(system) as cluster:
            port = cluster.http_port(cluster.leader())
            load = Load(
                port=port,
                clients=clients,
                warmup_s=sizes.warmup_s,
                duration_s=sizes.duration_s,
                put=system.put,
            )
            result = self.load(cluster, load)
        name = f"{clients} client{'s' if clients > 1 else ''}"
        return {
            f"{name}: commands/s": result.per_second,
            f"{name}: p50, ms": result.percentile_ms(50),
            f"{name}: p99, ms": result.percentile_ms(99),
        }

    # ---- from SIGKILL of the leader to the first commit under the next ---------------------------------------------

    def failover(self, system: System) -> Figures:
        with self.cluster(system) as cluster:
            times_s = [self._kill_leader(cluster) for _ in range(self.sizes.kills)]
        return {"leader killed, until the next commit, ms": median(times_s) * 1e3}

    def _kill_leader(self, cluster: Cluster) -> float:
        leader = cluster.leader()
        ports = [cluster.http_port(name) for name in NODES if name != leader]
        began = monotonic()
        cluster.strike(leader)
        took_s = asyncio.run(_first_commit(ports, cluster.system.put("first", "commit"))) - began
        cluster.kill(leader)
        cluster.start(leader)
        cluster.wait_until_level()
        return took_s

    # ---- catching up ----------------------------------------------------------------------------------------------

    def catch_up(self, system: System, entries: int, keys: int = KEYS) -> Figures:
        """The time from the launch of a node that missed `entries` entries, of so many keys, until it has applied them
        all."""
        with self.cluster(system) as cluster:
            leader = cluster.leader()
            absent = next(name for name in NODES if name != leader)
            cluster.kill(absent)
            port = cluster.http_port(leader)
            load = Load(
                port=port,
                clients=FILL_CLIENTS,
                duration_s=FILL_LIMIT_S,
                commands=entries,
                keys=keys,
                put=system.put,
            )
            committed = self.load(cluster, load).committed
            if committed < entries:
                raise BenchError(f"{system.name}: took more than {FILL_LIMIT_S:g} s to commit {entries} entries")
            target = cluster.last_applied(cluster.leader())
            began = monotonic()
            cluster.start(absent)
            cluster.wait_until_applied(absent, target, CATCH_UP_LIMIT_S)
            took_s = monotonic() - began
        return {f"a node catches up {entries} entries, s": took_s}


async def _first_commit(ports: Iterable[int], request: bytes) -> float:
    """Sends a command to all ports again and again. Returns the monotonic time of the first success."""
    loop = asyncio.get_running_loop()
    committed: asyncio.Future[float] = loop.create_future()
    connections = [await _insistent(loop, port, request, committed) for port in ports]
    try:
        async with asyncio.timeout(SETTLE_TIMEOUT_S):
            return await committed
    except TimeoutError:
        raise BenchError(f"nothing was committed within {SETTLE_TIMEOUT_S:g} s of the leader's end") from None
    finally:
        for connection in connections:
            connection.close()


async def _insistent(
    loop: asyncio.AbstractEventLoop, port: int, request: bytes, committed: asyncio.Future[float]
) -> Connection:

    def answered(status: int, body: bytes) -> None:
        if committed.done():
            return
        if status == 200:
            committed.set_result(monotonic())
        else:
            loop.call_later(RETRY_S, connection.send, request)

    _, connection = await loop.create_connection(lambda: Connection(answered, lambda: None), HOST, port)
    connection.send(request)
    return connection
