"""The fault proxy: a process that stands on every directed link, and does to its traffic what the link's rule says.

For each link a>b it listens on a port of its own: a connects there to send to b, and the proxy connects on to the port
where b listens at the time. Two networks work like that: `frames` (`frame_link`) and `tcp` (`stream_link`). The
controller sends its requests through a `ProxyClient`; the proxy ends when their connection closes.

When the proxy itself is in trouble, it tells the controller (`control`), and then accepts no more connections.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Mapping
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, Literal, TypeAlias

from raft_chaos.chaos.faults.links import Link
from raft_chaos.chaos.processes.shortage import shortage
from raft_chaos.chaos.run.live.network.control import Control, ControlClient
from raft_chaos.chaos.run.live.network.frame_link import MAX_FRAME, FrameWire, accepted_by
from raft_chaos.chaos.run.live.network.rules import LinkRule
from raft_chaos.chaos.run.live.network.stream_link import Dialled, StreamConnection, StreamWire
from raft_chaos.chaos.run.live.network.wire import Wire
from raft_chaos.chaos.targets.addresses import HOST
from raft_chaos.raft.network.tls import Tls
from raft_chaos.raft.network.tls_files import TlsFiles

ProxyKind: TypeAlias = Literal["frames", "tcp"]


class ProxyClient(ControlClient):
    """The controller's side of the proxy."""

    def addresses(self) -> dict[Link, int]:
        """For each link (a, b) the port on 127.0.0.1 where a reaches b."""
        addresses: dict[Link, int] = self._ask("addresses")
        return addresses

    def set_target(self, node: str, port: int | None) -> None:
        """From now on connections to `node` go to `port` on 127.0.0.1; with None they are closed at once."""
        self._ask("set_target", node, port)

    def leaving(self, node: str) -> None:
        """From now on, until `node` has a port again, no end of its connections counts as a refusal."""
        self._ask("leaving", node)

    def reset(self, links: list[Link]) -> int:
        """Breaks all connections that carry bytes on these links (`tcp` alone); returns how many there were."""
        broken: int = self._ask("reset", links)
        return broken


# ---- the proxy's process -----------------------------------------------------------------------------------------


def proxy_main(
    control: Connection,
    nodes: list[str],
    seed: int,
    max_frame: int = MAX_FRAME,
    kind: ProxyKind = "frames",
    tls_files: Mapping[str, TlsFiles] | None = None,
) -> None:
    """The main function of the proxy's process: serves all directed links between `nodes` until `control` closes.

    With the TLS files of the nodes it is the other end of all their connections: towards b it is a, and towards a, b.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group, and the controller still needs us
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_proxy(control, nodes, seed, max_frame, kind, tls_files).run())


def _proxy(
    control: Connection,
    nodes: list[str],
    seed: int,
    max_frame: int,
    kind: ProxyKind,
    tls_files: Mapping[str, TlsFiles] | None,
) -> _Proxy:
    links = [(a, b) for a in nodes for b in nodes if a != b]
    if kind == "tcp":
        return _StreamProxy(control, {link: StreamWire(*link, seed) for link in links})
    wires = {link: FrameWire(*link, seed) for link in links}
    if tls_files is not None:
        tls = {node: Tls(tls_files[node]) for node in nodes}
        for (a, b), wire in wires.items():
            wire.sender_tls, wire.receiver_tls = tls[a], tls[b]
    return _FrameProxy(control, wires, max_frame)


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """uvloop's, where it is installed; that only makes the proxy faster."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


