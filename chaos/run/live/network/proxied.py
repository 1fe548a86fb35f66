"""The networks `frames` and `tcp` as the controller sees them: a proxy stands on every link."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from raft_chaos.chaos.faults.links import Link, LinkCounters
from raft_chaos.chaos.processes.supervisor import Child
from raft_chaos.chaos.run.live.network.control import ProxyError
from raft_chaos.chaos.run.live.network.direct import Direct
from raft_chaos.chaos.run.live.network.proxy import ProxyClient
from raft_chaos.chaos.run.live.network.rules import LinkRule
from raft_chaos.chaos.targets.addresses import HOST


class Proxied(Direct):
    """The proxy's process, and the port on which it stands in for each link."""

    def __init__(self, proxy: ProxyClient, process: Child) -> None:
        super().__init__()
        self._proxy = proxy
        self._process = process
        self._ports = proxy.addresses()
        self.links: Sequence[Link] = sorted(self._ports)

    def peers_of(self, node: str, direct: Mapping[str, tuple[str, int]]) -> dict[str, tuple[str, int]]:
        through = {to: (HOST, port) for (sender, to), port in self._ports.items() if sender == node}
        return {**direct, **through}

    def route(self, node: str, port: int | None) -> None:
        if any(to == node for _, to in self.links):
            self._proxy.set_target(node, port)

    def leaving(self, node: str) -> None:
        if any(to == node for _, to in self.links):
            self._proxy.leaving(node)

    def set_rules(self, rules: Mapping[Link, LinkRule]) -> None:
        self._proxy.set_rules(dict(rules))

    def counters(self) -> Mapping[Link, LinkCounters]:
        return self._proxy.counters()

    def reset(self, links: Sequence[Link]) -> int:
        return self._proxy.reset(list(links))

    def check(self) -> None:
        self._proxy.check()
        if not self._process.is_alive:
            raise ProxyError(f"the proxy ended by itself with exit code {self._process.exit_code}")

    def close(self) -> None:
        self._proxy.close()
