"""`raft-chaos node`: one node of a plain cluster, in this process."""

from __future__ import annotations

import asyncio
import logging
import secrets
import sys
from pathlib import Path
from typing import Annotated

import typer

from raft_chaos.chaos.cli.common import fail, parse_address, refusing, say
from raft_chaos.chaos.cli.result import Result
from raft_chaos.chaos.cli.run.plain import (
    AllowHost,
    ElectionTimeout,
    FeatureNames,
    Insecure,
    Token,
    check_reachability,
    timing_for,
    url_of,
)
from raft_chaos.chaos.cli.run.tls_options import given_files
from raft_chaos.chaos.processes import interrupts, system_cas
from raft_chaos.raft.server.event_loop import run_event_loop
from raft_chaos.raft.server.exit_codes import (
    exit_code_at_start,
    exit_code_of,
)
from raft_chaos.raft.server.host import monotonic_us
from raft_chaos.raft.server.node_config import NodeConfig
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.storage.disk import FolderInUseError
from raft_chaos.raft.storage.failing import DiskFailedError
from raft_chaos.raft.storage.log_file import CorruptLogError

with system_cas.not_loaded():
    from raft_chaos.raft.server.node import Node


def node(
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="This node's name, such as n1.")],
    data: Annotated[Path, typer.Option(metavar="DIR", help="This node's data folder.")],
    peer: Annotated[
        list[str],
        typer.Option(
            "--peer",
            metavar="NAME=HOST:PORT[/HTTP_PORT]",
            help="Each other node; repeat. Clients are redirected to its HTTP port.",
        ),
    ] = [],  # noqa: B006
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="The address at which the other nodes reach this one.")
    ] = "127.0.0.1:9001",
    http_port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="PORT", help="HTTP port; 0: any free port.")
    ] = 8001,
    cluster_id: Annotated[str, typer.Option(metavar="NAME", help="Nodes of another cluster are rejected.")] = "cluster",
    election_timeout: ElectionTimeout = "1500-3000",
    heartbeat: Annotated[
        int | None,
        typer.Option(
            metavar="MS", help="Milliseconds between heartbeats.", show_default="a tenth of the least election timeout"
        ),
    ] = None,
    features: FeatureNames = None,
    token: Token = None,
    allow_host: AllowHost = [],  # noqa: B006
    secret_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The cluster's secret: nodes prove to each other that they know it."),
    ] = None,
    tls_cert: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="TLS on both ports: this node's certificate, which has its name. PEM."),
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(metavar="FILE", help="The key of --tls-cert.")] = None,
    tls_ca: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The CA of the certificates of all nodes and clients.")
    ] = None,
    insecure: Insecure = False,
) -> Result:
    """Runs one node in the foreground. Exit code 0: Ctrl-C, SIGTERM or SIGHUP has shut it down."""
    with refusing():
        timing = timing_for(election_timeout, heartbeat, features)
    tls = given_files(tls_cert, tls_key, tls_ca)
    peers, client_urls = _peers(name, peer, has_tls=tls is not None)
    host, port = parse_address(listen, "--listen")
    if tls is None:
        has_secret = secret_file is not None
        check_reachability(
            host, "--listen", token, insecure=insecure, has_secret=has_secret, secret_option="--secret-file"
        )
    config = NodeConfig(
        cluster=cluster_id,
        node=name,
        peers=peers,
        data_dir=str(data),
        host=host,
        raft_port=port,
        http_port=http_port,
        timing=timing,
        seed=secrets.randbits(63),
        epoch_us=monotonic_us(),
        token=token,
        secret_file=str(secret_file) if secret_file is not None else None,
        tls=tls,
        client_urls=client_urls,
        allowed_hosts=allow_host,
    )
    logging.basicConfig(level=logging.INFO, format=f"%(asctime)s {name} %(levelname)s %(message)s")
    run_event_loop(_run_node(config))
    return Result()


def _peers(name: str, given: list[str], *, has_tls: bool) -> tuple[dict[str, tuple[str, int]], dict[str, str]]:
    """The address of each other node, and the URL of each whose HTTP port is given."""
    peers: dict[str, tuple[str, int]] = {}
    client_urls: dict[str, str] = {}
    for text in given:
        other, equals, address = text.partition("=")
        if not equals or not other or other == name or other in peers:
            fail(f"--peer: expected NAME=HOST:PORT[/HTTP_PORT] with a different name each time, got {text!r}")
        address, slash, http = address.partition("/")
        peers[other] = parse_address(address, "--peer")
        if slash:
            client_urls[other] = url_of(*parse_address(f"{peers[other][0]}:{http}", "--peer"), has_tls)
    return peers, client_urls


async def _run_node(config: NodeConfig) -> None:
    node = Node(config, Parts())
    try:
        await node.start()
    except (CorruptLogError, FolderInUseError, OSError) as error:
        print(f"{config.node}: {error}", file=sys.stderr)
        sys.exit(exit_code_at_start(error))
    say(f"{config.node}  {node.http_url}")
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    with interrupts.held(lambda number: _set_soon(loop, stopped)):
        await stopped.wait()
        try:
            await node.stop()
        except DiskFailedError as error:
            print(f"{config.node}: {error}", file=sys.stderr)
            sys.exit(exit_code_of(error))


def _set_soon(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    """For the handler of a signal, which runs between any two lines of Python."""
    loop.call_soon_threadsafe(event.set)
