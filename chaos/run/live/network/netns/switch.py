"""The switch: a process that holds the nodes' network namespaces, and forwards packets between them.

It reads each packet that a node sends from the hub's end of its veth pair, finds the receiver by the hardware address,
and writes the packet to the receiver's pair as the rule of their link says (`packet_link`). It runs in the hub, a
namespace of its own, so it has no part in the traffic of the machine.

It ends when its connection to the controller closes. Then, or if it is killed, the veth pairs vanish with the hub, and
each node's namespace with the node's last process.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Mapping
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from raft_chaos.chaos.faults.links import Link
from raft_chaos.chaos.processes.shortage import shortage
from raft_chaos.chaos.run.live import kernel
from raft_chaos.chaos.run.live.enter import Namespace, namespace
from raft_chaos.chaos.run.live.network.control import Control
from raft_chaos.chaos.run.live.network.netns.connections import Connections
from raft_chaos.chaos.run.live.network.netns.doors import Doors
from raft_chaos.chaos.run.live.network.netns.namespaces import (
    ImpossibleError,
    Namespaces,
    Place,
    address,
    build,
    hardware_address,
)
from raft_chaos.chaos.run.live.network.netns.packet_link import PacketLink
from raft_chaos.chaos.run.live.network.proxy import loop_factory
from raft_chaos.chaos.run.live.network.rules import LinkRule

IPV4 = 0x0800
PACKET_BYTES = 65_536
BATCH = 64
"""Packets read from one node before the next node has its turn."""
BUFFER_BYTES = 4 * 1024 * 1024


def switch_main(control: Connection, nodes: list[str], seed: int) -> None:
    """The main function of the switch's process: serves the nodes until `control` closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group, and the controller still needs us
    spaces: Namespaces | str
    try:
        spaces = build(nodes)
    except ImpossibleError as error:
        spaces = str(error)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_serve(control, spaces, nodes, seed))


async def _serve(control: Connection, spaces: Namespaces | str, nodes: list[str], seed: int) -> None:
    if isinstance(spaces, str):
        await Control(control, {"describe": lambda: spaces}).serve()
    else:
        await _Switch(control, spaces, nodes, seed).run()


class _Switch:
    """All links, and the answers to the controller."""

    def __init__(self, connection: Connection, spaces: Namespaces, nodes: list[str], seed: int) -> None:
        self._spaces = spaces
        self._connections = Connections()
        self._sockets: dict[str, socket.socket] = {}
        self._doors = Doors(connection, spaces, self._failed)
        self._links: dict[Link, PacketLink] = {}
        self._control = Control(
            connection,
            {
                "describe": self._describe,
                "door": self._doors.open,
                "down": self._doors.down,
                "set_rules": self._set_rules,
                "counters": lambda: {link: one.counters for link, one in self._links.items()},
                "reset": self._reset,
            },
        )
        for place in spaces.places:
            self._sockets[place.node] = _packets(place.device)
        for a in nodes:
            for b in nodes:
                if a != b:
                    self._links[a, b] = PacketLink(a, b, seed, partial(_sent, self._sockets[b]))

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._unexpected)
        for place in self._spaces.places:
            to = {
                bytes.fromhex(hardware_address(other.number).replace(":", "")): self._links[place.node, other.node]
                for other in self._spaces.places
                if other is not place
            }
            loop.add_reader(self._sockets[place.node], self._forward, self._sockets[place.node], to)
        await self._control.serve()

    def _forward(self, source: socket.socket, to: Mapping[bytes, PacketLink]) -> None:
        for _ in range(BATCH):
            try:
                packet = source.recv(PACKET_BYTES)
            except (BlockingIOError, InterruptedError):
                return
            if (link := to.get(packet[:6])) is not None:
                self._connections.saw(packet)
                link.take(packet)

    def _describe(self) -> tuple[int, dict[str, str], dict[str, tuple[Namespace, ...]]]:
        """The number of this process, and for each node its address and the namespaces to enter."""
        user = () if self._spaces.user is None else (namespace(self._spaces.user, kernel.NEWUSER),)

        def of(place: Place) -> tuple[Namespace, ...]:
            return (*user, namespace(place.namespace, kernel.NEWNET))

        places = self._spaces.places
        return os.getpid(), {one.node: address(one.number) for one in places}, {one.node: of(one) for one in places}

    def _set_rules(self, rules: Mapping[Link, LinkRule]) -> None:
        if unknown := [link for link in rules if link not in self._links]:
            raise ValueError(f"link {unknown[0]} is unknown")
        for link, one in self._links.items():
            one.rule = rules.get(link)
        for one in self._links.values():
            one.rule_changed()

    def _reset(self, links: list[Link]) -> int:
        numbers = {place.node: place.number for place in self._spaces.places}
        sockets = {place.number: self._sockets[place.node] for place in self._spaces.places}
        pairs = {frozenset((numbers[a], numbers[b])) for a, b in links}
        broken = 0
        for packets in self._connections.broken(pairs):
            broken += 1
            for receiver, packet in packets:
                _sent(sockets[receiver], packet)
        return broken

    def _unexpected(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """An error that no part of the switch handles."""
        loop.default_exception_handler(context)
        error: BaseException = context.get("exception") or RuntimeError(str(context.get("message")))
        if shortage(error) or not isinstance(error, OSError):
            self._failed(error)

    def _failed(self, error: BaseException) -> None:
        self._control.failed(error)


def _packets(device: str) -> socket.socket:
    """Reads what the node sends, and writes what it is to receive."""
    packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(IPV4))
    packets.bind((device, IPV4))
    packets.setblocking(False)
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        packets.setsockopt(socket.SOL_SOCKET, option, BUFFER_BYTES)
    return packets


def _sent(socket_: socket.socket, packet: bytes) -> bool:
    try:
        socket_.send(packet)
    except OSError as error:
        if not isinstance(error, BlockingIOError):
            print(f"a packet was not sent: {error}", file=sys.stderr)  # noqa: T201
        return False
    return True
