"""Compares the world lockstep with a bare TCP ping-pong: how many steps per second real processes take in sequence.

    python -m bench.lockstep [--rounds 3] [--folder DIR]

The ping-pong: two processes and a proxy between them, blocking sockets, messages of 100 bytes. A step of lockstep is an
order and its frame to a process, and the report back, so the table compares it with single messages and round trips.
Lockstep: five nodes without faults, ten client operations per simulated second, all events reported and judged. A
completed write is a real sync, so the speed of the disk matters; --folder puts the nodes' files elsewhere.
"""

from __future__ import annotations

import argparse
import socket
import tempfile
import time
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
from tabulate import tabulate

from raft_chaos.chaos.processes.supervisor import Supervisor
from raft_chaos.chaos.run.lockstep.driver import PRELOADED, LockstepDriver
from raft_chaos.chaos.run.sim.recorder import Recorder
from raft_chaos.chaos.run.sim.run import VirtualRun
from raft_chaos.chaos.schedule.config import ScheduleConfig
from raft_chaos.chaos.schedule.generate import generate
from raft_chaos.invariants.rundir import RunDir
from raft_chaos.raft.state.timing import Timing

MESSAGE = b"x" * 100
HOST = "127.0.0.1"
PINGS = 5_000
SIMULATED_S = 20.0


def _connection(port: int) -> socket.socket:
    connection = socket.create_connection((HOST, port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _echo(ready: Connection) -> None:
    with socket.create_server((HOST, 0)) as server:
        ready.send(server.getsockname()[1])
        connection, _ = server.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while data := connection.recv(4096):
            connection.sendall(data)


def _proxy(near_port: int, far_port: int) -> None:
    near, far = _connection(near_port), _connection(far_port)
    while data := near.recv(4096):
        far.sendall(data)
        near.sendall(far.recv(4096))


def ping_pong() -> float:
    """Round trips a second."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    echo = context.Process(target=_echo, args=(theirs,))
    echo.start()
    with socket.create_server((HOST, 0)) as server:
        proxy = context.Process(target=_proxy, args=(server.getsockname()[1], ours.recv()))
        proxy.start()
        near, _ = server.accept()
    with near:
        near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        began = time.perf_counter()
        for _ in range(PINGS):
            near.sendall(MESSAGE)
            near.recv(4096)
        took_s = time.perf_counter() - began
    proxy.join()
    echo.join()
    return PINGS / took_s


def lockstep(folder: Path) -> float:
    """Steps a second, without the start of the processes."""
    config = ScheduleConfig(nodes=5, duration_s=SIMULATED_S, ops_per_second=10)
    schedule = msgspec.structs.replace(generate(1, config), faults=[])
    steps, began, run = 0, 0.0, RunDir(folder)
    recorder = Recorder(run, nodes_write=True)
    with Supervisor(PRELOADED) as supervisor, LockstepDriver(run, None, supervisor) as driver:
        virtual = VirtualRun(schedule, timing=Timing(150_000, 300_000, 50_000), driver=driver, recorder=recorder)
        took = virtual.cluster._took

        def counted(*step: Any) -> None:
            nonlocal steps, began
            steps += 1
            began = began if steps > len(schedule.header.nodes) else time.perf_counter()  # their first reports
            took(*step)

        virtual.cluster._took = counted  # type: ignore[assignment,method-assign]
        virtual.go()
        took_s = time.perf_counter() - began
    recorder.close()
    return steps / took_s


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.lockstep")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=None, help="where the nodes' files are; the system's by default")
    options = parser.parse_args()
    pings, steps = [], []
    for _ in range(options.rounds):
        pings.append(ping_pong())
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            steps.append(lockstep(Path(folder)))
    step, trip = median(steps), median(pings)
    rows = [
        ["messages of the ping-pong", f"{2 * trip:.0f}", f"{5e5 / trip:.0f}", f"{step / trip / 2:.2f}"],
        ["round trips of the ping-pong", f"{trip:.0f}", f"{1e6 / trip:.0f}", f"{step / trip:.2f}"],
        ["steps of lockstep", f"{step:.0f}", f"{1e6 / step:.0f}", ""],
    ]
    print(tabulate(rows, ["", "a second", "us each", "lockstep's part of it"]))


if __name__ == "__main__":
    main()
