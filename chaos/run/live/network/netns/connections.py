"""The TCP connections that the switch has seen, and the packets that break them.

A receiver takes a reset only if its number is exactly the next one that it expects (RFC 5961, 3.2). What it expects is
what it acknowledged last, or the end of what was forwarded to it last, if its acknowledgement is still to come: it gets
a reset with each. The sockets on both sides then end with "connection reset by peer".
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator
from typing import NamedTuple, TypeAlias

TCP = 6
FIN, SYN, RST, ACK = 1, 2, 4, 16
ETHERNET = 14
DIRECTIONS_MAX = 8192
"""Directions of connections that are remembered, those used last; a reset does not break older ones."""

_PORTS_NUMBERS = struct.Struct(">HHIIBB")
_TCP = struct.Struct(">HHIIBBHHH")
_IP = struct.Struct(">BBHHHBBH4s4s")

Resets: TypeAlias = list[tuple[int, bytes]]
"""Packets, and the number of the node that each is for."""


class _End(NamedTuple):
    """One end of a connection: its address, its port."""

    address: bytes
    port: int


class _Said(NamedTuple):
    """The last packet of one end: the beginning of its packet (Ethernet), the number after its data, and what it
    acknowledged."""

    ethernet: bytes
    next: int
    acknowledged: int


class Connections:
    """All connections between the nodes, those used last at the end."""

    def __init__(self) -> None:
        self._said: dict[tuple[_End, _End], _Said] = {}

    def saw(self, packet: bytes) -> None:
        """A node has sent this packet (Ethernet, IPv4)."""
        if len(packet) < ETHERNET + 40 or packet[ETHERNET + 9] != TCP:
            return
        at = ETHERNET + (packet[ETHERNET] & 15) * 4
        source, to, number, acknowledged, offset, flags = _PORTS_NUMBERS.unpack_from(packet, at)
        ends = _End(packet[26:30], source), _End(packet[30:34], to)
        if flags & RST:
            self._said.pop(ends, None)
            self._said.pop((ends[1], ends[0]), None)
            return
        (total,) = struct.unpack_from(">H", packet, ETHERNET + 2)
        length = ETHERNET + total - at - (offset >> 4) * 4 + bool(flags & SYN) + bool(flags & FIN)
        self._said.pop(ends, None)  # to the end of the order
        self._said[ends] = _Said(packet[:ETHERNET], number + length & 0xFFFFFFFF, acknowledged)
        if len(self._said) > DIRECTIONS_MAX:
            del self._said[next(iter(self._said))]

    def broken(self, pairs: Collection[frozenset[int]]) -> Iterator[Resets]:
        """The resets for each connection between two nodes of these pairs (their numbers), which is then forgotten."""
        for ends in list(self._said):
            source, to = ends
            back = (to, source)
            if frozenset((source.address[3], to.address[3])) not in pairs or ends not in self._said:
                continue
            there, answer = self._said.pop(ends), self._said.pop(back, None)
            if answer is not None:
                yield [*_resets(ends, there, answer), *_resets(back, answer, there)]


def _resets(ends: tuple[_End, _End], said: _Said, answer: _Said) -> Resets:
    """The resets in the name of the first end."""
    numbers = dict.fromkeys((answer.acknowledged, said.next))
    return [(ends[1].address[3], _reset(ends, said, number)) for number in numbers]


def _reset(ends: tuple[_End, _End], said: _Said, number: int) -> bytes:
    source, to = ends
    tcp = _TCP.pack(source.port, to.port, number, said.acknowledged, 5 << 4, RST | ACK, 0, 0, 0)
    pseudo = source.address + to.address + struct.pack(">BBH", 0, TCP, len(tcp))
    tcp = tcp[:16] + struct.pack(">H", _checksum(pseudo + tcp)) + tcp[18:]
    ip = _IP.pack(0x45, 0, 20 + len(tcp), 0, 0, 64, TCP, 0, source.address, to.address)
    ip = ip[:10] + struct.pack(">H", _checksum(ip)) + ip[12:]
    return said.ethernet + ip + tcp


def _checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
