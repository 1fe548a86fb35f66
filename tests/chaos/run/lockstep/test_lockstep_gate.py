"""The gate, with plain sockets in the place of nodes: what was announced passes when told to, nothing else does."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from raft_chaos.chaos.run.lockstep import gate as module
from raft_chaos.chaos.run.lockstep.gate import DivergenceError, Gate
from raft_chaos.chaos.run.nodes.driver import DriverError
from raft_chaos.raft.network.codec import (
    HEADER_BYTES,
    LENGTH_BYTES,
    PROTOCOL_VERSION,
    Challenge,
    Envelope,
    FrameBuffer,
    FrameError,
    Hello,
    Welcome,
    decode_envelope,
    decode_hello,
    decode_reply,
    encode_frame,
    framed,
)
from raft_chaos.raft.network.handshake import Secret, fresh_nonce
from raft_chaos.raft.state.messages import RequestVote


def hello(node: str, incarnation: int) -> bytes:
    return encode_frame(Hello(PROTOCOL_VERSION, "run", node, incarnation))


def message(number: int) -> bytes:
    return encode_frame(Envelope(number, RequestVote(number, 0, 0)))


class Sender:
    """n1 with its link to n2."""

    def __init__(self, gate: Gate, incarnation: int = 1, greeting: bytes | None = None) -> None:
        self.gate = gate
        self.incarnation = incarnation
        self.socket = socket.create_connection(gate.addresses("n1", ["n2"])["n2"])
        self.socket.sendall(hello("n1", incarnation) if greeting is None else greeting)
        gate.came_up("n1", incarnation, ["n2"], 1)

    def sends(self, *numbers: int) -> None:
        self.socket.sendall(b"".join(message(number) for number in numbers))

    def announces(self, *numbers: int) -> None:
        for number in numbers:
            self.gate.announce("n1", self.incarnation, "n2", number)

    def dies(self) -> None:
        self.socket.close()
        self.gate.went_down("n1", self.incarnation, ["n2"])


class Receiver:
    """n2, which listens."""

    def __init__(self, gate: Gate) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        gate.came_up("n2", 1, [], self._listener.getsockname()[1])

    def accepts(self) -> tuple[Hello, socket.socket]:
        connection, _ = self._listener.accept()
        greeting = connection.recv(len(hello("n1", 1)))
        return decode_hello(greeting[HEADER_BYTES:]), connection

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def gate() -> Iterator[Gate]:
    one = Gate()
    yield one
    one.close()


@pytest.fixture
def receiver(gate: Gate) -> Iterator[Receiver]:
    one = Receiver(gate)
    yield one
    one.close()


def numbers(connection: socket.socket, count: int) -> list[int]:
    """Of the next `count` frames."""
    frames, found = FrameBuffer(), []
    while len(found) < count:
        found += [decode_envelope(payload).number for payload in frames.feed(connection.recv(1 << 16))]
    return found


def test_frames_pass_in_the_order_in_which_they_are_delivered(gate: Gate, receiver: Receiver) -> None:
    sender = Sender(gate)
    sender.announces(1, 3, 4)
    sender.sends(1, 3, 4)
    for number in (3, 1, 3):
        gate.deliver("n1", 1, number, "n2")
    greeting, connection = receiver.accepts()
    assert (greeting.node, greeting.incarnation) == ("n1", 1)
    assert numbers(connection, 3) == [3, 1, 3]
    connection.close()
    sender.dies()


def test_a_frame_with_flipped_bits_ends_its_connection_and_the_next_one_takes_another(
    gate: Gate, receiver: Receiver
) -> None:
    sender = Sender(gate)
    sender.announces(1, 2)
    sender.sends(1, 2)
    gate.deliver("n1", 1, 1, "n2", flips=[0.9])
    _, first = receiver.accepts()
    with pytest.raises(FrameError, match="the checksum of a frame"):
        numbers(first, 1)
    first.close()
    gate.refused("n1", "n2")
    gate.deliver("n1", 1, 2, "n2")
    _, second = receiver.accepts()
    assert numbers(second, 1) == [2]
    second.close()
    sender.dies()


def test_a_receiver_that_keeps_the_connection_of_a_refused_frame_is_found(
    gate: Gate, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 0.1)
    sender = Sender(gate)
    sender.announces(1)
    sender.sends(1)
    gate.deliver("n1", 1, 1, "n2", flips=[0.9])
    _, connection = receiver.accepts()
    with pytest.raises(DivergenceError, match="n2 refused a frame of n1, and kept the connection"):
        gate.refused("n1", "n2")
    connection.close()
    sender.dies()


def test_a_frame_of_a_dead_incarnation_passes_under_its_own_name(gate: Gate, receiver: Receiver) -> None:
    old = Sender(gate)
    old.announces(1)
    old.sends(1)
    old.dies()
    new = Sender(gate, 2)
    new.announces(1)
    new.sends(1)
    connections = []
    for incarnation in (2, 1):
        gate.deliver("n1", incarnation, 1, "n2")
        greeting, connection = receiver.accepts()
        assert greeting.incarnation == incarnation
        assert numbers(connection, 1) == [1]
        connections.append(connection)
    assert connections[0].recv(1) == b"", "the receiver limits how many connections n1 has"
    for connection in connections:
        connection.close()
    new.dies()


def test_an_unannounced_frame_is_found_when_the_link_is_read(gate: Gate, receiver: Receiver) -> None:
    sender = Sender(gate)
    sender.announces(2)
    sender.sends(1, 2)
    with pytest.raises(DivergenceError, match="n1/1 > n2: frame 1 came, where frame 2 was announced"):
        gate.deliver("n1", 1, 2, "n2")
    sender.socket.close()


def test_an_unannounced_frame_is_found_at_the_end_at_the_latest(gate: Gate) -> None:
    sender = Sender(gate)
    sender.announces(1)
    sender.sends(1)
    gate.drain("n1", 1, ["n2"])
    sender.sends(2)
    with pytest.raises(DivergenceError, match="frame 2 came, where nothing was announced"):
        sender.dies()


def test_a_duplicate_frame_is_found(gate: Gate) -> None:
    sender = Sender(gate)
    sender.announces(1)
    sender.sends(1, 1)
    with pytest.raises(DivergenceError, match="frame 1 came, again, where nothing was announced"):
        sender.dies()


def test_a_missing_frame_is_found(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 0.01)
    sender = Sender(gate)
    sender.announces(1)
    with pytest.raises(DivergenceError, match=r"frame 1 did not arrive within 0\.01 s"):
        gate.drain("n1", 1, ["n2"])
    with pytest.raises(DivergenceError, match="frame 1 was announced and never sent"):
        sender.dies()


def test_a_link_that_closes_before_an_expected_frame_is_found(gate: Gate) -> None:
    sender = Sender(gate)
    sender.announces(1)
    sender.socket.close()
    with pytest.raises(DivergenceError, match="the link was closed; frame 1 is still owed"):
        gate.drain("n1", 1, ["n2"])


@pytest.mark.parametrize(
    ("greeting", "complaint"),
    [
        (hello("n3", 1), "n3/1 greets on this link"),
        (hello("n1", 2), "n1/2 greets on this link"),
        (message(1), "what was sent is no frame: the handshake is malformed"),
        (b"\xfe" * 12, "what was sent is no frame: the checksum of a frame's header is wrong"),
        (hello("n1", 1) + framed(b"\xc0"), "what was sent is no frame"),
    ],
)
def test_an_unexpected_greeting_on_a_link_is_found(gate: Gate, greeting: bytes, complaint: str) -> None:
    sender = Sender(gate, greeting=greeting)
    with pytest.raises(DivergenceError, match=complaint):
        sender.dies()


# ---- nodes with a secret ---------------------------------------------------------------------------------------------

SECRET, OTHER = Secret(b"s" * 32), Secret(b"o" * 32)


class Starting:
    """n1 with a secret, while it starts: what it does runs beside the gate, which waits for its first word."""

    def __init__(self) -> None:
        self.gate = Gate(SECRET)
        self.ours, self.theirs = socket.socketpair()

    def opens_its_link(self) -> socket.socket:
        link = socket.create_connection(self.gate.addresses("n1", ["n2"])["n2"])
        challenge = reply(link)
        assert isinstance(challenge, Challenge)
        greeting = SECRET.proven(Hello(PROTOCOL_VERSION, "run", "n1", 1), "n2", challenge.nonce)
        link.sendall(encode_frame(greeting))
        welcome = reply(link)
        assert isinstance(welcome, Welcome)
        SECRET.check_welcome(welcome.proof, greeting, "n2", challenge.nonce)
        return link

    def is_up(self) -> socket.socket:
        link = self.opens_its_link()
        self.theirs.sendall(b"up")
        return link

    def while_greeted(self, does: Callable[[], socket.socket]) -> socket.socket:
        self.gate.addresses("n1", ["n2"])
        with ThreadPoolExecutor(1) as beside:
            done = beside.submit(does)
            self.gate.greet("n1", 1, ["n2"], self.ours.fileno())
            return done.result()

    def close(self) -> None:
        for one in (self.gate, self.ours, self.theirs):
            one.close()


def reply(connection: socket.socket) -> Challenge | Welcome:
    """The next frame, read to its last byte and no further."""
    length = int.from_bytes(connection.recv(LENGTH_BYTES, socket.MSG_WAITALL), "big")
    return decode_reply(connection.recv(length, socket.MSG_WAITALL)[HEADER_BYTES - LENGTH_BYTES :])


@pytest.fixture
def starting() -> Iterator[Starting]:
    one = Starting()
    yield one
    one.close()


def test_with_a_secret_frames_pass_in_the_name_of_their_sender(starting: Starting) -> None:
    gate, link = starting.gate, starting.while_greeted(starting.is_up)
    gate.came_up("n1", 1, ["n2"], 1)
    listener = socket.create_server(("127.0.0.1", 0))
    gate.came_up("n2", 1, [], listener.getsockname()[1])
    gate.announce("n1", 1, "n2", 1)
    link.sendall(message(1))

    def receives() -> tuple[Hello, list[int]]:
        connection, _ = listener.accept()
        nonce, frames = fresh_nonce(), FrameBuffer()
        connection.sendall(encode_frame(Challenge(nonce)))
        greeting = decode_hello(next(frames.feed(connection.recv(1 << 16))))
        SECRET.check_caller(greeting, "n2", nonce)
        connection.sendall(encode_frame(Welcome(SECRET.welcome(greeting, "n2", nonce))))
        with connection:
            return greeting, [decode_envelope(payload).number for payload in frames.feed(connection.recv(1 << 16))]

    with ThreadPoolExecutor(1) as beside:
        received = beside.submit(receives)
        gate.deliver("n1", 1, 1, "n2")
        greeting, delivered = received.result()
    assert (greeting.node, greeting.incarnation, delivered) == ("n1", 1, [1])
    link.close()
    listener.close()


def test_a_node_that_called_again_is_heard_on_its_last_connection(starting: Starting) -> None:
    """A node gives up on an answer that is late, as on a busy machine, even if it is on its way."""

    def does() -> socket.socket:
        starting.opens_its_link().close()
        socket.create_connection(starting.gate.addresses("n1", ["n2"])["n2"]).close()
        return starting.is_up()

    link = starting.while_greeted(does)
    starting.gate.came_up("n1", 1, ["n2"], 1)
    starting.gate.announce("n1", 1, "n2", 1)
    link.sendall(message(1))
    starting.gate.drain("n1", 1, ["n2"])
    link.close()


def test_a_node_that_dies_in_its_handshake_is_noticed_at_once(starting: Starting) -> None:
    def dies() -> socket.socket:
        link = socket.create_connection(starting.gate.addresses("n1", ["n2"])["n2"])
        assert isinstance(reply(link), Challenge)
        starting.theirs.close()
        return link

    starting.while_greeted(dies).close()


def test_a_node_that_never_opens_its_links_is_a_failure_of_the_harness(
    starting: Starting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 0.01)
    with pytest.raises(DriverError, match=r"its links were not up within 0\.01 s"):
        starting.while_greeted(lambda: starting.ours)


def test_a_node_with_another_secret_is_found(starting: Starting) -> None:
    def lies() -> socket.socket:
        with socket.create_connection(starting.gate.addresses("n1", ["n2"])["n2"]) as link:
            challenge = reply(link)
            assert isinstance(challenge, Challenge)
            link.sendall(encode_frame(OTHER.proven(Hello(PROTOCOL_VERSION, "run", "n1", 1), "n2", challenge.nonce)))
            assert link.recv(1) == b""
        return link

    with pytest.raises(DivergenceError, match="its handshake with the gate failed: the proof is wrong"):
        starting.while_greeted(lies)


def test_a_receiver_without_the_secret_is_found(starting: Starting) -> None:
    gate, link = starting.gate, starting.while_greeted(starting.is_up)
    gate.came_up("n1", 1, ["n2"], 1)
    listener = socket.create_server(("127.0.0.1", 0))
    gate.came_up("n2", 1, [], listener.getsockname()[1])
    gate.announce("n1", 1, "n2", 1)
    link.sendall(message(1))

    def lies() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(encode_frame(Challenge(fresh_nonce())) + encode_frame(Welcome(b"x" * 32)))
            assert connection.recv(1)

    with ThreadPoolExecutor(1) as beside:
        beside.submit(lies)
        with pytest.raises(DivergenceError, match="its handshake with the gate failed: the proof is wrong"):
            gate.deliver("n1", 1, 1, "n2")
    link.close()
    listener.close()
