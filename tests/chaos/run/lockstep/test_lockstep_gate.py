"""The gate, with plain sockets in the place of nodes: what was announced passes when told to, nothing else does."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from raft_chaos.chaos.run.lockstep import gate as module
from raft_chaos.chaos.run.lockstep.gate import DivergenceError, Gate
from raft_chaos.raft.network.codec import (
    PROTOCOL_VERSION,
    Envelope,
    FrameBuffer,
    Hello,
    decode_envelope,
    decode_hello,
    encode_frame,
)
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
        return decode_hello(greeting[4:]), connection

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
        (b"\xff" * 8, "what was sent is no frame: a frame of 4294967295 bytes was announced"),
        (hello("n1", 1) + b"\x00\x00\x00\x01\xc0", "what was sent is no frame"),
    ],
)
def test_an_unexpected_greeting_on_a_link_is_found(gate: Gate, greeting: bytes, complaint: str) -> None:
    sender = Sender(gate, greeting=greeting)
    with pytest.raises(DivergenceError, match=complaint):
        sender.dies()
