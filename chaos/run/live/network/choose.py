"""Starts the network that a target asks for, which is imported then."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from raft_chaos.chaos.processes.supervisor import Supervisor
from raft_chaos.chaos.run.live.network.backend import Network
from raft_chaos.chaos.targets.protocol import NetworkName
from raft_chaos.raft.network.tls_files import TlsFiles


def start(
    name: NetworkName,
    supervisor: Supervisor,
    nodes: list[str],
    seed: int,
    log: Path,
    tls: Mapping[str, TlsFiles] | None = None,
) -> Network:
    """The network of this name; its process says in `log` what it does not expect. `tls` are the files of the nodes, if
    their frames come over TLS.

    Raises SetupError where this machine does not have it, HarnessError if it fails.
    """
    if name == "none":
        from raft_chaos.chaos.run.live.network.direct import Direct

        return Direct()
    if name == "messages":
        from raft_chaos.chaos.run.live.network.messages import MessageNetwork

        return MessageNetwork(nodes, seed)
    if name == "netns":
        from raft_chaos.chaos.run.live.network.netns import network as netns

        return netns.start(supervisor, nodes, seed, log)
    from raft_chaos.chaos.run.live.network.frame_link import MAX_FRAME
    from raft_chaos.chaos.run.live.network.proxied import Proxied
    from raft_chaos.chaos.run.live.network.proxy import ProxyClient, proxy_main

    control, theirs = supervisor.pipe()
    process = supervisor.start("proxy", proxy_main, theirs, nodes, seed, MAX_FRAME, name, tls, stderr=log)
    theirs.close()
    return Proxied(ProxyClient(control), process)
