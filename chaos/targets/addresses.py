"""The ports of a run's nodes: chosen before the first node starts, and the same for all of its incarnations.

A port of the kernel's choice would come from the range that it also gives to outgoing connections, so that another
program can have it when the node starts again. So these ports are outside of that range. They come in blocks, and a
run holds the first port of its block as long as it lives: runs at the same time never meet, and a run that is killed
leaves nothing behind.
"""

from __future__ import annotations

import errno
import secrets
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from raft_chaos.chaos.processes.shortage import HarnessError

HOST = "127.0.0.1"
LEAST_PORT, MOST_PORT = 10_000, 65_535
BLOCK = 128
EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")

Ports: TypeAlias = Mapping[str, Mapping[str, int]]
"""For each node, the ports on which it listens, by name."""


@contextmanager
def claimed(nodes: Sequence[str], names: Sequence[str]) -> Iterator[Ports]:
    """Ports of these names for each node, which are this run's until the end of the block. Raises HarnessError if no
    block is free, OSError for any other trouble of the machine."""
    needed = len(nodes) * len(names)
    blocks = [range(first, first + BLOCK) for first in _firsts()]
    while blocks:
        block = blocks.pop(secrets.randbelow(len(blocks)))
        try:
            mark = socket.create_server((HOST, block[0]))
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            continue  # another run has it, or another program has the port
        with mark:
            free = [port for port in block[1:] if _is_free(port)]
            if len(free) >= needed:
                chosen = iter(free)
                yield {node: {name: next(chosen) for name in names} for node in nodes}
                return
    raise HarnessError(f"no {needed} ports are free for the nodes of a run, out of {LEAST_PORT} to {MOST_PORT}")


def _firsts() -> list[int]:
    """The first port of each block that has no ephemeral port."""
    try:
        low, high = map(int, EPHEMERAL.read_text(encoding="ascii").split())
    except (OSError, ValueError):
        low, high = 32_768, 60_999  # Linux's default
    every = range(LEAST_PORT, MOST_PORT - BLOCK + 2, BLOCK)
    return [first for first in every if first + BLOCK <= low or first > high]


def _is_free(port: int) -> bool:
    """Whether a server could listen there now, on any address of the machine."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            return False
        return True
