"""The fault proxy as it runs in production: in a process of its own, with real sockets on either side.

All that it does to frames it does with TLS, too, at whose both ends it then is.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import resource
import signal
import socket
import ssl
import struct
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

import pytest

from raft_chaos.chaos.faults.corrupt import MOST_BITS
from raft_chaos.chaos.faults.links import LinkCounters
from raft_chaos.chaos.run.live.network.control import ProxyError, Trouble
from raft_chaos.chaos.run.live.network.proxy import ProxyClient, proxy_main
from raft_chaos.chaos.run.live.network.rules import LinkRule
from raft_chaos.chaos.schedule.streams import stream
from raft_chaos.chaos.targets.certificates import Certificates
from raft_chaos.raft.network.codec import PROTOCOL_VERSION, Hello
from raft_chaos.raft.network.handshake import Secret
from raft_chaos.raft.network.tls import Tls
from raft_chaos.raft.network.transport import Transport
from raft_chaos.raft.state.messages import Message, RequestVote

PATIENCE_S = 10.0
"""Only a hung proxy reaches it."""

SPAWN = multiprocessing.get_context("spawn")
MAX_FRAME = 1_000_000


def frame(payload: bytes) -> bytes:
    return struct.pack(">I", len(payload)) + payload


def numbered(count: int, first: int = 1) -> list[bytes]:
    return [f"message {number}".encode() for number in range(first, first + count)]


def exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = connection.recv(size - len(data))
        assert piece, f"the connection ended after {len(data)} of {size} bytes"
        data += piece
    return data


class Proxy:
    def __init__(self, seed: int, certificates: Certificates | None = None) -> None:
        ours, theirs = SPAWN.Pipe()
        self.connection = ours
        files = {node: certificates.files(node) for node in "abc"} if certificates is not None else None
        self.tls = {node: Tls(one) for node, one in files.items()} if files is not None else None
        self.process: BaseProcess = SPAWN.Process(
            target=proxy_main, args=(theirs, ["a", "b", "c"], seed, MAX_FRAME, "frames", files)
        )
        self.process.start()
        theirs.close()
        self.client = ProxyClient(ours)
        self.ports = self.client.addresses()

    def stop(self) -> None:
        self.client.close()
        self.process.join(PATIENCE_S)
        assert self.process.exitcode == 0


class Receiver:
    """A node's listening socket, and the frames that arrive on the connection accepted last."""

    def __init__(self, tls: Tls | None = None) -> None:
        self._tls = tls
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.listening.settimeout(PATIENCE_S)
        self.port: int = self.listening.getsockname()[1]
        self.connection: socket.socket | None = None

    def accept(self) -> None:
        self.close_connection()
        self.connection, _ = self.listening.accept()
        self.connection.settimeout(PATIENCE_S)
        if self._tls is not None:
            self.connection = self._tls.accepting.wrap_socket(self.connection, server_side=True)

    def read(self, count: int) -> list[bytes]:
        return [self._exactly(struct.unpack(">I", self._exactly(4))[0]) for _ in range(count)]

    def _exactly(self, size: int) -> bytes:
        assert self.connection is not None
        return exactly(self.connection, size)

    def close_connection(self) -> None:
        if self.connection is not None:
            self.connection.close()

    def close(self) -> None:
        self.close_connection()
        self.listening.close()


@pytest.fixture(scope="module", params=["tcp", "tls"])
def proxy(request: pytest.FixtureRequest, certificates: Certificates) -> Iterator[Proxy]:
    running = Proxy(seed=7, certificates=certificates if request.param == "tls" else None)
    yield running
    running.stop()


@pytest.fixture
def receiver(proxy: Proxy) -> Iterator[Receiver]:
    node = receiver_of(proxy)
    yield node
    node.close()


@pytest.fixture
def sender(proxy: Proxy, receiver: Receiver) -> Iterator[socket.socket]:
    """A connection on a>b after its handshake, without rules."""
    proxy.client.set_rules({})
    proxy.client.set_target("b", receiver.port)
    with connect(proxy) as connection:
        greet(connection, receiver)
        yield connection


def receiver_of(proxy: Proxy) -> Receiver:
    return Receiver(proxy.tls["b"] if proxy.tls is not None else None)


def connect(proxy: Proxy) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", proxy.ports["a", "b"]), timeout=PATIENCE_S)
    if proxy.tls is None:
        return connection
    # The handshake comes with the first bytes, so that a test sees a refusal where it sees one without TLS.
    return proxy.tls["a"].calling.wrap_socket(connection, server_hostname="b", do_handshake_on_connect=False)


