"""The gate: receives every frame between nodes, and passes it on when the scheduler delivers it, if it ever does.

Each directed link has a listening socket, which accepts one connection of each incarnation of the sender, whether the
receiver is up or not. The gate keeps each frame under the sender's incarnation and the frame's number. To deliver a
frame, it writes the frame's bytes on a connection to the receiver, opened with the handshake of the sending
incarnation. For a frame of another incarnation it opens a new one, since a node limits the connections of each peer. It
writes a duplicated frame twice, and never writes a lost one. It changes no byte, unless a fault flips bits: then the
receiver refuses the frame and closes the connection, which the gate waits to see.

The handshake of nodes without a secret is one frame, the Hello, which the gate sends again. With a secret, the gate
knows it and proves it to both nodes (`handshakes`); so it is no different from a network that carries the frames.

A sender announces the frames of a step in its report. The gate reads links only between steps, so every frame that it
can read has been announced, in this order. Anything else is a divergence: a frame that nobody announced, one that comes
twice, one that never comes. The gate reads a link when the scheduler needs a frame of it, and to its end when the
sender is gone, so it misses none of these. No loop or thread reads ahead: reads block, with a timeout.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Sequence

import msgspec

from raft_chaos.chaos.faults.corrupt import flipped
from raft_chaos.chaos.run.lockstep import handshakes
from raft_chaos.chaos.run.nodes.driver import DriverError
from raft_chaos.invariants.events import MALFORMED
from raft_chaos.raft.network.codec import FrameBuffer, FrameError, Hello, decode_hello, encode_frame, framed
from raft_chaos.raft.network.handshake import Secret

PATIENCE_S = 20.0
"""The timeout for everything real that the scheduler waits for; only an error of the harness or a node reaches it."""

READ_AT_ONCE = 1 << 16
HOST = "127.0.0.1"

_decode_number = msgspec.msgpack.Decoder(tuple[int, msgspec.Raw]).decode


class DivergenceError(DriverError):
    """A real process did what a simulated one cannot do. The message says which, what was expected, what was seen."""


class _Wire:
    """What one incarnation sends on one of its links: announced frames that are owed, and frames that are here.

    `hello` is the sender's handshake, if it is over already; otherwise it is the first frame.
    """

    def __init__(
        self, sender: str, sender_inc: int, to: str, connection: socket.socket, hello: Hello | None = None
    ) -> None:
        self.name = f"{sender}/{sender_inc} > {to}"
        self.hello: Hello | None = None
        self._who = (sender, sender_inc)
        self._connection = connection
        self._buffer = FrameBuffer()
        self._owed: deque[int] = deque()
        self._held: dict[int, bytes] = {}
        if hello is not None:
            self._greet(hello)

    def announce(self, number: int) -> None:
        self._owed.append(number)

    def frame(self, number: int) -> bytes:
        """Waits for the frame and returns it."""
        while number not in self._held:
            self._read_owed(f"frame {number}")
        return self._held[number]

    def drain(self) -> None:
        """Waits for all frames that are owed."""
        while self._owed or not self.hello:
            self._read_owed(f"frame {self._owed[0]}" if self._owed else "the handshake")

    def finish(self) -> None:
        """The sender is gone: reads the rest of what it wrote, which must all be announced."""
        while self._read():
            pass
        self.close()
        if self._owed:
            raise DivergenceError(f"{self.name}: frame {self._owed[0]} was announced and never sent")

    def close(self) -> None:
        self._connection.close()

    def _read_owed(self, what: str) -> None:
        try:
            if not self._read():
                raise DivergenceError(f"{self.name}: the link was closed; {what} is still owed")
        except TimeoutError:
            raise DivergenceError(f"{self.name}: {what} did not arrive within {PATIENCE_S:g} s") from None

    def _read(self) -> bool:
        """Reads what has arrived; False at the end of the connection."""
        data = self._connection.recv(READ_AT_ONCE)
        try:
            for payload in self._buffer.feed(data):
                self._take(payload)
        except (FrameError, *MALFORMED) as error:
            raise DivergenceError(f"{self.name}: what was sent is no frame: {error}") from None
        return bool(data)

    def _take(self, payload: bytes) -> None:
        if self.hello is None:
            self._greet(decode_hello(payload))
            return
        number, _ = _decode_number(payload)
        if not self._owed or self._owed[0] != number:
            expected = f"frame {self._owed[0]}" if self._owed else "nothing"
            again = "again, " if number in self._held else ""
            raise DivergenceError(f"{self.name}: frame {number} came, {again}where {expected} was announced")
        self._owed.popleft()
        self._held[number] = framed(payload)

    def _greet(self, hello: Hello) -> None:
        if (hello.node, hello.incarnation) != self._who:
            raise DivergenceError(f"{self.name}: {hello.node}/{hello.incarnation} greets on this link")
        self.hello = hello


class Gate:
    """All links of a run, whose nodes may share a secret. Raises DivergenceError, or OSError for an error of the
    machine."""

    def __init__(self, secret: Secret | None = None) -> None:
        self._secret = secret
        self._listeners: dict[tuple[str, str], socket.socket] = {}
        self._wires: dict[tuple[str, int, str], _Wire] = {}
        self._routes: dict[tuple[str, str], tuple[int, socket.socket]] = {}  # and the incarnation of the sender
        self._ports: dict[str, int] = {}

    def addresses(self, sender: str, peers: list[str]) -> dict[str, tuple[str, int]]:
        """The addresses at which `sender` reaches its peers; the same for each incarnation."""
        for peer in peers:
            if (sender, peer) not in self._listeners:
                self._listeners[sender, peer] = listener = socket.create_server((HOST, 0))
                listener.settimeout(PATIENCE_S)
        return {peer: (HOST, self._listeners[sender, peer].getsockname()[1]) for peer in peers}

    def greet(self, node: str, incarnation: int, peers: list[str], control: int) -> None:
        """If the nodes have a secret, answers the node's handshakes until it says something on `control`, or is gone.

        It reports that it is up only once all its links are.
        """
        if self._secret is None:
            return
        try:
            greeted = handshakes.receive(
                {peer: self._listeners[node, peer] for peer in peers}, self._secret, control, PATIENCE_S
            )
        except FrameError as error:
            raise DivergenceError(f"its handshake with the gate failed: {error}") from None
        except TimeoutError:
            raise DriverError(f"its links were not up within {PATIENCE_S:g} s; see its stderr.log") from None
        for peer, (connection, hello) in greeted.items():
            self._wires[node, incarnation, peer] = self._wire(node, incarnation, peer, connection, hello)

    def came_up(self, node: str, incarnation: int, peers: list[str], raft_port: int) -> None:
        """The incarnation has opened all its links, and accepts frames on `raft_port`."""
        for peer in peers:
            if (node, incarnation, peer) not in self._wires:
                connection, _ = self._listeners[node, peer].accept()
                self._wires[node, incarnation, peer] = self._wire(node, incarnation, peer, connection, None)
        self._ports[node] = raft_port

    def announce(self, sender: str, sender_inc: int, to: str, number: int) -> None:
        """A step's report says that this frame has been sent."""
        self._wires[sender, sender_inc, to].announce(number)

    def deliver(self, sender: str, sender_inc: int, number: int, to: str, flips: Sequence[float] = ()) -> None:
        """Writes the frame to the receiver, which is up, with flipped bits at these places; waits for the frame if it
        is not here yet."""
        wire = self._wires[sender, sender_inc, to]
        frame = wire.frame(number)
        incarnation, route = self._routes.get((sender, to), (None, None))
        if route is None or incarnation != sender_inc:
            if route is not None:
                route.close()
            assert wire.hello is not None, "it is the first frame of the sender"
            self._routes[sender, to] = (sender_inc, route := self._open(wire.hello, to))
        route.sendall(flipped(frame, flips) if flips else frame)

    def refused(self, sender: str, to: str) -> None:
        """The receiver says that it has refused a frame, so it must have closed the connection."""
        _, route = self._routes.pop((sender, to))
        with route:
            try:
                is_closed = not route.recv(1)
            except ConnectionError:
                is_closed = True
            except TimeoutError:
                is_closed = False
        if not is_closed:
            raise DivergenceError(f"{to} refused a frame of {sender}, and kept the connection")

    def drain(self, node: str, incarnation: int, peers: list[str]) -> None:
        """Waits for all frames that the node has announced; after that it may be killed."""
        for peer in peers:
            self._wires[node, incarnation, peer].drain()

    def went_down(self, node: str, incarnation: int, peers: list[str]) -> None:
        """The process is gone. The frames that it sent may still be delivered; no frame can be delivered to it."""
        self._ports.pop(node, None)
        for name in [name for name in self._routes if name[1] == node]:
            self._routes.pop(name)[1].close()
        for peer in peers:
            self._wires[node, incarnation, peer].finish()

    def close(self) -> None:
        """Closes every socket."""
        for wire in self._wires.values():
            wire.close()
        for one in (*(route for _, route in self._routes.values()), *self._listeners.values()):
            one.close()

    def _open(self, hello: Hello, to: str) -> socket.socket:
        """A connection to the node, after the handshake. Raises ConnectionError if the node is gone."""
        route = socket.create_connection((HOST, self._ports[to]), PATIENCE_S)
        route.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if self._secret is None:
                route.sendall(encode_frame(hello))
            else:
                handshakes.call(route, hello, to, self._secret)
        except FrameError as error:
            route.close()
            raise DivergenceError(f"its handshake with the gate failed: {error}") from None
        except OSError:
            route.close()
            raise
        return route

    @staticmethod
    def _wire(sender: str, sender_inc: int, to: str, connection: socket.socket, hello: Hello | None) -> _Wire:
        connection.settimeout(PATIENCE_S)
        return _Wire(sender, sender_inc, to, connection, hello)
