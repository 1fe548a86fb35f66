"""`raft-chaos cluster`: a plain cluster in the foreground, each of its nodes in a process of its own."""

from __future__ import annotations

import secrets
import threading
from contextlib import nullcontext
from pathlib import Path
from time import monotonic
from typing import Annotated

import typer

from raft_chaos.chaos.cli.common import fail, refusing, say
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
from raft_chaos.chaos.cli.run.tls_folder import certificates_of
from raft_chaos.chaos.processes import interrupts
from raft_chaos.chaos.processes.first_steps import MainOf
from raft_chaos.chaos.processes.supervisor import Supervisor, temporary_folder
from raft_chaos.chaos.targets.certificates import Certificates
from raft_chaos.raft.network.handshake import make_secret, read_secret
from raft_chaos.raft.server.exit_codes import (
    EXIT_CRASHED,
    EXIT_DISK,
    EXIT_REFUSED,
    EXIT_STARVED,
)
from raft_chaos.raft.server.host import monotonic_us
from raft_chaos.raft.server.node_config import NodeConfig

NODE_MAIN = MainOf("targets.raft_process:node_main")
START_TIMEOUT_S = 20.0
RESTART_AFTER_S, RESTART_AFTER_MOST_S = 3.0, 60.0
STEADY_S = 60.0
"""A node that ran this long before it ended is started again as soon as one that ended for the first time."""
SECRET_FILE = "cluster.secret"


def cluster(
    nodes: Annotated[int, typer.Option(min=1, max=25, metavar="N", help="How many nodes.")] = 3,
    http_port: Annotated[
        int, typer.Option(metavar="PORT", help="HTTP port of the first node; the others follow.")
    ] = 8001,
    raft_port: Annotated[
        int, typer.Option(metavar="PORT", help="Raft port of the first node; the others follow.")
    ] = 9001,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Address to listen on.")] = "127.0.0.1",
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep the nodes' data here; a temporary folder otherwise.")
    ] = None,
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
    peer_auth: Annotated[
        bool, typer.Option(help="Nodes prove to each other that they know a secret, which is made for the cluster.")
    ] = True,
    tls: Annotated[
        bool, typer.Option("--tls", help="TLS on all ports, with certificates that are made for the cluster.")
    ] = False,
    tls_dir: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="TLS with the certificates in this folder, made by `raft-chaos certs`."),
    ] = None,
    insecure: Insecure = False,
) -> Result:
    """Starts a plain cluster in the foreground; Ctrl-C shuts it down.

    Exit codes: 0 shut down by Ctrl-C, SIGTERM or SIGHUP, 130 interrupted while it starts, 254 bad arguments or a node
    does not start.
    """
    with refusing():
        timing = timing_for(election_timeout, heartbeat, features)
    has_tls = tls or tls_dir is not None
    if not has_tls:
        check_reachability(host, "--host", token, insecure=insecure, has_secret=peer_auth, secret_option="--peer-auth")
    names = [f"n{i}" for i in range(1, nodes + 1)]
    for first, option in ((http_port, "--http-port"), (raft_port, "--raft-port")):
        if not 0 < first <= 65536 - nodes:
            fail(f"{option}: {nodes} ports from {first} on do not exist")
    raft_ports = {name: raft_port + i for i, name in enumerate(names)}
    with temporary_folder() if data is None else nullcontext(data) as folder, Supervisor() as s:
        secret_file = _secret_of(folder) if peer_auth else None
        certificates = certificates_of(tls_dir, folder, names, host, allow_host) if has_tls else None
        urls = {name: url_of(host, http_port + i, has_tls) for i, name in enumerate(names)}
        configs = [
            NodeConfig(
                cluster="cluster",
                node=name,
                peers={peer: (host, port) for peer, port in raft_ports.items() if peer != name},
                data_dir=str(folder / name),
                host=host,
                raft_port=raft_ports[name],
                http_port=http_port + i,
                timing=timing,
                seed=secrets.randbits(63),
                epoch_us=monotonic_us(),
                token=token,
                secret_file=secret_file,
                tls=certificates.files(name) if certificates is not None else None,
                client_urls={peer: url for peer, url in urls.items() if peer != name},
                allowed_hosts=allow_host,
            )
            for i, name in enumerate(names)
        ]
        _serve([_Running(s, config) for config in configs], _curl_options(token, certificates))
    return Result(notes=["the cluster has ended"])


