"""Any server that a command line starts, and that speaks the HTTP API of our own nodes (docs/http-api.md)."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from raft_chaos.chaos.faults.abilities import OPERATIONS, Abilities, with_disk
from raft_chaos.chaos.processes.supervisor import Supervisor
from raft_chaos.chaos.targets import our_api
from raft_chaos.chaos.targets.command_lines import find_program
from raft_chaos.chaos.targets.door import Door
from raft_chaos.chaos.targets.http import HttpSession
from raft_chaos.chaos.targets.program import answers_http, data_folder, started
from raft_chaos.chaos.targets.protocol import Launch, NetworkName, Running, Status, TargetError

FIELDS = ("node", "incarnation", "http_port", "raft_port", "data", "peers")


@dataclass(frozen=True)
class CommandTarget:
    """Any server that a command line starts. It may contain these fields: {node} {http_port} {raft_port} {data} {peers}
    (name=host:port of the other nodes, with commas) and {incarnation}.

    Raises TargetError for a command line with other fields, or whose program does not exist.
    """

    command: str
    network: NetworkName = "frames"
    disk: str | None = None

    name: ClassVar[str] = "command"
    ports: ClassVar[tuple[str, ...]] = ("http", "raft")
    link_port: ClassVar[str | None] = "raft"

    def __post_init__(self) -> None:
        try:
            argv = self._argv(dict.fromkeys(FIELDS, ""))
        except (ValueError, LookupError, AttributeError) as error:
            raise TargetError(
                f"{self.command!r} cannot be filled in ({error}); there are {{{'} {'.join(FIELDS)}}}"
            ) from None
        if not argv:
            raise TargetError("expected a command line, got nothing")
        find_program(argv[0])

    @property
    def can(self) -> Abilities:
        return with_disk(frozenset((*OPERATIONS, "kill", "pause", "leader", "term")), self.disk)

    def _argv(self, fields: Mapping[str, object]) -> list[str]:
        return [word.format_map(fields) for word in shlex.split(self.command)]

    def start(self, supervisor: Supervisor, launch: Launch) -> Running:
        http_port, raft_port = (launch.ports[launch.node][name] for name in self.ports)
        fields = {
            "node": launch.node,
            "incarnation": launch.incarnation,
            "http_port": http_port,
            "raft_port": raft_port,
            "data": data_folder(launch),
            "peers": ",".join(f"{peer}={host}:{port}" for peer, (host, port) in launch.peers.items()),
        }
        host, port = launch.reach(http_port)
        url = f"http://{host}:{port}"
        launch.route(raft_port)
        child, is_ready = started(supervisor, launch, self._argv(fields), {}, lambda: answers_http(f"{url}/status"))
        return Running(child, url, is_ready=is_ready)

    def door(self, session: HttpSession, urls: Callable[[], Mapping[str, str]]) -> Door:
        return our_api.HttpDoor(session, urls, knows_repeats="repeats" in self.can)

    async def status(self, session: HttpSession, url: str) -> Status | None:
        return await our_api.status(session, url)

    async def close(self) -> None:
        """Doors hold nothing but the session."""
