"""What the controller asks of a system under test: a small protocol with optional capabilities.

A target starts one incarnation of one node, in a process group of the harness, and says where clients and peers reach
it. What it cannot do it does not claim: a target that reports no events is judged by its client history alone, one that
cannot slow its disk gets no such faults, and one that does not recognise a repeated command is never sent one twice.

Clients speak HTTP to every target: POST /executeCommand and GET /status as the manual of our own node describes them.
"""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import ClassVar, Protocol

from raft_chaos.chaos.processes.supervisor import Child, Supervisor
from raft_chaos.chaos.schedule.streams import stream_seed
from raft_chaos.chaos.targets.raft_process import Ready, node_main
from raft_chaos.invariants.rundir import RunDir
from raft_chaos.raft.node import NodeConfig
from raft_chaos.raft.timing import Timing

START_TIMEOUT_S = 30.0


class TargetError(Exception):
    """A node of the system under test did not come up: says which, and what it said."""


@dataclass(frozen=True)
class Launch:
    """One start of one node. `peers` are the addresses of the links to the other nodes, proxied already."""

    run: RunDir
    seed: int
    node: str
    incarnation: int
    peers: dict[str, tuple[str, int]]
    epoch_us: int


@dataclass
class Running:
    """A node that answers. `raft_port` is where the proxy reaches it; None if it has no links to break."""

    child: Child
    http_url: str
    raft_port: int | None
    control: Connection | None = None

    def slow_sync(self, min_us: int, max_us: int) -> int:
        """Slows its syncs from now on (0, 0: no more). Returns how many were slowed since the last call."""
        if self.control is None:
            return 0
        try:
            self.control.send(("slow_sync", (min_us, max_us)))
            slowed: int = self.control.recv() if self.control.poll(1.0) else 0
            return slowed
        except (EOFError, OSError):
            return 0  # it has been killed meanwhile


class Target(Protocol):
    """A system under test. `start` blocks until the node answers; raises TargetError."""

    name: ClassVar[str]
    reports_events: ClassVar[bool]
    can_slow_sync: ClassVar[bool]
    knows_repeated_commands: ClassVar[bool]

    def start(self, supervisor: Supervisor, launch: Launch) -> Running: ...


@dataclass(frozen=True)
class RaftTarget:
    """Our own Raft, or one of its mutants."""

    timing: Timing
    mutant: str | None = None

    name: ClassVar[str] = "raft"
    reports_events: ClassVar[bool] = True
    can_slow_sync: ClassVar[bool] = True
    knows_repeated_commands: ClassVar[bool] = True

    def start(self, supervisor: Supervisor, launch: Launch) -> Running:
        folder = launch.run.node(launch.node)
        config = NodeConfig(
            cluster=f"run-{launch.seed}",
            node=launch.node,
            peers=launch.peers,
            data_dir=str(folder / "data"),
            timing=self.timing,
            seed=stream_seed(launch.seed, f"timer/{launch.node}/{launch.incarnation}"),
            incarnation=launch.incarnation,
            epoch_us=launch.epoch_us,
            events_file=str(launch.run.node_events(launch.node, launch.incarnation)),
            journal_file=str(launch.run.node_journal(launch.node, launch.incarnation)),
            fault_disk=True,
            commit_timeout_s=2.0,
        )
        ours, theirs = supervisor.pipe()
        stderr = folder / "stderr.log"
        child = supervisor.start(launch.node, node_main, config, self.mutant, theirs, stderr=stderr)
        theirs.close()
        if ours.poll(START_TIMEOUT_S):
            try:
                ready: Ready = ours.recv()
                return Running(child, ready.http_url, ready.raft_port, ours)
            except EOFError:
                pass  # it ended instead; what it said is on its stderr
        child.kill()
        raise TargetError(f"{launch.node} did not start: {tail(stderr)}")


@dataclass(frozen=True)
class CommandTarget:
    """Any server started by a command line, in which these are filled in: {node} {http_port} {raft_port} {data}
    {peers} (name=host:port of the other nodes, with commas) and {incarnation}.

    Raises TargetError for a command line that cannot be filled in, or whose program does not exist.
    """

    command: str

    name: ClassVar[str] = "command"
    reports_events: ClassVar[bool] = False
    can_slow_sync: ClassVar[bool] = False
    knows_repeated_commands: ClassVar[bool] = False

    def __post_init__(self) -> None:
        fields = ("node", "incarnation", "http_port", "raft_port", "data", "peers")
        try:
            argv = self._argv(dict.fromkeys(fields, ""))
        except (ValueError, LookupError, AttributeError) as error:
            raise TargetError(
                f"{self.command!r} cannot be filled in ({error}); there are {{{'} {'.join(fields)}}}"
            ) from None
        if not argv:
            raise TargetError("expected a command line, got nothing")
        if shutil.which(argv[0]) is None:
            raise TargetError(f"there is no program {argv[0]!r} that could be run")

    def _argv(self, fields: Mapping[str, object]) -> list[str]:
        return [word.format_map(fields) for word in shlex.split(self.command)]

    def start(self, supervisor: Supervisor, launch: Launch) -> Running:
        folder = launch.run.node(launch.node)
        data = folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        http_port, raft_port = free_port(), free_port()
        fields = {
            "node": launch.node,
            "incarnation": launch.incarnation,
            "http_port": http_port,
            "raft_port": raft_port,
            "data": data,
            "peers": ",".join(f"{peer}={host}:{port}" for peer, (host, port) in launch.peers.items()),
        }
        child = supervisor.start(launch.node, execute, self._argv(fields), stderr=folder / "stderr.log")
        url = f"http://127.0.0.1:{http_port}"
        if not _answers(url, child):
            child.kill()
            raise TargetError(f"{launch.node} did not answer GET {url}/status: {tail(folder / 'stderr.log')}")
        return Running(child, url, raft_port)


def execute(argv: list[str]) -> None:
    """Becomes the command. It stays in the process group in which it was started."""
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
        raise SystemExit(f"cannot run {argv[0]!r}: {error.strerror}") from None


def free_port() -> int:
    """A port that was free a moment ago; a command line leaves no better way to agree on one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def tail(file: Path, lines: int = 12) -> str:
    """The last lines of a text file; "" if there is none."""
    try:
        return "\n".join(file.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


def _answers(url: str, child: Child) -> bool:
    """Whether it answers HTTP within the time that a start may take."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and child.is_alive:
        try:
            with urllib.request.urlopen(f"{url}/status", timeout=1.0):
                return True
        except urllib.error.HTTPError:
            return True
        except OSError:
            time.sleep(0.02)
    return False
