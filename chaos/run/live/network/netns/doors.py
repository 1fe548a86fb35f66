"""Doors: ports of the machine's loopback through which the controller and the clients reach the nodes.

The controller listens, since this process is in another network namespace, and hands the socket over. A connection that
comes in is passed on to the node's port from within the node's namespace. No rule of a link applies to it.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle

from raft_chaos.chaos.processes.shortage import shortage
from raft_chaos.chaos.run.live.network.netns.namespaces import Namespaces, Place, address, within
from raft_chaos.chaos.run.live.network.stream_link import HOST, StreamConnection, StreamWire


class Doors:
    """All doors of a switch."""

    def __init__(self, control: Connection, spaces: Namespaces, failed: Callable[[BaseException], None]) -> None:
        self._control = control
        self._spaces = spaces
        self._failed = failed
        self._there, self._back = StreamWire("clients", "nodes", 0), StreamWire("nodes", "clients", 0)

    def open(self, node: str, port: int) -> None:
        """Takes over the listening socket that follows the request: it leads to this port of the node."""
        listening = socket.socket(fileno=recv_handle(self._control))
        place = next((place for place in self._spaces.places if place.node == node), None)
        if place is None:
            listening.close()
            raise ValueError(f"node {node!r} is unknown")
        listening.setblocking(False)
        asyncio.get_running_loop().add_reader(listening, self._accept, listening, place, port)

    def _accept(self, listening: socket.socket, place: Place, port: int) -> None:
        try:
            connection, _ = listening.accept()
        except OSError as error:
            if shortage(error):
                self._failed(error)
            return  # otherwise it is gone again already
        StreamConnection(self._there, self._back, connection, lambda: self._dial(place, port), self._failed)

    def _dial(self, place: Place, port: int) -> list[tuple[socket.socket, tuple[str, int]]]:
        """Many servers let clients in at loopback alone, which is that of the node's namespace."""
        with within(place.namespace, self._spaces.hub):
            return [(socket.socket(), (host, port)) for host in (address(place.number), HOST)]
