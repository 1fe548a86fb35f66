"""What the operating system says of processes and ports."""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack

import psutil

from raft_chaos.chaos.processes.supervisor import Child


def lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def process_state(child: Child | None) -> str:
    """The state of a supervisor's child: "up", "paused" or "down"."""
    try:
        status = child.info.status() if child is not None else psutil.STATUS_DEAD
    except psutil.NoSuchProcess:
        return "down"
    gone = (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    return "down" if status in gone else "paused" if status == psutil.STATUS_STOPPED else "up"


def listening(process: psutil.Process) -> list[int]:
    """The TCP ports on which a process listens."""
    try:
        connections = process.net_connections(kind="tcp")
    except psutil.NoSuchProcess:
        return []
    return [connection.laddr.port for connection in connections if connection.status == psutil.CONN_LISTEN]


def accepts(port: int) -> bool:
    """Whether a process listens on this port of the loopback."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


FIRST_PORT = 20_000 + os.getpid() % 1_000 * 10
"""Below the ports that the kernel hands out; suites that run at once begin at different ones."""


def free_ports(count: int, after: int) -> int:
    """The first of `count` consecutive ports above `after` that were free just now."""
    for first in range(after + 1, 65_536 - count):
        try:
            with ExitStack() as held:
                for port in range(first, first + count):
                    held.enter_context(socket.create_server(("127.0.0.1", port)))
                return first
        except OSError:
            continue
    raise AssertionError("no free ports")
