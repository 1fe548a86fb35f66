"""`raft-chaos cluster`: a plain cluster in the foreground. `raft-chaos node`: a single node of such a cluster."""

from __future__ import annotations

import asyncio
import logging
import secrets
import signal
import sys
import tempfile
import threading
from pathlib import Path
from typing import Annotated

import typer

from raft_chaos.chaos.cli.common import fail, parse_address, parse_range_ms, say
from raft_chaos.chaos.cli.result import Result
from raft_chaos.chaos.processes.supervisor import Supervisor
from raft_chaos.chaos.targets.raft_process import node_main
from raft_chaos.invariants.verdict import EXIT_HARNESS
from raft_chaos.raft.server.host import monotonic_us
from raft_chaos.raft.server.node import EXIT_REFUSED, EXIT_STARVED, Node, NodeConfig, Parts, is_starved, run_event_loop
from raft_chaos.raft.state.timing import Timing
from raft_chaos.raft.storage.disk import FolderInUseError
from raft_chaos.raft.storage.wal import CorruptLogError

START_TIMEOUT_S = 20.0
RESTART_AFTER_S = 3.0

ElectionTimeout = Annotated[
    str, typer.Option("--election-timeout", metavar="MS-MS", help="Election timeouts are drawn from this range.")
]
Token = Annotated[
    str | None, typer.Option("--token", envvar="RAFT_CHAOS_TOKEN", help="Clients must send it as a bearer token.")
]


def cluster(
    nodes: Annotated[int, typer.Option(min=1, max=25, help="How many nodes.")] = 3,
    http_port: Annotated[int, typer.Option(help="HTTP port of the first node; the others follow.")] = 8001,
    raft_port: Annotated[int, typer.Option(help="Raft port of the first node; the others follow.")] = 9001,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    data: Annotated[Path | None, typer.Option(help="Keep the nodes' data here; a temporary folder otherwise.")] = None,
    election_timeout: ElectionTimeout = "1500-3000",
    heartbeat: Annotated[
        int | None, typer.Option(metavar="MS", help="A tenth of the least timeout by default.")
    ] = None,
    token: Token = None,
) -> Result:
    """Starts a plain cluster in the foreground; Ctrl-C shuts it down."""
    timing = make_timing(election_timeout, heartbeat)
    names = [f"n{i}" for i in range(1, nodes + 1)]
    for first, option in ((http_port, "--http-port"), (raft_port, "--raft-port")):
        if not 0 < first <= 65536 - nodes:
            fail(f"{option}: {nodes} ports from {first} on do not exist")
    raft_ports = {name: raft_port + i for i, name in enumerate(names)}
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with (
        tempfile.TemporaryDirectory(prefix="raft-chaos-") if data is None else _Kept(data) as folder,
        Supervisor() as s,
    ):
        s.remove_when_orphaned(Path(folder) if data is None else None)
        configs = [
            NodeConfig(
                cluster="cluster",
                node=name,
                peers={peer: (host, port) for peer, port in raft_ports.items() if peer != name},
                data_dir=str(Path(folder) / name),
                host=host,
                raft_port=raft_ports[name],
                http_port=http_port + i,
                timing=timing,
                seed=secrets.randbits(63),
                epoch_us=monotonic_us(),
                token=token,
            )
            for i, name in enumerate(names)
        ]
        running = [_Running(s, config) for config in configs]
        for one in running:
            one.wait_until_ready()
            say(f"{one.config.node}  {one.http_url}  (pid {one.child.pid})")
        # curl forwards the header to another port only with this option.
        auth = " --location-trusted -H 'Authorization: Bearer <token>'" if token else ""
        url = running[0].http_url
        say(f'\ntry:  curl -L{auth} {url}/executeCommand -d \'{{"command": "put x 1"}}\'')
        say(f"      curl{auth} {url}/status\n\nA node that you kill is started again. Ctrl-C ends the cluster.")
        while not stop.wait(0.2):
            for one in running:
                _start_again_if_killed(one, stop)
        for one in running:
            one.child.terminate(patience_s=3.0)
    return Result(notes=["the cluster has ended"])


