"""What the controller asks of the network between the nodes (what each can do to a link: `abilities.OF_NETWORK`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from socket import socket
from typing import Protocol

from raft_chaos.chaos.faults.links import Link, LinkCounters
from raft_chaos.chaos.run.live.network.rules import LinkRule
from raft_chaos.chaos.targets.protocol import Peer


class Network(Protocol):
    """The links between the nodes of a run: where each node finds the others, and what happens on the way.

    Each method that asks the network's process raises ProxyError when that cannot answer.
    """

    @property
    def links(self) -> Sequence[Link]:
        """The directed links that can be broken."""
        ...

    @property
    def hosts(self) -> Mapping[str, str]:
        """The address of each node, where that is not the machine's own."""
        ...

    def peers_of(self, node: str, direct: Mapping[str, tuple[str, int]]) -> dict[str, tuple[str, int]]:
        """Where the node reaches each peer; `direct` is where they listen, as far as that is known."""
        ...

    def route(self, node: str, port: int | None) -> None:
        """From now on what the others send to the node goes to this port; with None it is lost."""
        ...

    def leaving(self, node: str) -> None:
        """The node is about to be ended: until its next start, no end of its connections says that it refuses what it
        got."""
        ...

    def attach(self, node: str, sock: socket) -> Peer:
        """A new incarnation of the node is about to speak over this socket, as its stdin and stdout."""
        ...

    def enter(self, node: str) -> Callable[[], None] | None:
        """What the node's process calls before its program begins, to be in the node's network. It can be pickled."""
        ...

    def door(self, node: str, port: int) -> tuple[str, int]:
        """Where the controller, and every client on this machine, reaches a port of the node."""
        ...

    def set_rules(self, rules: Mapping[Link, LinkRule]) -> None:
        """Replaces all rules; a link that is not mentioned has none. They are in force when this returns."""
        ...

    def counters(self) -> Mapping[Link, LinkCounters]:
        """For each link, what happened on it so far."""
        ...

    def reset(self, links: Sequence[Link]) -> int:
        """Breaks the connections that use these links; returns how many."""
        ...

    def check(self) -> None:
        """Raises HarnessError if the network is in trouble: the checkers would blame the nodes, which no longer hear
        each other. Raises SetupError if what the nodes say cannot be understood."""
        ...

    def close(self) -> None:
        """Ends the network."""
        ...
