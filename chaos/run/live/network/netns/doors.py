"""Doors: ports of the machine's loopback through which the controller and the clients reach the nodes.

The controller binds each socket, since this process is in another network namespace, and hands it over. A connection
that comes in is passed on to the node's port from within the node's namespace. No rule of a link applies to it.

A client must be able to tell a node that is down from one that broke a connection: in the second case its request may
have been carried out. So a door listens only while something listens behind it, and refuses connections otherwise. It
closes when a connection cannot be passed on, or the node is known to be down, and then tries the port until it answers.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle
from typing import Any

from raft_chaos.chaos.processes.shortage import shortage
from raft_chaos.chaos.run.live.network.netns.namespaces import Namespaces, Place, address, within
from raft_chaos.chaos.run.live.network.stream_link import Dialled, StreamConnection, StreamWire, reach
from raft_chaos.chaos.targets.addresses import HOST

TRY_S = 0.01
WAITING_MAX = 1024
"""Connections that may wait for the door to accept them."""


class Doors:
    """All doors of a switch."""

    def __init__(self, control: Connection, spaces: Namespaces, failed: Callable[[BaseException], None]) -> None:
        self._control = control
        self._spaces = spaces
        self._failed = failed
        self._doors: list[_Door] = []

    def open(self, node: str, port: int) -> None:
        """Takes over the bound socket that follows the request: it leads to this port of the node."""
        bound = socket.socket(fileno=recv_handle(self._control))
        bound.setblocking(False)
        place = next((place for place in self._spaces.places if place.node == node), None)
        if place is None:
            bound.close()
            raise ValueError(f"node {node!r} is unknown")
        self._doors.append(_Door(bound, place, port, self._spaces.hub, self._failed))

    def down(self, node: str) -> None:
        """The node is down."""
        for door in self._doors:
            if door.place.node == node:
                door.shut()


class _Door:
    def __init__(
        self, bound: socket.socket, place: Place, port: int, hub: int, failed: Callable[[BaseException], None]
    ) -> None:
        self.place = place
        self._bound = bound
        self._port = port
        self._hub = hub
        self._failed = failed
        self._there, self._back = StreamWire("clients", place.node, 0), StreamWire(place.node, "clients", 0)
        self._loop = asyncio.get_running_loop()
        self._trying: asyncio.Task[Any] | None = self._loop.create_task(self._try())

    def shut(self) -> None:
        """Refuses connections until something listens behind the door."""
        if self._trying is not None:
            return
        self._loop.remove_reader(self._bound)
        self._bound.shutdown(socket.SHUT_RD)  # it stays bound, so the port stays ours
        self._trying = self._loop.create_task(self._try())

    async def _try(self) -> None:
        while (reached := await reach(self._dial, self._complain)) is None:
            await asyncio.sleep(TRY_S)
        reached.close()
        self._bound.listen(WAITING_MAX)
        self._loop.add_reader(self._bound, self._accept)
        self._trying = None

    def _accept(self) -> None:
        try:
            connection, _ = self._bound.accept()
        except OSError as error:
            self._complain(error)
            return  # otherwise it is gone again already
        StreamConnection(self._there, self._back, connection, self._dial, self._failed, self.shut)

    def _dial(self) -> Dialled:
        """Many servers let clients in at loopback alone, which is that of the node's namespace."""
        with within(self.place.namespace, self._hub):
            return [(socket.socket(), (host, self._port)) for host in (address(self.place.number), HOST)]

    def _complain(self, error: OSError) -> None:
        if shortage(error):
            self._failed(error)
