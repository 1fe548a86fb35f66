"""The systems, each as a cluster of three real processes that can be killed and started again."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from time import monotonic, sleep
from typing import Any, NamedTuple

from bench.etcd_node import EtcdConfig, etcd_main, get_etcd_status, put_to_etcd
from bench.http import HOST, get_status, put_request
from bench.pysyncobj_node import PySyncObjConfig, pysyncobj_main
from raft_chaos.chaos.processes.supervisor import Child, Supervisor
from raft_chaos.chaos.targets.raft_process import node_main
from raft_chaos.raft.server.node_config import NodeConfig
from raft_chaos.raft.state.features import Features
from raft_chaos.raft.state.timing import Timing

NODES = ("n1", "n2", "n3")
START_TIMEOUT_S = 20.0
SETTLE_TIMEOUT_S = 60.0
POLL_S = 0.01
TIMING = Timing(election_timeout_min_us=150_000, election_timeout_max_us=300_000, heartbeat_us=50_000)


class BenchError(Exception):
    """A cluster did not do what a measurement needs. The message says what was expected, and what was seen."""


class Place(NamedTuple):
    """The folder and the ports of one node. `raft_ports` has all nodes."""

    node: str
    folder: Path
    raft_ports: dict[str, int]
    http_port: int
    incarnation: int


class System(NamedTuple):
    """How to run a node of a system: `main(*arguments(place), pipe)` in a process, which sends a message once ready.
    And how to speak to one: the bytes that `put` a key, and the `status` of the node at a port."""

    name: str
    main: Callable[..., None]
    arguments: Callable[[Place], tuple[Any, ...]]
    put: Callable[[str, str], bytes] = put_request
    status: Callable[[int], dict[str, Any] | None] = get_status


def raft_arguments(place: Place, snapshot_every: int = 0, timing: Timing | None = None) -> tuple[Any, ...]:
    raft_port = place.raft_ports[place.node]
    config = NodeConfig(
        cluster="bench",
        node=place.node,
        peers={peer: (HOST, port) for peer, port in place.raft_ports.items() if peer != place.node},
        data_dir=str(place.folder),
        raft_port=raft_port,
        http_port=place.http_port,
        timing=timing or TIMING.with_features(Features(snapshot_every=snapshot_every)),
        seed=raft_port * 1000 + place.incarnation,  # another election timer for each node of each cluster
        incarnation=place.incarnation,
    )
    return config, None


def _pysyncobj_arguments(place: Place, flush: bool = False, snapshot_every: int = 0) -> tuple[Any, ...]:
    config = PySyncObjConfig(
        node=place.node,
        address=f"{HOST}:{place.raft_ports[place.node]}",
        peers=[f"{HOST}:{port}" for peer, port in place.raft_ports.items() if peer != place.node],
        data_dir=str(place.folder),
        http_port=place.http_port,
        flush=flush,
        snapshot_every=snapshot_every,
    )
    return (config,)


def _etcd_arguments(place: Place) -> tuple[Any, ...]:
    config = EtcdConfig(
        node=place.node, data_dir=str(place.folder), client_port=place.http_port, peers=place.raft_ports
    )
    return (config,)


def _unsynced_main(config: NodeConfig, mutant: str | None, control: Connection) -> None:
    os.fdatasync = _no_sync
    node_main(config, mutant, control)


def _no_sync(fd: object) -> None:
    """Leaves the bytes to the page cache, as PySyncObj does."""


RAFT = System("raft-chaos", node_main, raft_arguments)
RAFT_UNSYNCED = System("raft-chaos, not synced", _unsynced_main, raft_arguments)
PYSYNCOBJ = System("PySyncObj", pysyncobj_main, _pysyncobj_arguments)
PYSYNCOBJ_FLUSHED = System("PySyncObj, flushed", pysyncobj_main, partial(_pysyncobj_arguments, flush=True))
ETCD = System("etcd", etcd_main, _etcd_arguments, put_to_etcd, get_etcd_status)


def compacting(snapshot_every: int) -> tuple[System, System]:
    """Both systems as shipped, each with a snapshot whenever its log has so many entries."""
    return (
        RAFT._replace(arguments=partial(raft_arguments, snapshot_every=snapshot_every)),
        PYSYNCOBJ._replace(arguments=partial(_pysyncobj_arguments, snapshot_every=snapshot_every)),
    )


class _Node:
    def __init__(self, http_port: int) -> None:
        self.http_port = http_port
        self.incarnation = 0
        self.child: Child | None = None
        self.control: Connection | None = None


class Cluster:
    """Three nodes of one system with their data in `folder`. A context manager, which ends and removes all of it."""

    def __init__(self, system: System, supervisor: Supervisor, folder: Path) -> None:
        self.system = system
        self._supervisor = supervisor
        self._folder = folder
        folder.mkdir()
        ports = free_ports(2 * len(NODES))
        self._raft_ports = dict(zip(NODES, ports, strict=False))
        self._nodes = {name: _Node(port) for name, port in zip(NODES, ports[len(NODES) :], strict=True)}

    def __enter__(self) -> Cluster:
        try:
            for name in NODES:
                self.start(name)
            self.wait_until_level()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for name in NODES:
            self.kill(name)
        shutil.rmtree(self._folder)

    def http_port(self, name: str) -> int:
        return self._nodes[name].http_port

    def pid(self, name: str) -> int:
        """The process of the node, which runs."""
        child = self._nodes[name].child
        assert child is not None
        return child.pid

    def start(self, name: str) -> None:
        """Starts the node; returns once it listens."""
        node = self._nodes[name]
        node.incarnation += 1
        place = Place(name, self._folder / name, self._raft_ports, node.http_port, node.incarnation)
        node.control, theirs = self._supervisor.pipe()
        arguments = self.system.arguments(place)
        log = self._folder / f"{name}.log"
        node.child = self._supervisor.start(name, self.system.main, *arguments, theirs, stderr=log)
        theirs.close()
        if not node.control.poll(START_TIMEOUT_S):
            raise BenchError(f"{self.system.name}, {name}: not ready after {START_TIMEOUT_S:g} s; see {log}")
        try:
            node.control.recv()
        except EOFError:
            raise BenchError(f"{self.system.name}, {name}: ended at its start:\n{log.read_text()}") from None

    def strike(self, name: str) -> None:
        """SIGKILL, without waiting."""
        child = self._nodes[name].child
        assert child is not None
        child.strike()

    def kill(self, name: str) -> None:
        """SIGKILL, and waits until the node is gone. Harmless if it is not running."""
        node = self._nodes[name]
        if node.child is not None and node.control is not None:
            node.child.kill()
            node.control.close()
        node.child = node.control = None

    # ---- the nodes' status ------------------------------------------------------------------------------------------

    def statuses(self) -> dict[str, dict[str, Any]]:
        """`GET /status` of all nodes that answer."""
        running = [name for name, node in self._nodes.items() if node.child is not None]
        return {name: status for name in running if (status := self.system.status(self.http_port(name))) is not None}

    def leader(self) -> str:
        """The node that leads. Raises BenchError if there is none within the time limit."""
        deadline = monotonic() + SETTLE_TIMEOUT_S
        while monotonic() < deadline:
            leaders = [name for name, status in self.statuses().items() if status["role"] == "leader"]
            if len(leaders) == 1:
                return leaders[0]
            sleep(POLL_S)
        raise BenchError(f"{self.system.name}: no leader within {SETTLE_TIMEOUT_S:g} s: {self.statuses()}")

    def last_applied(self, name: str) -> int:
        status = self.system.status(self.http_port(name))
        return -1 if status is None else int(status["last_applied"])

    def wait_until_applied(self, name: str, index: int, timeout_s: float = SETTLE_TIMEOUT_S) -> None:
        """Waits. Raises BenchError if the node has not applied the entry at `index` within `timeout_s`."""
        deadline = monotonic() + timeout_s
        while (applied := self.last_applied(name)) < index:
            if monotonic() > deadline:
                raise BenchError(f"{self.system.name}, {name}: applied {applied} of {index} within {timeout_s:g} s")
            sleep(POLL_S)

    def wait_until_level(self) -> None:
        """Waits until one node leads and all have applied the entries that it had applied."""
        applied = self.last_applied(self.leader())
        for name in NODES:
            self.wait_until_applied(name, applied)


def free_ports(number: int) -> list[int]:
    """Ports that are free now. It holds all of them at once, so that they differ."""
    sockets = [socket.create_server((HOST, 0)) for _ in range(number)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
