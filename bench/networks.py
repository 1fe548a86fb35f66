"""Measures the networks between the nodes of a live run, each beside a direct connection over loopback.

Two processes stand for two nodes. One round is a connection for round trips (the median of many), and one for bulk: so
much is sent at once, until the receiver says that it has it.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import closing
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import NamedTuple

from bench.measures import Bench, Row
from bench.systems import BenchError
from raft_chaos.chaos.processes.shortage import SetupError
from raft_chaos.chaos.processes.supervisor import Supervisor
from raft_chaos.chaos.run.live.network import choose
from raft_chaos.chaos.targets.addresses import HOST
from raft_chaos.chaos.targets.protocol import NetworkName
from raft_chaos.raft.network.codec import HEADER_BYTES, framed

NETWORKS: tuple[NetworkName, ...] = ("frames", "tcp", "netns")
SMALL, LARGE = 100, 60_000
"""Payloads in bytes, of a round trip and of what is sent in bulk. All that goes either way are frames, which every
network passes."""
BULK_BYTES = 30_000_000
PATIENCE_S = 60.0

Enter = Callable[[], None] | None


class Figures(NamedTuple):
    """One round: the median of its round trips, and how much passed in a second."""

    round_trip_us: float
    megabytes_per_s: float


def measure(bench: Bench) -> list[Row]:
    """Both figures of each network that this machine has, in turn with loopback."""
    trips = round(300 * bench.sizes.duration_s)
    rows: list[Row] = []
    for name in NETWORKS:
        try:
            rounds = [(_round(name, trips), _round("none", trips)) for _ in range(bench.sizes.rounds)]
        except SetupError as error:
            print(f"not measured: {error}", flush=True)
            continue
        through, direct = [one for one, _ in rounds], [other for _, other in rounds]
        rows += [
            Row(f"{name}: round trip of {SMALL} bytes, µs", *_both(through, direct, "round_trip_us"), False),
            Row(f"{name}: one connection, MB/s", *_both(through, direct, "megabytes_per_s"), True),
        ]
    return rows


def _both(through: list[Figures], direct: list[Figures], field: str) -> tuple[list[float], list[float]]:
    return [getattr(one, field) for one in through], [getattr(one, field) for one in direct]


def _round(name: NetworkName, trips: int) -> Figures:
    with (
        Supervisor() as supervisor,
        closing(choose.start(name, supervisor, ["a", "b"], 1, Path(os.devnull))) as network,
    ):
        server, theirs = supervisor.pipe()
        supervisor.start("b", serve, theirs, network.hosts.get("b", HOST), network.enter("b"))
        assert server.poll(PATIENCE_S), "the server does not start"
        port = server.recv()
        network.route("b", port)
        address = network.peers_of("a", {"b": (HOST, port)})["b"]
        client, theirs = supervisor.pipe()
        supervisor.start("a", ask, theirs, address, trips, network.enter("a"))
        theirs.close()  # the end of the pipe tells that the client has ended
        if not client.poll(PATIENCE_S):
            raise BenchError(f"the client does not answer over the network {name!r}")
        try:
            return Figures(*client.recv())
        except EOFError:
            raise BenchError(f"the client ended over the network {name!r}") from None


# ---- the two nodes -----------------------------------------------------------------------------------------------


def serve(report: Connection, host: str, enter: Enter) -> None:
    """Sends back what comes on the first connection, and takes in what comes on the second one."""
    if enter is not None:
        enter()
    with socket.create_server((host, 0)) as listening:
        report.send(listening.getsockname()[1])
        echoing, _ = listening.accept()
        echoing.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _read(echoing, HEADER_BYTES)
        while data := echoing.recv(65_536):
            echoing.sendall(data)
        taking, _ = listening.accept()
        _read(taking, HEADER_BYTES + BULK_BYTES // LARGE * (HEADER_BYTES + LARGE))
        taking.sendall(framed(b""))
        taking.recv(1)


def ask(report: Connection, address: tuple[str, int], trips: int, enter: Enter) -> None:
    """Measures, and reports both figures."""
    if enter is not None:
        enter()
    small, large = (framed(bytes(size)) for size in (SMALL, LARGE))
    with _greeted(address) as connection:
        times_s = []
        for _ in range(trips):
            began = perf_counter()
            connection.sendall(small)
            _read(connection, len(small))
            times_s.append(perf_counter() - began)
    with _greeted(address) as connection:
        began = perf_counter()
        for _ in range(BULK_BYTES // LARGE):
            connection.sendall(large)
        _read(connection, HEADER_BYTES)
        report.send((median(times_s) * 1e6, BULK_BYTES / (perf_counter() - began) / 1e6))


def _greeted(address: tuple[str, int]) -> socket.socket:
    """A connection after its handshake, an empty frame."""
    connection = socket.create_connection(address)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(framed(b""))
    return connection


def _read(connection: socket.socket, size: int) -> None:
    while size > 0:
        piece = connection.recv(min(size, 1 << 20))
        assert piece, "the connection ended too soon"
        size -= len(piece)