def _serve(running: list[_Running], curl_options: str) -> None:
    """Runs the cluster until a signal comes."""
    for one in running:
        one.wait_until_ready()
        say(f"{one.config.node}  {one.http_url}  (pid {one.child.pid})")
    url = _as_called(running[0].http_url)
    say(f'\ntry:  curl -L{curl_options} {url}/executeCommand -d \'{{"command": "put x 1"}}\'')
    say(f"      curl{curl_options} {url}/status\n\nA node that ends is started again. Ctrl-C ends the cluster.")
    stop = threading.Event()
    with interrupts.held(lambda number: stop.set()):
        while not stop.wait(0.2):
            for one in running:
                one.look_after()
        for one in running:
            one.child.terminate(patience_s=3.0)


def _as_called(url: str) -> str:
    """The URL by which a client on this machine calls a node that listens on all addresses."""
    return url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")


def _curl_options(token: str | None, certificates: Certificates | None) -> str:
    # curl forwards the header to another port only with this option.
    options = " --location-trusted -H 'Authorization: Bearer <token>'" if token else ""
    return options if certificates is None else f"{options} {certificates.curl_options()}"


class _Running:
    """A node of the cluster, and the pipe on which it reports its address."""

    def __init__(self, supervisor: Supervisor, config: NodeConfig) -> None:
        self.config = config
        self.http_url = ""
        self._supervisor = supervisor
        self._again_at: float | None = None  # when it is started again; None: it runs
        self._again_after_s = 0.0
        self._start()

    def _start(self) -> None:
        self._control, theirs = self._supervisor.pipe()
        self._is_up = False
        self._started = monotonic()
        self.child = self._supervisor.start(self.config.node, NODE_MAIN, self.config, None, theirs)
        theirs.close()

    def wait_until_ready(self) -> None:
        """Ends with exit code 254 if the node could not start (the node itself prints why)."""
        if not self._comes_up(START_TIMEOUT_S):
            fail(f"{self.config.node} did not start (see above); are its ports free?")

    def look_after(self) -> None:
        """Starts the node again after its end, whatever ended it; later and later if it ends again and again."""
        if self._again_at is not None:
            if monotonic() >= self._again_at:
                self._again_at = None
                self._start()
            return
        if not self._is_up and self._comes_up(0):
            say(f"{self.config.node}  {self.http_url}  (pid {self.child.pid})")
        code = self.child.exit_code
        if code is None:
            return
        self.child.kill()  # its group may still have processes
        self._control.close()
        had_been_steady = monotonic() - self._started > STEADY_S
        longer_s = RESTART_AFTER_S if had_been_steady else max(2 * self._again_after_s, RESTART_AFTER_S)
        self._again_after_s = min(longer_s, RESTART_AFTER_MOST_S)
        self._again_at = monotonic() + self._again_after_s
        say(f"{self.config.node} {_how_it_ended(code)}; starting it again in {self._again_after_s:g} s")

    def _comes_up(self, within_s: float) -> bool:
        """Whether the node reports that it listens."""
        try:
            if self._control.poll(within_s):
                _, self.http_url = self._control.recv()
                self._is_up = True
        except (EOFError, OSError):
            pass  # it has ended
        return self._is_up


def _how_it_ended(code: int) -> str:
    if code < 0:
        return f"was killed (signal {-code})"
    if code == EXIT_CRASHED:
        return f"crashed (exit code {code}, see above)"
    if code == EXIT_REFUSED:
        return f"refused to start (exit code {code}, see above)"
    if code == EXIT_DISK:
        return f"had a disk that failed (exit code {code}, see above)"
    if code == EXIT_STARVED:
        return f"had too little of something (exit code {code}, see above)"
    return f"ended by itself with exit code {code}"


def _secret_of(folder: Path) -> str:
    """The file with the cluster's secret; made with the cluster, and kept with its data."""
    file = folder / SECRET_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        make_secret(file)
        read_secret(file)
    except OSError as error:
        fail(f"--data: {error}")
    return str(file)
