"""Nodes of a live cluster without a run: real processes, and all events about them."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from raft_chaos.chaos.processes.supervisor import Supervisor
from raft_chaos.chaos.run.live.cluster import LiveCluster
from raft_chaos.chaos.run.live.network import choose as network
from raft_chaos.chaos.run.live.watcher import Watcher
from raft_chaos.chaos.targets.addresses import claimed
from raft_chaos.chaos.targets.command import CommandTarget
from raft_chaos.chaos.targets.protocol import Target
from raft_chaos.invariants.events import HarnessEvent
from raft_chaos.invariants.rundir import RunDir
from raft_chaos.raft.server.host import monotonic_us

SERVER = [sys.executable, str(Path(__file__).parents[2] / "targets" / "wrong_server.py"), "--port", "{http_port}"]


class Cluster(LiveCluster):
    """Nodes of a target (default: three of our servers), and all events about them."""

    def __init__(self, supervisor: Supervisor, folder: Path, size: int = 3, target: Target | None = None) -> None:
        nodes = [f"n{number}" for number in range(1, size + 1)]
        epoch_us = monotonic_us()
        self.reported: list[HarnessEvent] = []
        self.network = network.start("frames", supervisor, nodes, 1, folder / "proxy.log")
        self._claim = claimed(nodes, ("http", "raft"))
        super().__init__(
            supervisor=supervisor,
            target=target or CommandTarget(shlex.join([*SERVER, "--mode", "memory", "--data", "{data}"])),
            network=self.network,
            watcher=Watcher(nodes, lambda event: None, lambda *anchor: None),
            run=RunDir(folder),
            nodes=nodes,
            seed=1,
            epoch_us=epoch_us,
            now_us=lambda: monotonic_us() - epoch_us,
            report=self.reported.append,
            ports=self._claim.__enter__(),
        )

    def kinds(self) -> list[type[HarnessEvent]]:
        return [type(event) for event in self.reported]
