"""The ends of the links of a network, for tests: sockets where a node would have them, without a node's program.

A node is a process that is in the node's network, and does nothing but make sockets for the test, which uses them.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import socket
import time
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle, send_handle
from pathlib import Path
from typing import Any

import pytest

from raft_chaos.chaos.faults.links import Link
from raft_chaos.chaos.processes.shortage import SetupError
from raft_chaos.chaos.processes.supervisor import Supervisor
from raft_chaos.chaos.run.live.network import choose
from raft_chaos.chaos.run.live.network.backend import Network
from raft_chaos.chaos.run.live.network.netns.network import Separate, SwitchClient
from raft_chaos.chaos.run.live.network.netns.switch import switch_main
from raft_chaos.chaos.run.live.network.rules import LinkRule
from raft_chaos.chaos.run.live.network.wire import ByteCounters

PATIENCE_S = 20.0
"""Only a hung network reaches it."""
NOBODY = 65_534
PR_SET_DUMPABLE = 4
FORK = multiprocessing.get_context("fork")


class Ends:
    """A network of the nodes a, b and c, and the sockets of its nodes."""

    def __init__(self, network: Network, sockets: Callable[[str], socket.socket]) -> None:
        self.network = network
        self.socket = sockets
        self._listening: dict[str, socket.socket] = {}

    def listen(self, node: str) -> socket.socket:
        """The socket on which the node listens for its peers: always the same one."""
        if node not in self._listening:
            listening = self.socket(node)
            listening.bind((self.network.hosts.get(node, "127.0.0.1"), 0))
            listening.listen(16)
            self._listening[node] = listening
            self.network.route(node, self.port(node))
        return self._listening[node]

    def close(self) -> None:
        for listening in self._listening.values():
            listening.close()

    def port(self, node: str) -> int:
        port: int = self._listening[node].getsockname()[1]
        return port

    def address(self, node: str, peer: str) -> tuple[str, int]:
        """Where the node reaches its peer."""
        return self.network.peers_of(node, {peer: ("127.0.0.1", self.port(peer))})[peer]

    def pair(self, opener: str, other: str) -> tuple[socket.socket, socket.socket]:
        """Both ends of a new connection."""
        listening = self.listen(other)
        ours = self.socket(opener)
        ours.connect(self.address(opener, other))
        theirs, _ = listening.accept()
        theirs.settimeout(PATIENCE_S)
        return ours, theirs

    def rule(self, link: Link, **rule: Any) -> None:
        self.network.set_rules({link: LinkRule(**rule)})

    def heal(self) -> None:
        self.network.set_rules({})

    def counters(self, link: Link) -> ByteCounters:
        counters = self.network.counters()[link]
        assert isinstance(counters, ByteCounters)
        return counters

    def grown(self, link: Link, before: ByteCounters, field: str, least: int = 1) -> ByteCounters:
        """The counters once `field` has grown by `least`."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            now = self.counters(link)
            if getattr(now, field) - getattr(before, field) >= least:
                return now
        raise AssertionError(f"{field} did not grow by {least}: {now}")


def open_ends(kind: str, stack: ExitStack, folder: Path) -> Ends:
    """A network of this kind: tcp, netns, or netns-nobody (switch and nodes run as nobody)."""
    if kind == "netns-nobody":
        return _as_nobody(stack)
    supervisor = stack.enter_context(Supervisor())
    try:
        network = choose.start("tcp" if kind == "tcp" else "netns", supervisor, list("abc"), 7, folder / "proxy.log")
    except SetupError as error:
        pytest.skip(str(error))
    stack.callback(network.close)
    if kind == "tcp":
        return _ends(stack, network, lambda node: _timed(socket.socket()))
    makers = {}
    for node in "abc":
        ours, theirs = supervisor.pipe()
        supervisor.start(node, make_sockets, theirs, network.enter(node), stderr=folder / f"{node}.log")
        theirs.close()
        makers[node] = ours
    return _ends(stack, network, lambda node: _made(makers[node]))


def _ends(stack: ExitStack, network: Network, sockets: Callable[[str], socket.socket]) -> Ends:
    ends = Ends(network, sockets)
    stack.callback(ends.close)
    return ends


def make_sockets(connection: Connection, enter: Callable[[], None] | None) -> None:
    """A node's process: sends a socket of its network for each request."""
    if enter is not None:
        enter()
    while connection.recv():
        made = socket.socket()
        send_handle(connection, made.fileno(), os.getppid())
        made.close()


def _made(maker: Connection) -> socket.socket:
    maker.send(True)
    assert maker.poll(PATIENCE_S), "the node's process makes no sockets"
    return _timed(socket.socket(fileno=recv_handle(maker)))


def _timed(made: socket.socket) -> socket.socket:
    made.settimeout(PATIENCE_S)
    return made


# ---- another user ------------------------------------------------------------------------------------------------


class _Forked:
    """As much of a Child as a network asks for."""

    def __init__(self, process: Any) -> None:
        self._process = process
        self.pid: int = process.pid

    @property
    def exit_code(self) -> int | None:
        code: int | None = self._process.exitcode
        return code

    @property
    def is_alive(self) -> bool:
        return self.exit_code is None


def _as_nobody(stack: ExitStack) -> Ends:
    """Forked, since nobody may be unable to read this interpreter."""
    if os.getuid() != 0:
        pytest.skip("only root can become nobody; as another user, the netns tests show the same")
    pytest.importorskip("pyroute2").IPRoute().close()  # with all that it imports later

    def forked(main: Callable[..., None], *arguments: Any) -> tuple[Connection, _Forked]:
        ours, theirs = FORK.Pipe()
        process = FORK.Process(target=_nobody, args=(main, theirs, *arguments), daemon=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # the child uses no thread of ours
            process.start()
        theirs.close()
        stack.callback(process.join, PATIENCE_S)
        stack.callback(process.kill)
        return ours, _Forked(process)

    control, switch = forked(switch_main, list("abc"), 7)
    client = SwitchClient(control)
    stack.callback(client.close)
    description = client.describe()
    if isinstance(description, str):
        pytest.skip(f"nobody cannot have it on this machine: {description}")
    network = Separate(client, switch, description)  # type: ignore[arg-type]
    makers = {node: forked(make_sockets, network.enter(node))[0] for node in "abc"}
    return _ends(stack, network, lambda node: _made(makers[node]))


def _nobody(main: Callable[..., None], connection: Connection, *arguments: Any) -> None:
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1)  # as after exec: the process may look at itself
    main(connection, *arguments)
