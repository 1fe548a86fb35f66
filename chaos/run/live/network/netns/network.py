"""The network `netns` as the controller sees it."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.reduction import send_handle
from pathlib import Path
from typing import NamedTuple

from raft_chaos.chaos.faults.links import Link, LinkCounters
from raft_chaos.chaos.processes.shortage import SetupError
from raft_chaos.chaos.processes.supervisor import Child, Supervisor
from raft_chaos.chaos.run.live.enter import Enter, Namespace
from raft_chaos.chaos.run.live.network.control import ControlClient, ProxyError
from raft_chaos.chaos.run.live.network.direct import Direct
from raft_chaos.chaos.run.live.network.netns.switch import switch_main
from raft_chaos.chaos.run.live.network.rules import LinkRule
from raft_chaos.chaos.targets.addresses import HOST


def start(supervisor: Supervisor, nodes: list[str], seed: int, log: Path | None) -> Separate:
    """The network, ready for its nodes. Raises SetupError where this machine cannot have it."""
    ours, theirs = supervisor.pipe()
    process = supervisor.start("switch", switch_main, theirs, nodes, seed, stderr=log)
    theirs.close()
    client = SwitchClient(ours)
    description = client.describe()
    if isinstance(description, str):
        client.close()
        process.kill()
        raise SetupError(f"the network 'netns' is not possible on this machine: {description}")
    return Separate(client, process, description)


def missing() -> str | None:
    """What this machine lacks for the network, in one line; None if nothing is missing."""
    with Supervisor() as supervisor:
        try:
            start(supervisor, ["a", "b"], 0, Path(os.devnull)).close()
        except SetupError as error:
            return str(error)
    return None


class Description(NamedTuple):
    """The switch: its process, and for each node its address and the namespaces to enter."""

    switch: int
    hosts: dict[str, str]
    namespaces: dict[str, tuple[Namespace, ...]]


class SwitchClient(ControlClient):
    """The controller's side of the switch."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection, "switch")

    def describe(self) -> Description | str:
        """The switch, or what it could not do."""
        answer = self._ask("describe")
        return answer if isinstance(answer, str) else Description(*answer)

    def door(self, node: str, port: int, bound: socket.socket) -> None:
        """From now on what connects to the port of this socket reaches the port of the node, once that listens."""
        self._ask("door", node, port, handle=partial(_hand_over, bound))

    def down(self, node: str) -> None:
        """The node is down: what connects to its doors is refused, until its ports listen again."""
        self._ask("down", node)

    def reset(self, links: list[Link]) -> int:
        broken: int = self._ask("reset", links)
        return broken


def _hand_over(bound: socket.socket, connection: Connection) -> None:
    send_handle(connection, bound.fileno(), os.getpid())


def _bound() -> socket.socket:
    """A socket that is bound to a free port by its number: only then the port stays its own when it stops listening."""
    with socket.socket() as first:
        first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        first.bind((HOST, 0))
        bound = socket.socket()
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(first.getsockname())
    return bound


class Separate(Direct):
    """Each node in its namespace, the switch between them."""

    def __init__(self, client: SwitchClient, process: Child, description: Description) -> None:
        super().__init__()
        self._client = client
        self._process = process
        self._description = description
        self._doors: dict[tuple[str, int], int] = {}
        nodes = list(description.hosts)
        self.hosts: Mapping[str, str] = description.hosts
        self.links: Sequence[Link] = [(a, b) for a in nodes for b in nodes if a != b]

    def peers_of(self, node: str, direct: Mapping[str, tuple[str, int]]) -> dict[str, tuple[str, int]]:
        return {peer: (self.hosts[peer], port) for peer, (_, port) in direct.items()}

    def route(self, node: str, port: int | None) -> None:
        if port is None:
            self._client.down(node)

    def enter(self, node: str) -> Callable[[], None] | None:
        return Enter(node, "its network namespace", self._description.switch, self._description.namespaces[node])

    def door(self, node: str, port: int) -> tuple[str, int]:
        if (node, port) not in self._doors:
            with _bound() as bound:  # the switch keeps it open
                self._client.door(node, port, bound)
                self._doors[node, port] = bound.getsockname()[1]
        return HOST, self._doors[node, port]

    def set_rules(self, rules: Mapping[Link, LinkRule]) -> None:
        self._client.set_rules(dict(rules))

    def counters(self) -> Mapping[Link, LinkCounters]:
        return self._client.counters()

    def reset(self, links: Sequence[Link]) -> int:
        return self._client.reset(list(links))

    def check(self) -> None:
        self._client.check()
        if not self._process.is_alive:
            raise ProxyError(f"the switch ended by itself with exit code {self._process.exit_code}")

    def close(self) -> None:
        self._client.close()