class _Running:
    """A node of the cluster, and the pipe on which it reports its address."""

    def __init__(self, supervisor: Supervisor, config: NodeConfig) -> None:
        self.config = config
        self.http_url = ""
        self._supervisor = supervisor
        self.start()

    def start(self) -> None:
        self._control, theirs = self._supervisor.pipe()
        self.child = self._supervisor.start(self.config.node, node_main, self.config, None, theirs)
        theirs.close()

    def wait_until_ready(self) -> None:
        """Ends with exit code 254 if the node could not start (the node itself prints why)."""
        if self._control.poll(START_TIMEOUT_S):
            try:
                self.http_url = self._control.recv().http_url
                return
            except EOFError:
                pass
        fail(f"{self.config.node} did not start (see above); are its ports free?")


def _start_again_if_killed(one: _Running, stop: threading.Event) -> None:
    name, code = one.config.node, one.child.exit_code
    if code is None:
        return
    if code >= 0:
        say(f"{name} ended by itself with exit code {code}; ending the cluster")
        raise typer.Exit(EXIT_HARNESS)
    say(f"{name} was killed (signal {-code}); starting it again in {RESTART_AFTER_S:g} s")
    if not stop.wait(RESTART_AFTER_S):
        one.start()
        one.wait_until_ready()
        say(f"{name}  {one.http_url}  (pid {one.child.pid})")


def node(
    name: Annotated[str, typer.Option("--name", help="This node's name, such as n1.")],
    data: Annotated[Path, typer.Option(help="This node's data folder.")],
    peer: Annotated[list[str], typer.Option("--peer", metavar="NAME=HOST:PORT", help="Each other node; repeat.")] = [],  # noqa: B006
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="The address at which the other nodes reach this one.")
    ] = "127.0.0.1:9001",
    http_port: Annotated[int, typer.Option(min=0, max=65535, help="HTTP port; 0: any free port.")] = 8001,
    cluster_id: Annotated[str, typer.Option(help="Nodes of another cluster are rejected.")] = "cluster",
    election_timeout: ElectionTimeout = "1500-3000",
    heartbeat: Annotated[
        int | None, typer.Option(metavar="MS", help="A tenth of the least timeout by default.")
    ] = None,
    token: Token = None,
) -> Result:
    """Runs one node in the foreground."""
    peers: dict[str, tuple[str, int]] = {}
    for text in peer:
        other, equals, address = text.partition("=")
        if not equals or not other or other == name or other in peers:
            fail(f"--peer: expected NAME=HOST:PORT with a different name each time, got {text!r}")
        peers[other] = parse_address(address, "--peer")
    host, port = parse_address(listen, "--listen")
    config = NodeConfig(
        cluster=cluster_id,
        node=name,
        peers=peers,
        data_dir=str(data),
        host=host,
        raft_port=port,
        http_port=http_port,
        timing=make_timing(election_timeout, heartbeat),
        seed=secrets.randbits(63),
        epoch_us=monotonic_us(),
        token=token,
    )
    logging.basicConfig(level=logging.INFO, format=f"%(asctime)s {name} %(levelname)s %(message)s")
    run_event_loop(_run_node(config))
    return Result()


def make_timing(election_timeout: str, heartbeat_ms: int | None, heartbeats_per_timeout: int = 10) -> Timing:
    """Timing from the options; ends with exit code 254 if they contradict each other."""
    least, most = parse_range_ms(election_timeout, "--election-timeout")
    try:
        return Timing(least, most, least // heartbeats_per_timeout if heartbeat_ms is None else heartbeat_ms * 1000)
    except ValueError as error:
        fail(f"--heartbeat: {error}")


async def _run_node(config: NodeConfig) -> None:
    node = Node(config, Parts())
    try:
        await node.start()
    except (CorruptLogError, FolderInUseError, OSError) as error:
        print(f"{config.node}: {error}", file=sys.stderr)
        sys.exit(EXIT_STARVED if is_starved(error) else EXIT_REFUSED)
    say(f"{config.node}  {node.http_url}")
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()
    await node.stop()


class _Kept:
    """A permanent folder, as a context manager like the temporary one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> str:
        return str(self.folder)

    def __exit__(self, *_: object) -> None:
        pass
