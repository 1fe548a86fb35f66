"""The protocol between the controller and a system under test, with optional capabilities.

A target starts one incarnation of one node, in a process group of the harness, and returns the addresses for clients
and peers. It declares only what it supports: the harness judges a target that reports no events by its client history
alone, and sends no command twice to a target that does not recognise repeated commands.

Clients speak HTTP to every target: POST /executeCommand and GET /status as the manual of our own node describes them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import ClassVar, Protocol

from raft_chaos.chaos.processes.supervisor import Child, Supervisor
from raft_chaos.invariants.rundir import RunDir

START_TIMEOUT_S = 30.0


class TargetError(Exception):
    """A node of the system under test did not come up. The message has its name and its last output."""


@dataclass(frozen=True)
class Launch:
    """One start of one node. `peers` are the proxy's addresses of the links to the other nodes."""

    run: RunDir
    seed: int
    node: str
    incarnation: int
    peers: dict[str, tuple[str, int]]
    epoch_us: int


@dataclass
class Running:
    """A node that answers. `raft_port` is where the proxy reaches it; None if the proxy cannot break its links.

    A node that ends by itself with the exit code `starved` had too little of the machine, which is no mistake of it.
    """

    child: Child
    http_url: str
    raft_port: int | None
    control: Connection | None = None
    starved: int | None = None

    def slow_sync(self, min_us: int, max_us: int) -> int:
        """Slows its syncs from now on; 0, 0 ends that. Returns how many were slowed since the last call."""
        if self.control is None:
            return 0
        try:
            self.control.send(("slow_sync", (min_us, max_us)))
            slowed: int = self.control.recv() if self.control.poll(1.0) else 0
            return slowed
        except (EOFError, OSError):
            return 0  # the node was killed meanwhile


class Target(Protocol):
    """A system under test. `start` blocks until the node answers; raises TargetError, and HarnessError if the harness
    itself could not start it."""

    name: ClassVar[str]
    reports_events: ClassVar[bool]
    knows_repeated_commands: ClassVar[bool]

    def start(self, supervisor: Supervisor, launch: Launch) -> Running: ...


TAIL_BYTES = 64 * 1024


def tail(file: Path, lines: int = 12) -> str:
    """The last lines of a text file, which may be huge; "" if there is none."""
    try:
        with file.open("rb") as opened:
            opened.seek(max(0, opened.seek(0, os.SEEK_END) - TAIL_BYTES))
            text = opened.read(TAIL_BYTES).decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])
