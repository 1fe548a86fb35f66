"""The networks tcp and netns at the level of bytes, with real processes in between: the same promises for both."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from network_ends import Ends, open_ends

from raft_chaos.chaos.faults.links import Link
from raft_chaos.chaos.run.live.network.proxied import Proxied
from raft_chaos.chaos.run.live.network.rules import LinkRule

BOTH_WAYS = pytest.mark.parametrize("link", [("a", "b"), ("b", "a")], ids=["there", "back"])


@pytest.fixture(scope="module", params=["tcp", "netns", pytest.param("netns-nobody", marks=pytest.mark.slow)])
def network(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ends]:
    with ExitStack() as stack:
        yield open_ends(request.param, stack, tmp_path_factory.mktemp("network"))


@pytest.fixture
def ends(network: Ends) -> Ends:
    network.heal()
    return network


def exactly(connection: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        piece = connection.recv(size - len(data))
        assert piece, f"the connection ended after {len(data)} of {size} bytes"
        data += piece
    return bytes(data)


def to_the_end(connection: socket.socket) -> bytes:
    data = bytearray()
    while piece := connection.recv(65_536):
        data += piece
    return bytes(data)


def send_to_the_end(connection: socket.socket, data: bytes) -> None:
    connection.sendall(data)
    connection.shutdown(socket.SHUT_WR)


def nothing_to_read(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        connection.recv(1)
    except BlockingIOError:
        return True
    finally:
        connection.settimeout(20)
    return False


def numbered(count: int) -> bytes:
    return b"".join(b"%07d\n" % number for number in range(count))


def of(link: Link, opened: tuple[socket.socket, socket.socket]) -> tuple[socket.socket, socket.socket]:
    """(sender, receiver) on the link, of a connection that a has opened to b."""
    return opened if link == ("a", "b") else (opened[1], opened[0])


# ---- without faults -----------------------------------------------------------------------------------------------


def test_bytes_pass_both_ways_and_so_does_the_end_of_one_direction(ends: Ends) -> None:
    ours, theirs = ends.pair("a", "b")
    data = numbered(40_000)
    with ours, theirs:
        theirs.sendall(b"welcome")
        sending = threading.Thread(target=send_to_the_end, args=(ours, data))
        sending.start()
        assert to_the_end(theirs) == data
        sending.join()
        assert exactly(ours, 7) == b"welcome"
        sending = threading.Thread(target=send_to_the_end, args=(theirs, data))
        sending.start()
        assert to_the_end(ours) == data
        sending.join()


def test_a_connection_to_a_port_where_nobody_listens_ends(ends: Ends) -> None:
    with ends.socket("c") as gone:
        gone.bind((ends.network.hosts.get("c", "127.0.0.1"), 0))
        port = gone.getsockname()[1]
    ends.network.route("c", port)
    with ends.socket("a") as ours, pytest.raises(ConnectionError):
        ours.connect(ends.network.peers_of("a", {"c": ("127.0.0.1", port)})["c"])
        ours.sendall(b"anybody?")
        if not ours.recv(1):
            raise ConnectionError
        ours.recv(1)


# ---- cuts ---------------------------------------------------------------------------------------------------------


@BOTH_WAYS
def test_not_one_byte_crosses_a_cut_and_afterwards_all_arrive(ends: Ends, link: Link) -> None:
    opened = ends.pair("a", "b")
    sender, receiver = of(link, opened)
    with sender, receiver:
        sender.sendall(b"before")
        assert exactly(receiver, 6) == b"before"
        ends.rule(link, cut=True)
        before = ends.counters(link)
        data = numbered(30_000)
        sender.setblocking(False)
        sent = sender.send(data)
        held = ends.grown(link, before, "cut", 2 if ends.network.hosts else 1)
        assert held.held_bytes > before.held_bytes
        receiver.sendall(b"the other way is open")
        sender.settimeout(20)
        assert exactly(sender, 21) == b"the other way is open"
        assert nothing_to_read(receiver)
        now = ends.counters(link)
        assert (now.forwarded, now.forwarded_bytes) == (before.forwarded, before.forwarded_bytes)
        ends.heal()
        assert exactly(receiver, sent) == data[:sent]


@BOTH_WAYS
def test_the_end_of_a_stream_does_not_cross_a_cut_either(ends: Ends, link: Link) -> None:
    sender, receiver = of(link, ends.pair("a", "b"))
    with sender, receiver:
        ends.rule(link, cut=True)
        before = ends.counters(link)
        sender.sendall(b"last words")
        sender.close()
        ends.grown(link, before, "cut")
        assert nothing_to_read(receiver)
        ends.heal()
        assert to_the_end(receiver) == b"last words"


@BOTH_WAYS
def test_a_connection_that_is_opened_during_a_cut_waits_for_its_end(ends: Ends, link: Link) -> None:
    listening = ends.listen("b")
    ends.rule(link, cut=True)
    before = ends.counters(link)
    with ends.socket("a") as ours:
        ours.setblocking(False)
        ours.connect_ex(ends.address("a", "b"))
        ends.grown(link, before, "cut")
        listening.setblocking(False)
        with pytest.raises(BlockingIOError):
            listening.accept()
        listening.settimeout(20)
        ends.heal()
        theirs, _ = listening.accept()
        with theirs:
            theirs.sendall(b"welcome")
            ours.settimeout(20)
            assert exactly(ours, 7) == b"welcome"


def test_a_receiver_never_hears_of_a_connection_that_was_given_up_during_a_cut(ends: Ends) -> None:
    listening = ends.listen("b")
    ends.rule(("a", "b"), cut=True)
    before = ends.counters(("a", "b"))
    with ends.socket("a") as ours:
        ours.setblocking(False)
        ours.connect_ex(ends.address("a", "b"))
        ends.grown(("a", "b"), before, "cut")
    ends.heal()
    with ends.socket("a") as second:
        second.connect(ends.address("a", "b"))
        second.sendall(b"second")
        theirs, _ = listening.accept()
        with theirs:
            theirs.settimeout(20)
            assert exactly(theirs, 6) == b"second"


def test_a_cut_leaves_other_links_alone(ends: Ends) -> None:
    ends.network.set_rules({("a", "c"): LinkRule(cut=True), ("c", "b"): LinkRule(cut=True)})
    ours, theirs = ends.pair("a", "b")
    with ours, theirs:
        ours.sendall(b"unharmed")
        assert exactly(theirs, 8) == b"unharmed"


# ---- delays -------------------------------------------------------------------------------------------------------


@BOTH_WAYS
def test_a_delay_takes_its_time_and_keeps_the_order(ends: Ends, link: Link) -> None:
    sender, receiver = of(link, ends.pair("a", "b"))
    with sender, receiver:
        ends.rule(link, delay_min_us=50_000, delay_max_us=60_000)
        before, began = ends.counters(link), time.monotonic()
        sender.sendall(numbered(100))
        assert exactly(receiver, 1) == b"0"
        assert time.monotonic() - began >= 0.049, "a delay may be longer on a busy machine, but not shorter"
        assert exactly(receiver, 799) == numbered(100)[1:]
        assert ends.counters(link).delayed > before.delayed


@BOTH_WAYS
def test_what_is_delayed_does_not_cross_a_cut(ends: Ends, link: Link) -> None:
    """A machine too busy to cut the link before the delay is over gets another try with a longer one."""
    sender, receiver = of(link, ends.pair("a", "b"))
    with sender, receiver:
        for delay_us in (100_000, 1_000_000, 10_000_000):
            before = ends.counters(link)
            ends.rule(link, delay_min_us=delay_us, delay_max_us=delay_us)
            sender.sendall(b"delayed")
            ends.grown(link, before, "delayed")
            ends.rule(link, cut=True)
            if ends.counters(link).forwarded == before.forwarded:
                break
            assert exactly(receiver, 7) == b"delayed"
        ends.grown(link, before, "cut")
        assert nothing_to_read(receiver)
        ends.heal()
        assert exactly(receiver, 7) == b"delayed"


def test_a_slow_link_takes_as_long_as_its_speed_says(ends: Ends) -> None:
    ours, theirs = ends.pair("a", "b")
    with ours, theirs:
        ends.rule(("a", "b"), bytes_per_s=200_000)
        began = time.monotonic()
        ours.sendall(bytes(100_000))
        exactly(theirs, 100_000)
        assert time.monotonic() - began >= 0.4, "the link was faster than its speed"


@BOTH_WAYS
def test_a_clogged_link_holds_all_and_lets_go_of_it(ends: Ends, link: Link) -> None:
    sender, receiver = of(link, ends.pair("a", "b"))
    with sender, receiver:
        ends.rule(link, clogged=True)
        before = ends.counters(link)
        sender.sendall(b"held")
        ends.grown(link, before, "clogged")
        assert nothing_to_read(receiver)
        ends.heal()
        assert exactly(receiver, 4) == b"held"


# ---- breaks, and bounds --------------------------------------------------------------------------------------------


def test_a_reset_breaks_established_connections_and_no_others(ends: Ends) -> None:
    ours, theirs = ends.pair("a", "b")
    others = ends.pair("a", "c")
    with ours, theirs, others[0], others[1]:
        for one, other in ((ours, theirs), (theirs, ours)):
            one.sendall(b"established")
            assert exactly(other, 11) == b"established"
        for one, other in (others, others[::-1]):
            one.sendall(b"established")
            assert exactly(other, 11) == b"established"
        assert ends.network.reset([("a", "b"), ("b", "a")]) >= 1
        for one in (ours, theirs):
            with pytest.raises(ConnectionResetError):
                one.recv(1)
        others[0].sendall(b"unharmed")
        assert exactly(others[1], 8) == b"unharmed"


@BOTH_WAYS
def test_bits_of_a_stream_flip_and_who_then_ends_it_has_refused_them(ends: Ends, link: Link) -> None:
    if not isinstance(ends.network, Proxied):
        pytest.skip("the kernel discards a packet with flipped bits")
    sender, receiver = of(link, ends.pair("a", "b"))
    with sender, receiver:
        before = ends.counters(link)
        ends.rule(link, corrupt=1.0)
        sender.sendall(bytes(1_000))
        assert int.from_bytes(exactly(receiver, 1_000), "big").bit_count() >= 1
        assert ends.grown(link, before, "corrupted").refused == before.refused
        receiver.close()
        ends.grown(link, before, "refused")


@BOTH_WAYS
def test_who_is_being_ended_has_not_refused_what_it_got(ends: Ends, link: Link) -> None:
    if not isinstance(ends.network, Proxied):
        pytest.skip("the kernel discards a packet with flipped bits")
    sender, receiver = of(link, ends.pair("a", "b"))
    with sender, receiver:
        before = ends.counters(link)
        ends.rule(link, corrupt=1.0)
        sender.sendall(bytes(1_000))
        exactly(receiver, 1_000)
        ends.network.leaving(link[1])
        receiver.close()
        assert not sender.recv(1)
        assert ends.counters(link).refused == before.refused


@pytest.mark.parametrize("rule", [{}, {"cut": True}], ids=["unread", "cut"])
def test_a_sender_gets_backpressure_instead_of_an_unbounded_queue(ends: Ends, rule: dict[str, bool]) -> None:
    ours, theirs = ends.pair("a", "b")
    with ours, theirs:
        ends.rule(("a", "b"), **rule)
        limit, sent = 64 * 1024 * 1024, 0
        ours.settimeout(0.3)
        with pytest.raises(TimeoutError):
            while sent < limit:
                sent += ours.send(bytes(1 << 20))
        assert sent < limit
