"""A target whose nodes speak JSON lines on stdin and stdout, as Maelstrom's do: the harness is their network.

Each line is {"src", "dest", "body"}; a body has a "type", and a request a "msg_id" to which the reply is "in_reply_to".
A node first gets "init", with its id and the ids of all nodes. Clients ask for Maelstrom's lin-kv workload: "read",
"write" and "cas". All that nodes send to each other passes through the harness, so every fault acts on single messages.

An error's code says whether the operation certainly had no effect (Maelstrom's "definite" errors); an unknown one does
not. Nodes live in memory unless the target says `persistent`: then they must find their data again in their folder,
which is {data} in the command and RAFT_CHAOS_DATA in the environment.
"""

from __future__ import annotations

import asyncio
import shlex
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from raft_chaos.chaos.faults.abilities import OF_LIN_KV, Abilities, with_disk
from raft_chaos.chaos.processes.supervisor import Supervisor
from raft_chaos.chaos.schedule.data import Operation
from raft_chaos.chaos.targets import command_lines, program, template
from raft_chaos.chaos.targets.description import Description
from raft_chaos.chaos.targets.door import REFUSED, Door, NoAnswer, Outcome
from raft_chaos.chaos.targets.http import HttpSession
from raft_chaos.chaos.targets.log_lines import LogLine
from raft_chaos.chaos.targets.protocol import (
    STOPPING,
    Launch,
    NetworkName,
    Peer,
    Running,
    Status,
    Stopping,
    TargetError,
)
from raft_chaos.invariants.history import Value

KEY_MISSING, PRECONDITION_FAILED = 20, 22
DEFINITE = {
    1: "there is no such node",
    10: "not supported",
    11: "temporarily unavailable",
    12: "malformed request",
    14: "aborted",
    20: "the key does not exist",
    21: "the key exists already",
    22: "the value is another one",
    30: "a conflict of transactions",
}
"""Maelstrom's codes of errors after which the operation certainly had no effect."""
NOT_TAKEN = (1, 11)
"""Another node may take the operation."""


@dataclass
class StdioTarget:
    """Nodes that this command line starts, with {node}, {incarnation} and {data} filled in.

    `declared` is what they can beside reads, writes, cas and pauses: "kill" for nodes that have their data again when
    they start, "stop" for nodes that end in order when they are asked to, as `stopping` says. Raises TargetError for a
    command without a program.
    """

    command: str | list[str]
    declared: Abilities = frozenset()
    name: str = "stdio"
    environment: Mapping[str, str] = field(default_factory=dict)
    log_lines: tuple[LogLine, ...] = ()
    described_by: bytes = b""
    rate: float | None = None
    stopping: Stopping = STOPPING

    network: ClassVar[NetworkName] = "messages"
    ports: ClassVar[tuple[str, ...]] = ()
    link_port: ClassVar[str | None] = None
    _peers: dict[str, Peer] = field(default_factory=dict)

    def __post_init__(self) -> None:
        try:
            self._words = shlex.split(self.command) if isinstance(self.command, str) else self.command
        except ValueError as error:
            raise TargetError(f"{self.command!r} is no command line: {error}") from None
        if not self._words:
            raise TargetError("expected a command line, got nothing")
        command_lines.find_program(self._words[0])

    @property
    def can(self) -> Abilities:
        return self.declared | {*OF_LIN_KV, "pause"}

    def start(self, supervisor: Supervisor, launch: Launch) -> Running:
        assert launch.attach is not None, "the network of such a target takes its messages"
        ours, theirs = socket.socketpair()
        with theirs:
            peer = self._peers[launch.node] = launch.attach(ours)
            data = str(program.data_folder(launch).absolute())
            fields = {"node": launch.node, "incarnation": launch.incarnation, "data": data}
            argv = [template.fill(word, fields) for word in self._words]
            environment = {name: template.fill(text, fields) for name, text in self.environment.items()}
            child, is_ready = program.started(
                supervisor,
                launch,
                argv,
                {"RAFT_CHAOS_DATA": data, **environment},
                peer.is_ready,
                stdin_and_stdout=theirs,
            )
        return Running(child, launch.node, is_ready=is_ready, stopping=self.stopping)

    def door(self, session: HttpSession, urls: Callable[[], Mapping[str, str]]) -> Door:
        return _StdioDoor(self._peers, urls)

    async def status(self, session: HttpSession, url: str) -> Status | None:
        return None

    async def close(self) -> None:
        """The network closes the pipes."""


def described_by(described: Description, file: Path, disk: str | None) -> StdioTarget:
    """The nodes on stdin and stdout that a file describes."""
    return StdioTarget(
        command_lines.found_beside(described.words, file.parent),
        declared=with_disk(described.can, disk),
        name=described.name or file.stem,
        environment=described.environment,
        log_lines=described.events,
        described_by=msgspec.json.encode(described),
        rate=described.rate,
        stopping=described.stop or STOPPING,
    )


class _StdioDoor:
    """See `Door`. An address is a node's name."""

    knows_repeats = False

    def __init__(self, peers: Mapping[str, Peer], urls: Callable[[], Mapping[str, str]]) -> None:
        self._peers = peers
        self._urls = urls

    def addresses(self) -> list[str]:
        return list(self._urls())

    def address_of(self, node: str) -> str:
        return node if node in self._urls() else ""

    def command(self, operation: Operation, session: str, serial: int, since: int = 0) -> tuple[Operation, str]:
        return operation, operation.client

    async def ask(self, address: str, command: tuple[Operation, str], within_us: int) -> Outcome | NoAnswer:
        operation, client = command
        body = _request(operation)
        if body is None:
            return Outcome("fail", error="not sent: lin-kv cannot say that a key must be absent")
        try:
            async with asyncio.timeout(within_us / 1e6):
                reply = await self._peers[address].request(client, body)
        except TimeoutError:
            return NoAnswer(True, "no answer in time")
        except ConnectionError as error:
            return NoAnswer(not isinstance(error, ConnectionRefusedError), str(error))
        return _understood(operation, reply)


def _request(operation: Operation) -> dict[str, Any] | None:
    key = operation.key
    if operation.f == "get":
        return {"type": "read", "key": key}
    if operation.f == "put":
        return {"type": "write", "key": key, "value": operation.value}
    if operation.expected is None:
        return None
    return {"type": "cas", "key": key, "from": operation.expected, "to": operation.value}


def _understood(operation: Operation, reply: Mapping[str, Any]) -> Outcome | NoAnswer:
    kind, code = reply.get("type"), reply.get("code")
    if kind == {"get": "read_ok", "put": "write_ok", "cas": "cas_ok"}[operation.f]:
        value: Value = reply.get("value")
        if operation.f != "get":
            return Outcome("ok")
        if value is not None and not isinstance(value, str):
            return NoAnswer(True, f"a value that nobody wrote: {value!r}")
        return Outcome("ok", value)
    if kind != "error" or not isinstance(code, int):
        return NoAnswer(True, f"an answer that cannot be understood: {reply}")
    said = str(reply.get("text") or DEFINITE.get(code) or f"error {code}")
    if operation.f == "get" and code == KEY_MISSING:
        return Outcome("ok", None)
    if operation.f == "cas" and code in (KEY_MISSING, PRECONDITION_FAILED):
        return Outcome("fail", error=f"{REFUSED}: {said}")
    if code in NOT_TAKEN:
        return NoAnswer(False, f"not taken: {said}")
    return Outcome("fail", error=said) if code in DEFINITE else NoAnswer(True, said)