class _Proxy:
    """All links, and the answers to the controller. A kind of proxy says what it does with an accepted connection."""

    def __init__(self, control: Connection, wires: dict[Link, Wire]) -> None:
        self._wires = wires
        self._ports: dict[Link, int] = {}
        self._listening: list[socket.socket] = []
        self._control = Control(
            control,
            {
                "addresses": lambda: self._ports,
                "set_target": self._set_target,
                "leaving": self._leaving,
                "set_rules": self._set_rules,
                "counters": lambda: {link: wire.counters for link, wire in self._wires.items()},
                "reset": self._reset,
            },
        )

    async def run(self) -> None:
        asyncio.get_running_loop().set_exception_handler(self._unexpected)
        try:
            for link in self._wires:
                self._ports[link] = self._listen(link)
        except OSError as error:
            self._failed(error)
        await self._control.serve()

    def _connected(self, link: Link, connection: socket.socket) -> None:
        raise NotImplementedError

    def _listen(self, link: Link) -> int:
        """Accepts connections for this link; returns the port.

        Not with a server of the event loop: when a process has no descriptor left, uvloop closes the connections that
        come, and tells nobody.
        """
        listening = socket.create_server((HOST, 0))
        listening.setblocking(False)
        self._listening.append(listening)
        asyncio.get_running_loop().add_reader(listening, self._accept, listening, link)
        port: int = listening.getsockname()[1]
        return port

    def _accept(self, listening: socket.socket, link: Link) -> None:
        try:
            connection, _ = listening.accept()
        except OSError as error:
            if shortage(error):
                self._failed(error)
            return  # otherwise it is gone again already
        self._connected(link, connection)

    def _unexpected(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """An error that no part of the proxy handles. A connection that breaks is none: its nodes will notice."""
        loop.default_exception_handler(context)
        error: BaseException = context.get("exception") or RuntimeError(str(context.get("message")))
        if shortage(error) or not isinstance(error, OSError):
            self._failed(error)

    def _failed(self, error: BaseException) -> None:
        """The proxy itself is in trouble: tells the controller, and accepts no more connections."""
        if self._control.failed(error):
            for listening in self._listening:
                asyncio.get_running_loop().remove_reader(listening)

    def _set_target(self, node: str, port: int | None) -> None:
        for wire in self._into(node):
            wire.target = port
            wire.is_leaving &= port is None

    def _leaving(self, node: str) -> None:
        for wire in self._into(node):
            wire.is_leaving = True

    def _into(self, node: str) -> list[Wire]:
        into = [wire for (_, receiver), wire in self._wires.items() if receiver == node]
        if not into:
            raise ValueError(f"node {node!r} is unknown")
        return into

    def _set_rules(self, rules: dict[Link, LinkRule]) -> None:
        self._known(rules)
        for link, wire in self._wires.items():
            wire.rule = rules.get(link)
        for wire in self._wires.values():  # a connection has two wires: both have their new rule by now
            wire.rule_changed()

    def _reset(self, links: list[Link]) -> int:
        raise ValueError("this network cannot break connections")

    def _known(self, links: dict[Link, LinkRule] | list[Link]) -> None:
        if unknown := [link for link in links if link not in self._wires]:
            raise ValueError(f"link {unknown[0]} is unknown")


class _FrameProxy(_Proxy):
    """The network `frames`."""

    def __init__(self, control: Connection, wires: dict[Link, FrameWire], max_frame: int) -> None:
        super().__init__(control, dict(wires))
        self._frames = wires
        self._max_frame = max_frame
        self._accepting: set[asyncio.Task[Any]] = set()  # only kept, so the order does not matter

    def _connected(self, link: Link, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        there, back = self._frames[link], self._frames[link[1], link[0]]
        protocol = partial(accepted_by, there, back, self._failed, self._max_frame)
        accepted = loop.create_task(loop.connect_accepted_socket(protocol, connection))
        self._accepting.add(accepted)
        accepted.add_done_callback(self._accepted)

    def _accepted(self, task: asyncio.Task[Any]) -> None:
        self._accepting.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed(error)


class _StreamProxy(_Proxy):
    """The network `tcp`."""

    def __init__(self, control: Connection, wires: dict[Link, StreamWire]) -> None:
        super().__init__(control, dict(wires))
        self._streams = wires

    def _connected(self, link: Link, connection: socket.socket) -> None:
        there, back = self._streams[link], self._streams[link[1], link[0]]
        StreamConnection(there, back, connection, lambda: _to(there.target), self._failed)

    def _reset(self, links: list[Link]) -> int:
        self._known(links)
        carriers = [one for link in links for one in self._streams[link].connections]
        broken = list(dict.fromkeys(carriers))
        for connection in broken:
            connection.abort()
        return len(broken)


def _to(port: int | None) -> Dialled:
    return [(socket.socket(), (HOST, port))] if port is not None else []
