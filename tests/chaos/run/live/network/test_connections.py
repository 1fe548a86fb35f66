"""Which packets break the connections that a switch has seen, without sockets."""

from __future__ import annotations

import struct
from typing import NamedTuple

from raft_chaos.chaos.run.live.network.netns.connections import ACK, DIRECTIONS_MAX, FIN, RST, SYN, Connections

A, B, C = (bytes((10, 77, 0, number)) for number in (1, 2, 3))
AB = frozenset((1, 2))


class Reset(NamedTuple):
    to: int
    ports: tuple[int, int]
    number: int
    flags: int


def packet(
    source: bytes,
    to: bytes,
    number: int,
    ack: int,
    size: int = 0,
    flags: int = ACK,
    ports: tuple[int, int] = (40_000, 80),
) -> bytes:
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 40 + size, 0, 0, 64, 6, 0, source, to)
    tcp = struct.pack(">HHIIBBHHH", *ports, number & 0xFFFFFFFF, ack & 0xFFFFFFFF, 5 << 4, flags, 0, 0, 0)
    return bytes(12) + b"\x08\x00" + ip + tcp + bytes(size)


def resets(seen: Connections, pairs: frozenset[int] = AB) -> list[set[Reset]]:
    found = []
    for packets in seen.broken({pairs}):
        connection = set()
        for node, data in packets:
            assert data[33] == node, "a packet goes to the node of its address"
            source, to, number, _, _, flags = struct.unpack_from(">HHIIBB", data, 34)
            connection.add(Reset(node, (source, to), number, flags))
            assert _is_right(data[14:34]) and _is_right(data[26:34] + struct.pack(">HH", 6, 20) + data[34:])
        found.append(connection)
    return found


def _is_right(data: bytes) -> bool:
    """Whether the checksum in it makes the sum of all words 0xFFFF (RFC 1071)."""
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total == 0xFFFF


def test_each_side_gets_what_it_acknowledged_and_the_end_of_what_was_sent_to_it() -> None:
    """b has not acknowledged the 100 bytes of a, nor a the 7 bytes of b, but they may have arrived."""
    seen = Connections()
    seen.saw(packet(A, B, 1_000, 500, size=100))
    seen.saw(packet(B, A, 500, 1_000, size=7, ports=(80, 40_000)))
    there, back = (40_000, 80), (80, 40_000)
    assert resets(seen) == [
        {Reset(2, there, number, RST | ACK) for number in (1_000, 1_100)}
        | {Reset(1, back, number, RST | ACK) for number in (500, 507)}
    ]
    assert resets(seen) == [], "it is forgotten"


def test_the_beginning_and_the_end_of_a_stream_have_a_number_each_and_numbers_wrap() -> None:
    seen = Connections()
    seen.saw(packet(A, B, 2**32 - 1, 0, flags=SYN))
    seen.saw(packet(B, A, 10, 0, size=5, flags=FIN | ACK, ports=(80, 40_000)))
    ((*found,),) = resets(seen)
    assert {(one.to, one.number) for one in found} == {(2, 0), (1, 0), (1, 16)}


def test_only_connections_of_these_nodes_break_and_only_those_that_are_open() -> None:
    seen = Connections()
    for other, ports in ((C, (40_000, 80)), (B, (40_001, 80)), (B, (40_002, 80))):
        seen.saw(packet(A, other, 1, 1, ports=ports))
        seen.saw(packet(other, A, 1, 1, ports=ports[::-1]))
    seen.saw(packet(B, A, 1, 1, flags=RST, ports=(80, 40_001)))
    seen.saw(packet(A, B, 1, 0, flags=SYN, ports=(40_003, 80)))  # nobody has answered
    ((*found,),) = resets(seen)
    assert {one.ports for one in found} == {(40_002, 80), (80, 40_002)}


def test_what_is_no_tcp_is_not_seen_and_what_is_seen_has_a_limit() -> None:
    seen = Connections()
    udp = bytearray(packet(A, B, 1, 1))
    udp[23] = 17
    seen.saw(bytes(udp))
    seen.saw(packet(A, B, 1, 1)[:40])
    assert resets(seen) == []
    for number in range(DIRECTIONS_MAX):
        for source, to, ports in ((A, B, (number, 80)), (B, A, (80, number))):
            seen.saw(packet(source, to, 1, 1, ports=ports))
    assert len(resets(seen)) == DIRECTIONS_MAX // 2
