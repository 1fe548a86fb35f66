"""The network `none`: the nodes reach each other directly, and there are no links to break."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from socket import socket

from raft_chaos.chaos.faults.links import Link, LinkCounters
from raft_chaos.chaos.processes.shortage import SetupError
from raft_chaos.chaos.run.live.network.rules import LinkRule
from raft_chaos.chaos.targets.addresses import HOST
from raft_chaos.chaos.targets.protocol import Peer


class Direct:
    """No network of ours. The other networks inherit what they do not change."""

    def __init__(self) -> None:
        self.links: Sequence[Link] = ()
        self.hosts: Mapping[str, str] = {}

    def peers_of(self, node: str, direct: Mapping[str, tuple[str, int]]) -> dict[str, tuple[str, int]]:
        return dict(direct)

    def route(self, node: str, port: int | None) -> None:
        pass

    def leaving(self, node: str) -> None:
        pass

    def attach(self, node: str, sock: socket) -> Peer:
        raise SetupError(
            "the nodes of this target speak over stdin and stdout, which only the network `messages` takes"
        )

    def enter(self, node: str) -> Callable[[], None] | None:
        return None

    def door(self, node: str, port: int) -> tuple[str, int]:
        return HOST, port

    def set_rules(self, rules: Mapping[Link, LinkRule]) -> None:
        pass

    def counters(self) -> Mapping[Link, LinkCounters]:
        return {}

    def reset(self, links: Sequence[Link]) -> int:
        return 0

    def check(self) -> None:
        pass

    def close(self) -> None:
        pass