def greet(connection: socket.socket, receiver: Receiver) -> None:
    connection.sendall(frame(b"hello"))
    receiver.accept()
    assert receiver.read(1) == [b"hello"]


def send(connection: socket.socket, payloads: list[bytes]) -> None:
    connection.sendall(b"".join(frame(payload) for payload in payloads))


def counted(
    proxy: Proxy, before: LinkCounters, field: str, least: int, link: tuple[str, str] = ("a", "b")
) -> LinkCounters:
    """The counters of the link once `field` has grown by `least`."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        now = proxy.client.counters()[link]
        if getattr(now, field) - getattr(before, field) >= least:
            return now
    raise AssertionError(f"{field} did not grow by {least}: {now}")


def test_every_directed_link_has_a_port_of_its_own(proxy: Proxy) -> None:
    links = {(a, b) for a in "abc" for b in "abc" if a != b}
    assert set(proxy.ports) == links and len(set(proxy.ports.values())) == len(links)


def test_frames_pass_in_order_without_a_rule_in_pieces_of_any_size(
    proxy: Proxy, sender: socket.socket, receiver: Receiver
) -> None:
    before = proxy.client.counters()["a", "b"]
    payloads = [*numbered(50), b"", b"x" * 300_000, *numbered(50)]
    data = b"".join(frame(payload) for payload in payloads)
    for start in range(0, 600, 3):
        sender.sendall(data[start : start + 3])
    sender.sendall(data[600:])
    assert receiver.read(len(payloads)) == payloads
    assert counted(proxy, before, "forwarded", len(payloads)).forwarded - before.forwarded == len(payloads)


def test_answers_on_the_same_connection_obey_the_link_back(
    proxy: Proxy, sender: socket.socket, receiver: Receiver
) -> None:
    """What answers the handshake passes; what answers a message is a message of b>a."""
    assert receiver.connection is not None
    proxy.client.set_rules({("b", "a"): LinkRule(cut=True)})
    before, handshake = proxy.client.counters()["b", "a"], frame(b"welcome") + frame(b"to b")
    receiver.connection.sendall(handshake)
    assert exactly(sender, len(handshake)) == handshake
    send(sender, [b"question"])
    assert receiver.read(1) == [b"question"]
    send(receiver.connection, [b"held back", b"this too"])
    assert counted(proxy, before, "cut", 2, ("b", "a")).forwarded == before.forwarded
    proxy.client.set_rules({("a", "b"): LinkRule(cut=True)})
    send(receiver.connection, [b"answer"])
    assert exactly(sender, 10) == frame(b"answer")
    assert counted(proxy, before, "forwarded", 1, ("b", "a")).cut == before.cut + 2
    proxy.client.set_rules({("b", "a"): LinkRule(delay_min_us=20_000, delay_max_us=20_000)})
    send(receiver.connection, [b"late"])
    assert exactly(sender, 8) == frame(b"late")
    counted(proxy, before, "delayed", 1, ("b", "a"))


def test_a_cut_passes_handshakes_and_drops_messages(proxy: Proxy, sender: socket.socket, receiver: Receiver) -> None:
    before = proxy.client.counters()["a", "b"]
    proxy.client.set_rules({("a", "b"): LinkRule(cut=True)})
    send(sender, numbered(3))
    assert counted(proxy, before, "cut", 3).forwarded == before.forwarded
    with connect(proxy) as second:
        greet(second, receiver)
        send(second, [b"held back"])
        counted(proxy, before, "cut", 4)
        proxy.client.set_rules({})
        send(second, [b"after the cut"])
        assert receiver.read(1) == [b"after the cut"]


def test_flipped_bits_reach_the_receiver_and_its_refusal_is_counted(
    proxy: Proxy, sender: socket.socket, receiver: Receiver
) -> None:
    before = proxy.client.counters()["a", "b"]
    proxy.client.set_rules({("a", "b"): LinkRule(corrupt=1.0)})
    sent = frame(b"message")
    sender.sendall(sent)
    assert receiver.connection is not None
    arrived = exactly(receiver.connection, len(sent))
    changed = (int.from_bytes(sent, "big") ^ int.from_bytes(arrived, "big")).bit_count()
    assert 1 <= changed <= MOST_BITS
    assert counted(proxy, before, "corrupted", 1).refused == before.refused
    receiver.close_connection()
    assert counted(proxy, before, "refused", 1).corrupted == before.corrupted + 1
    assert not sender.recv(1), "the sender hears that its connection has been closed"


def test_a_sender_that_leaves_refuses_nothing(proxy: Proxy, sender: socket.socket, receiver: Receiver) -> None:
    before = proxy.client.counters()["a", "b"]
    proxy.client.set_rules({("a", "b"): LinkRule(corrupt=1.0)})
    sent = frame(b"message")
    sender.sendall(sent)
    assert receiver.connection is not None
    exactly(receiver.connection, len(sent))
    sender.close()
    assert not receiver.connection.recv(1)
    receiver.close_connection()
    proxy.client.set_rules({})
    with connect(proxy) as second:  # what happened before has been counted by now
        greet(second, receiver)
    assert proxy.client.counters()["a", "b"].refused == before.refused


def test_a_receiver_that_is_killed_refuses_nothing(proxy: Proxy, sender: socket.socket, receiver: Receiver) -> None:
    """The end of its process closes the connection, too."""
    before = proxy.client.counters()["a", "b"]
    proxy.client.set_rules({("a", "b"): LinkRule(corrupt=1.0)})
    sent = frame(b"message")
    sender.sendall(sent)
    assert receiver.connection is not None
    exactly(receiver.connection, len(sent))
    proxy.client.leaving("b")
    receiver.close_connection()
    assert not sender.recv(1)
    assert proxy.client.counters()["a", "b"].refused == before.refused
    proxy.client.set_target("b", None)
    proxy.client.set_target("b", receiver.port)  # its next incarnation
    with connect(proxy) as second:
        greet(second, receiver)
        second.sendall(sent)
        exactly(receiver.connection, len(sent))
        receiver.close_connection()
        counted(proxy, before, "refused", 1)


def test_a_one_way_cut_does_not_affect_other_links(proxy: Proxy, receiver: Receiver) -> None:
    proxy.client.set_target("b", receiver.port)
    proxy.client.set_rules({("b", "a"): LinkRule(cut=True), ("a", "c"): LinkRule(cut=True)})
    with connect(proxy) as connection:
        greet(connection, receiver)
        send(connection, numbered(2))
        assert receiver.read(2) == numbered(2)


def test_a_cut_does_not_split_a_frame_that_has_begun_to_pass(
    proxy: Proxy, sender: socket.socket, receiver: Receiver
) -> None:
    before = proxy.client.counters()["a", "b"]
    data = frame(b"first half, second half")
    sender.sendall(data[:14])
    assert receiver.connection is not None
    assert exactly(receiver.connection, 14) == data[:14]
    proxy.client.set_rules({("a", "b"): LinkRule(cut=True)})
    sender.sendall(data[14:] + frame(b"held back"))
    assert exactly(receiver.connection, len(data) - 14) == data[14:]
    counted(proxy, before, "cut", 1)


def test_a_delay_keeps_the_order_also_when_it_ends(proxy: Proxy, sender: socket.socket, receiver: Receiver) -> None:
    before = proxy.client.counters()["a", "b"]
    proxy.client.set_rules({("a", "b"): LinkRule(delay_min_us=1_000, delay_max_us=60_000)})
    send(sender, numbered(40))
    counted(proxy, before, "delayed", 40)
    proxy.client.set_rules({})
    send(sender, numbered(10, first=41))
    assert receiver.read(50) == numbered(50)


def test_frames_that_are_due_during_a_cut_are_held_back(
    proxy: Proxy, sender: socket.socket, receiver: Receiver
) -> None:
    """A machine too busy to cut the link before the delay is over gets another try with a longer one."""
    for delay_us in (60_000, 600_000, 6_000_000):
        before = proxy.client.counters()["a", "b"]
        proxy.client.set_rules({("a", "b"): LinkRule(delay_min_us=delay_us, delay_max_us=delay_us)})
        send(sender, [b"delayed"])
        counted(proxy, before, "delayed", 1)
        proxy.client.set_rules({("a", "b"): LinkRule(cut=True)})
        if proxy.client.counters()["a", "b"].forwarded == before.forwarded:
            break
        assert receiver.read(1) == [b"delayed"]
    counted(proxy, before, "cut", 1)
    proxy.client.set_rules({})
    send(sender, [b"after the cut"])
    assert receiver.read(1) == [b"after the cut"]


def test_reordered_frames_are_overtaken_and_none_is_lost(
    proxy: Proxy, sender: socket.socket, receiver: Receiver
) -> None:
    before = proxy.client.counters()["a", "b"]
    proxy.client.set_rules({("a", "b"): LinkRule(reorder=0.3)})
    send(sender, numbered(60))
    arrived = receiver.read(60)
    assert sorted(arrived) == sorted(numbered(60)) and arrived != numbered(60)
    assert 0 < counted(proxy, before, "forwarded", 60).reordered - before.reordered < 60


def test_a_duplicate_arrives_once_and_later(proxy: Proxy, sender: socket.socket, receiver: Receiver) -> None:
    before = proxy.client.counters()["a", "b"]
    proxy.client.set_rules({("a", "b"): LinkRule(duplicate=1.0)})
    send(sender, numbered(20))
    arrived = receiver.read(40)
    assert sorted(arrived) == sorted(2 * numbered(20))
    assert list(dict.fromkeys(arrived)) == numbered(20), "the originals keep their order"
    assert counted(proxy, before, "forwarded", 40).duplicated - before.duplicated == 20


def test_the_lost_frames_depend_only_on_seed_link_and_number() -> None:
    """A proxy of its own: message numbers begin with 1. Two connections and a late rule change nothing."""
    proxy, receiver = Proxy(seed=812), Receiver()
    try:
        proxy.client.set_target("b", receiver.port)
        with connect(proxy) as first:
            greet(first, receiver)
            send(first, numbered(30))
            assert receiver.read(30) == numbered(30)
        with connect(proxy) as second:
            greet(second, receiver)
            proxy.client.set_rules({("a", "b"): LinkRule(loss=0.5)})
            send(second, numbered(70, first=31))
            lost = [stream(812, f"network/a>b/{number}").random() < 0.5 for number in range(31, 101)]
            expected = [payload for payload, gone in zip(numbered(70, first=31), lost, strict=True) if not gone]
            assert 0 < len(expected) < 70
            assert receiver.read(len(expected)) == expected
            assert proxy.client.counters()["a", "b"].lost == sum(lost)
    finally:
        receiver.close()
        proxy.stop()


def test_a_connection_to_a_node_without_target_ends_at_once(proxy: Proxy) -> None:
    proxy.client.set_target("b", None)
    with connect(proxy) as connection:
        assert ended(connection)


def test_a_connection_ends_when_its_receiver_cannot_be_reached(proxy: Proxy) -> None:
    gone = Receiver()
    gone.close()
    proxy.client.set_target("b", gone.port)
    with connect(proxy) as connection:
        assert ended(connection)


def test_the_sender_is_disconnected_with_its_receiver_and_reconnects_to_the_new_target(
    proxy: Proxy, sender: socket.socket, receiver: Receiver
) -> None:
    restarted = receiver_of(proxy)
    try:
        proxy.client.set_target("b", restarted.port)
        receiver.close_connection()
        assert ended(sender)
        with connect(proxy) as connection:
            greet(connection, restarted)
    finally:
        restarted.close()


def test_frames_arrive_before_the_end_of_the_senders_connection(
    proxy: Proxy, sender: socket.socket, receiver: Receiver
) -> None:
    send(sender, numbered(3))
    sender.close()
    assert receiver.read(3) == numbered(3)
    assert receiver.connection is not None and ended(receiver.connection)


def test_a_frame_that_is_too_long_ends_the_connection(sender: socket.socket, receiver: Receiver) -> None:
    sender.sendall(struct.pack(">I", MAX_FRAME + 1))
    assert ended(sender)


@pytest.mark.parametrize(
    ("beginning", "named"),
    [
        (b"POST /raft HTTP/1.1\r\n", ", which is HTTP"),
        (b"PRI * HTTP/2.0\r\n", ", which is HTTP/2"),
        (b"\x16\x03\x01\x02\x00\x01", ", which is TLS"),
        (struct.pack("<I", 40) + b"x" * 40, ""),
    ],
    ids=["http", "http2", "tls", "little-endian"],
)
def test_a_connection_that_carries_no_frames_is_trouble_that_names_the_network_to_choose(
    receiver: Receiver, beginning: bytes, named: str
) -> None:
    proxy = Proxy(seed=1)
    try:
        proxy.client.set_target("b", receiver.port)
        with connect(proxy) as connection:
            connection.sendall(beginning)
            assert ended(connection)
        with pytest.raises(ProxyError) as caught:
            proxy.client.check()
        said = str(caught.value)
        assert said.startswith("the proxy between the nodes failed: a connection on link a>b carries no frames")
        assert f"it begins with {beginning[:16]!r}{named}. Choose the network 'tcp', or 'netns' if" in said
    finally:
        proxy.stop()


def test_answers_that_are_no_frames_are_trouble_too() -> None:
    """A cut could not hold them back, and the nodes would go on hearing each other."""
    proxy, receiver = Proxy(seed=1), Receiver(None)
    try:
        proxy.client.set_target("b", receiver.port)
        with connect(proxy) as connection:
            greet(connection, receiver)
            assert receiver.connection is not None
            receiver.connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            assert ended(connection)
        with pytest.raises(ProxyError, match=r"a connection on link b>a carries no frames.*Choose the network 'tcp'"):
            proxy.client.check()
    finally:
        receiver.close()
        proxy.stop()


@pytest.mark.parametrize(
    "rules", [{}, {("a", "b"): LinkRule(delay_min_us=60_000_000, delay_max_us=60_000_000)}], ids=["unread", "delayed"]
)
def test_a_sender_gets_backpressure_instead_of_an_unbounded_buffer(
    proxy: Proxy, sender: socket.socket, receiver: Receiver, rules: dict[tuple[str, str], LinkRule]
) -> None:
    """The receiver reads nothing: the sender can send only as much as the buffers between them hold."""
    proxy.client.set_rules(rules)
    limit, sent = 400 * 1024 * 1024, 0
    sender.settimeout(0.5)
    piece = frame(b"x" * 65_532) * 16
    with pytest.raises(TimeoutError):
        while sent < limit:
            sent += sender.send(piece)
    assert sent < limit
    proxy.client.set_rules({})


def ended(connection: socket.socket) -> bool:
    """Reads up to the end of the connection; a reset is an end too."""
    try:
        return connection.recv(1) == b""
    except (ConnectionError, ssl.SSLEOFError):
        return True


def test_refuses_unknown_names(proxy: Proxy) -> None:
    with pytest.raises(ProxyError, match="set_target: node 'z' is unknown"):
        proxy.client.set_target("z", 1)
    with pytest.raises(ProxyError, match=r"set_rules: link \('a', 'z'\) is unknown"):
        proxy.client.set_rules({("a", "z"): LinkRule(cut=True)})


def test_ignores_ctrl_c_and_ends_with_its_controller() -> None:
    proxy = Proxy(seed=1)
    assert proxy.process.pid is not None
    os.kill(proxy.process.pid, signal.SIGINT)
    assert proxy.client.addresses() == proxy.ports
    proxy.stop()


def test_says_so_when_the_proxy_is_gone() -> None:
    proxy = Proxy(seed=1)
    proxy.process.kill()
    proxy.process.join(PATIENCE_S)
    with pytest.raises(ProxyError, match="counters: the proxy process is gone"):
        proxy.client.counters()
    proxy.connection.close()


def test_the_handshake_of_nodes_with_a_secret_passes_a_cut_and_is_no_message(proxy: Proxy) -> None:
    """Challenge, Hello and Welcome pass; the first message is number 1 of its connection."""
    secret, heard = Secret(b"s" * 32), asyncio.Queue[tuple[str, int, int, Message]]()
    before, tls = proxy.client.counters()["a", "b"], proxy.tls or {}

    async def main() -> None:
        names = {name: Hello(PROTOCOL_VERSION, "c", name, 1) for name in "ab"}
        b = Transport(names["b"], {"a": ("127.0.0.1", 1)}, lambda *one: heard.put_nowait(one), secret, tls.get("b"))
        await b.listen("127.0.0.1", 0)
        proxy.client.set_target("b", b.port)
        proxy.client.set_rules({("a", "b"): LinkRule(cut=True)})
        a = Transport(names["a"], {"b": ("127.0.0.1", proxy.ports["a", "b"])}, lambda *_: None, secret, tls.get("a"))
        a.connect()
        await asyncio.wait_for(a.connected(), PATIENCE_S)
        a.send(a.number([("b", RequestVote(term, 0, 0)) for term in range(3)]))
        cut = await asyncio.to_thread(counted, proxy, before, "cut", 3)
        assert (cut.forwarded, cut.cut) == (before.forwarded, before.cut + 3)
        proxy.client.set_rules({})
        a.send(a.number([("b", RequestVote(7, 0, 0))]))
        assert await asyncio.wait_for(heard.get(), PATIENCE_S) == ("a", 1, 4, RequestVote(7, 0, 0))
        await a.close()
        await b.close()

    asyncio.run(main())


def heard_through(seed: int, secret: Secret | None) -> tuple[list[int], LinkCounters]:
    """The numbers of 40 messages that arrive through a new proxy whose link loses half of them, and its counters."""
    proxy, heard = Proxy(seed), asyncio.Queue[int]()

    async def main() -> list[int]:
        b = Transport(
            Hello(PROTOCOL_VERSION, "c", "b", 1), {"a": ("127.0.0.1", 1)}, lambda *one: heard.put_nowait(one[2]), secret
        )
        await b.listen("127.0.0.1", 0)
        proxy.client.set_target("b", b.port)
        proxy.client.set_rules({("a", "b"): LinkRule(loss=0.5)})
        a = Transport(
            Hello(PROTOCOL_VERSION, "c", "a", 1), {"b": ("127.0.0.1", proxy.ports["a", "b"])}, lambda *_: None, secret
        )
        a.connect()
        await asyncio.wait_for(a.connected(), PATIENCE_S)
        a.send(a.number([("b", RequestVote(term, 0, 0)) for term in range(39)]))
        await asyncio.to_thread(counted_all, proxy, 39)
        proxy.client.set_rules({})
        a.send(a.number([("b", RequestVote(39, 0, 0))]))
        numbers = [await asyncio.wait_for(heard.get(), PATIENCE_S)]
        while numbers[-1] != 40:
            numbers.append(await asyncio.wait_for(heard.get(), PATIENCE_S))
        await a.close()
        await b.close()
        return numbers

    numbers = asyncio.run(main())
    counters = proxy.client.counters()["a", "b"]
    proxy.stop()
    return numbers, counters


def counted_all(proxy: Proxy, messages: int) -> None:
    """Waits until the proxy has decided about so many messages of a>b."""
    deadline = time.monotonic() + PATIENCE_S
    while (now := proxy.client.counters()["a", "b"]).forwarded + now.lost < messages:
        assert time.monotonic() < deadline, now


def test_a_secret_changes_neither_the_numbers_of_messages_nor_what_happens_to_them() -> None:
    without, with_secret = heard_through(7, None), heard_through(7, Secret(b"s" * 32))
    assert with_secret == without
    assert 10 < len(without[0]) < 30


# ---- trouble of the proxy itself -------------------------------------------------------------------------------------


def starved_main(control: Connection, nodes: list[str], free: int) -> None:
    """A proxy that may open `free` files beside its listening sockets."""
    links = len(nodes) * (len(nodes) - 1)
    used = len(os.listdir("/proc/self/fd")) - 1
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + links + free, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    proxy_main(control, nodes, 1)


def test_a_proxy_without_files_tells_its_controller() -> None:
    """Otherwise the nodes would seem to be cut off from each other. It keeps only connections that lead somewhere."""
    receiver = Receiver()
    ours, theirs = SPAWN.Pipe()
    process: BaseProcess = SPAWN.Process(target=starved_main, args=(theirs, ["a", "b"], 12))
    process.start()
    theirs.close()
    client = ProxyClient(ours)
    ports = client.addresses()
    client.check()
    client.set_target("b", receiver.port)
    senders = [socket.create_connection(("127.0.0.1", ports["a", "b"]), PATIENCE_S) for _ in range(20)]
    assert ours.poll(PATIENCE_S)
    with pytest.raises(ProxyError, match="the proxy between the nodes failed: it ran out of open files"):
        client.check()
    for sender in senders:
        sender.close()
    receiver.close()
    client.close()
    process.join(PATIENCE_S)
    assert process.exitcode == 0


def test_trouble_that_comes_before_an_answer_is_the_answer() -> None:
    ours, theirs = SPAWN.Pipe()
    theirs.send(Trouble("it ran out of memory"))
    with pytest.raises(ProxyError, match="the proxy between the nodes failed: it ran out of memory"):
        ProxyClient(ours).counters()
    ours.close()
    theirs.close()


def test_a_proxy_that_cannot_even_listen_tells_its_controller() -> None:
    ours, theirs = SPAWN.Pipe()
    process: BaseProcess = SPAWN.Process(target=starved_main, args=(theirs, ["a", "b", "c", "d", "e"], -5))
    process.start()
    theirs.close()
    with pytest.raises(ProxyError, match="the proxy between the nodes failed: it ran out of open files"):
        ProxyClient(ours).addresses()
    ours.close()
    process.join(PATIENCE_S)
