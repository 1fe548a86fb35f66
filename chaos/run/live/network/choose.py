"""Starts the network that a target asks for: what stands on the links between its nodes."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from raft_chaos.chaos.faults.links import Link, LinkCounters
from raft_chaos.chaos.processes.shortage import SetupError
from raft_chaos.chaos.processes.supervisor import Child, Supervisor
from raft_chaos.chaos.run.live.network.frame_link import MAX_FRAME, LinkRule
from raft_chaos.chaos.run.live.network.frame_proxy import ProxyClient, ProxyError, proxy_main
from raft_chaos.chaos.run.live.network.messages import MessageNetwork
from raft_chaos.chaos.targets.addresses import HOST
from raft_chaos.chaos.targets.protocol import NetworkName, Peer
from raft_chaos.raft.network.tls import TlsFiles


class Network(Protocol):
    """The links between the nodes of a run: where each node finds the others, and what happens on the way."""

    links: Sequence[Link]

    def peers_of(self, node: str, direct: Mapping[str, tuple[str, int]]) -> dict[str, tuple[str, int]]:
        """Where the node reaches each peer; `direct` is where they listen, as far as that is known."""
        ...

    def route(self, node: str, port: int | None) -> None:
        """From now on what the others send to the node goes to this port; with None it is lost."""
        ...

    def attach(self, node: str, sock: socket.socket) -> Peer:
        """A new incarnation of the node is about to speak over this socket, as its stdin and stdout."""
        ...

    def set_rules(self, rules: Mapping[Link, LinkRule]) -> None:
        """Replaces all rules; a link that is not mentioned has none. They are in force when this returns."""
        ...

    def counters(self) -> dict[Link, LinkCounters]: ...
    def check(self) -> None:
        """Raises HarnessError if the network is in trouble: the checkers would blame the nodes, which no longer hear
        each other. Raises SetupError if what the nodes say cannot be understood."""
        ...


class Proxied:
    """The links between the nodes of a run: where each node finds the others, and what happens on the way.

    Without a proxy (the network "none") the nodes reach each other directly, and there are no links to break.
    """

    def __init__(self, proxy: ProxyClient | None = None, process: Child | None = None) -> None:
        self._proxy = proxy
        self._process = process
        self._ports = proxy.addresses() if proxy is not None else {}
        self.links: Sequence[Link] = sorted(self._ports)

    def peers_of(self, node: str, direct: Mapping[str, tuple[str, int]]) -> dict[str, tuple[str, int]]:
        through = {to: (HOST, port) for (sender, to), port in self._ports.items() if sender == node}
        return {**direct, **through}

    def route(self, node: str, port: int | None) -> None:
        if self._proxy is not None and any(to == node for _, to in self.links):
            self._proxy.set_target(node, port)

    def attach(self, node: str, sock: socket.socket) -> Peer:
        raise SetupError(
            "the nodes of this target speak over stdin and stdout, which only the network `messages` takes"
        )

    def set_rules(self, rules: Mapping[Link, LinkRule]) -> None:
        if self._proxy is not None:
            self._proxy.set_rules(dict(rules))

    def counters(self) -> dict[Link, LinkCounters]:
        return self._proxy.counters() if self._proxy is not None else {}

    def check(self) -> None:
        if self._proxy is None or self._process is None:
            return
        self._proxy.check()
        if not self._process.is_alive:
            raise ProxyError(f"the proxy ended by itself with exit code {self._process.exit_code}")


def start(
    name: NetworkName,
    supervisor: Supervisor,
    nodes: list[str],
    seed: int,
    log: Path,
    tls: Mapping[str, TlsFiles] | None = None,
) -> Network:
    """The network of this name. Raises SetupError where this machine does not have it, HarnessError if it fails."""
    if name == "none":
        return Proxied()
    if name == "messages":
        return MessageNetwork(nodes, seed)
    if name != "frames":
        raise SetupError(f"the network {name!r} is not there yet; use frames or none")
    control, theirs = supervisor.pipe()
    process = supervisor.start("proxy", proxy_main, theirs, nodes, seed, MAX_FRAME, tls, stderr=log)
    theirs.close()
    return Proxied(ProxyClient(control), process)
