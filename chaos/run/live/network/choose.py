"""Starts the network that a target asks for."""

from __future__ import annotations

from pathlib import Path

from raft_chaos.chaos.processes.supervisor import Supervisor
from raft_chaos.chaos.run.live.network.backend import Network
from raft_chaos.chaos.run.live.network.direct import Direct
from raft_chaos.chaos.run.live.network.frame_link import MAX_FRAME
from raft_chaos.chaos.run.live.network.messages import MessageNetwork
from raft_chaos.chaos.run.live.network.netns import network as netns
from raft_chaos.chaos.run.live.network.proxied import Proxied
from raft_chaos.chaos.run.live.network.proxy import ProxyClient, proxy_main
from raft_chaos.chaos.targets.protocol import NetworkName


def start(name: NetworkName, supervisor: Supervisor, nodes: list[str], seed: int, log: Path) -> Network:
    """The network of this name; its process says in `log` what it does not expect.

    Raises SetupError where this machine does not have it, HarnessError if it fails.
    """
    if name == "none":
        return Direct()
    if name == "messages":
        return MessageNetwork(nodes, seed)
    if name == "netns":
        return netns.start(supervisor, nodes, seed, log)
    control, theirs = supervisor.pipe()
    process = supervisor.start("proxy", proxy_main, theirs, nodes, seed, MAX_FRAME, name, stderr=log)
    theirs.close()
    return Proxied(ProxyClient(control), process)
