"""Any server that a command line starts, as a target."""

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
from typing import ClassVar

from raft_chaos.chaos.processes import open_files
from raft_chaos.chaos.processes.shortage import HarnessError, shortage
from raft_chaos.chaos.processes.supervisor import Child, Supervisor
from raft_chaos.chaos.targets.protocol import START_TIMEOUT_S, Launch, Running, TargetError, tail


@dataclass(frozen=True)
class CommandTarget:
    """Any server that a command line starts. It may contain these fields: {node} {http_port} {raft_port} {data} {peers}
    (name=host:port of the other nodes, with commas) and {incarnation}.

    Raises TargetError for a command line with other fields, or whose program does not exist.
    """

    command: str

    name: ClassVar[str] = "command"
    reports_events: ClassVar[bool] = False
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
        argv, stderr = self._argv(fields), folder / "stderr.log"
        child = supervisor.start(launch.node, execute, argv, open_files.users_limit(), stderr=stderr)
        url = f"http://127.0.0.1:{http_port}"
        if not _answers(url, child):
            child.kill()
            raise TargetError(f"{launch.node} did not answer GET {url}/status: {tail(stderr)}")
        return Running(child, url, raft_port)


def execute(argv: list[str], limit: int) -> None:
    """Replaces this process by the command, in the same process group; it may have `limit` open files."""
    open_files.set_limit(limit)
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
        raise SystemExit(f"cannot run {argv[0]!r}: {error.strerror}") from None


def free_port() -> int:
    """A port that was free just now; with a command line there is no better way to agree on one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(url: str, child: Child) -> bool:
    """Whether the node answers HTTP within the time limit of a start."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and child.is_alive:
        try:
            with urllib.request.urlopen(f"{url}/status", timeout=1.0):
                return True
        except urllib.error.HTTPError:
            return True
        except OSError as error:
            if missing := shortage(error):
                raise HarnessError(f"the harness ran out of {missing}, and cannot ask {url}") from None
            time.sleep(0.02)
    return False
