"""One connection of the network `tcp`: raw bytes between two nodes, each direction subject to the rule of its own link.

The bytes that a sends obey link a>b and those that b sends obey link b>a, no matter who opened the connection. They
come in pieces of any size, which wait in one queue per direction while the link is cut, clogged, delayed or slow, and
keep their order. The end of a stream and the break of a connection are pieces too, and wait like all others. So a cut
is what TCP makes of it: nothing crosses, and what was sent arrives after the cut. Nothing can be lost, doubled or
reordered, since the receiver would get a broken stream.

A connection that is opened while one of its links is cut waits too, as its SYN or the answer to it would be sent again.
The opener sees an accepted connection, which no proxy can prevent; if it gives up meanwhile, the receiver never hears
of it. Bytes that the proxy has handed to the receiver's kernel before a cut have crossed already.

No queue grows without bound: when one is full, the proxy stops reading, and TCP slows the sender down.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

from raft_chaos.chaos.processes.shortage import shortage
from raft_chaos.chaos.run.live.network.rules import LinkRule
from raft_chaos.chaos.run.live.network.wire import TICK_S, ByteCounters, Wire

PIECE_BYTES = 64 * 1024
QUEUE_BYTES = 512 * 1024
"""When this much waits in one direction of a connection, the proxy stops reading from its sender."""

Ending: TypeAlias = Literal["end", "reset"]
Dialled: TypeAlias = list[tuple[socket.socket, tuple[str, int]]]
"""Sockets for a connection to the receiver, and where each is to connect to: the first that is accepted is taken. There
is none while the receiver is known to be down."""


class StreamWire(Wire):
    """One directed link of streams, and the connections that carry bytes on it."""

    counters: ByteCounters

    def __init__(self, sender: str, receiver: str, seed: int) -> None:
        super().__init__(sender, receiver, seed)
        self.counters = ByteCounters()
        self.connections: dict[StreamConnection, None] = {}
        self._free_at = 0.0

    def rule_changed(self) -> None:
        for connection in list(self.connections):
            connection.rule_changed()

    @property
    def holds(self) -> LinkRule | None:
        """The rule, if nothing may cross now."""
        return self.rule if self.rule is not None and self.rule.holds else None

    def due(self, now: float, size: int) -> float:
        """When a piece of this size that comes now has crossed the link, as far as delay and speed are concerned."""
        self.messages += 1
        rule = self.rule
        if rule is None:
            return now
        delay_us = self.fate(rule).delay_us
        self.counters.delayed += delay_us > 0
        due = now + delay_us / 1e6
        if rule.bytes_per_s:
            due = self._free_at = max(due, self._free_at) + size / rule.bytes_per_s
            self.counters.throttled += due > now + TICK_S
        return due


class _Piece:
    """What waits to go on: bytes, or how the stream ends."""

    __slots__ = ("content", "counted", "due", "is_out")

    def __init__(self, content: bytes | Ending, due: float) -> None:
        self.content = content
        self.due = due
        self.counted = False  # as held back
        self.is_out = False  # some of it has been sent, or tried to

    @property
    def size(self) -> int:
        return len(self.content) if isinstance(self.content, bytes) else 0


class _Flow:
    """One direction of a connection: from `source` to `sink`, over one link."""

    def __init__(self, wire: StreamWire, source: socket.socket, connection: StreamConnection) -> None:
        self.wire = wire
        self.ended: Ending | None = None  # how the source has ended
        self.is_through = False  # whether that has reached the sink
        self._source = source
        self._sink: socket.socket | None = None
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._queue: deque[_Piece] = deque()
        self._queued_bytes = 0
        self._last_due = 0.0
        self._reading = self._writing = False
        self._has_corrupted = False  # a piece with flipped bits has gone to the sink
        self._timer: asyncio.TimerHandle | None = None
        self._read_on()

    def open(self, sink: socket.socket) -> None:
        """The sink is connected."""
        self._sink = sink
        self.release()

    def close(self) -> None:
        if self._reading:
            self._loop.remove_reader(self._source)
        if self._writing and self._sink is not None:
            self._loop.remove_writer(self._sink)
        if self._timer is not None:
            self._timer.cancel()
        self.wire.counters.lost += sum(1 for piece in self._queue if piece.size)
        self._queue.clear()

    # ---- in ----

    def look(self) -> None:
        """Takes all that has come by now, also what the event loop has not told yet."""
        while self._reading and self.ended is None and self._readable():
            pass

    def _readable(self) -> bool:
        """Takes what has come; returns whether something has."""
        try:
            data = self._source.recv(PIECE_BYTES)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            self._connection.complain(error)
            self.take("reset")
            return True
        self.take(data or "end")
        return True

    def take(self, content: bytes | Ending) -> None:
        """Something came from the source."""
        if self.ended == "reset":
            return
        if not isinstance(content, bytes):
            self.ended = content
            self._connection.source_ended(self)
            if self._connection.is_waiting:
                self._connection.abort()  # the opener gave up before its SYN has crossed
                return
        size = len(content) if isinstance(content, bytes) else 0
        piece = _Piece(content, max(self.wire.due(self._loop.time(), size), self._last_due))
        self._last_due = piece.due
        self._queued_bytes += piece.size
        self._queue.append(piece)
        if (rule := self.wire.holds) is not None:
            self._count(piece, rule)
        self.release()

    def _read_on(self) -> None:
        """Reads while there is room and something to come."""
        wanted = self.ended is None and self._queued_bytes < QUEUE_BYTES
        if wanted == self._reading:
            return
        self._reading = wanted
        if wanted:
            self._loop.add_reader(self._source, self._readable)
        else:
            self._loop.remove_reader(self._source)

    # ---- out ----

    def rule_changed(self) -> None:
        if (rule := self.wire.holds) is not None:
            for piece in self._queue:
                self._count(piece, rule)
        self.release()

    def _count(self, piece: _Piece, rule: LinkRule) -> None:
        if not piece.counted:
            piece.counted = True
            self.wire.counters.held(rule, piece.size)

    def release(self) -> None:
        """Lets go of all that is due, unless the link holds it, and waits for the right moment to go on."""
        full = self._sink is not None and not self._pass_on(self._sink)
        if self._connection.is_closed:
            return
        self._write_on(full)
        self._read_on()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._queue and self._sink is not None and not full and self.wire.holds is None:
            self._timer = self._loop.call_at(self._queue[0].due, self.release)

    def _pass_on(self, sink: socket.socket) -> bool:
        """Sends the pieces that are due; returns whether the sink had room for them."""
        now = self._loop.time() + TICK_S
        while self._queue and self._queue[0].due <= now and self.wire.holds is None:
            piece = self._queue[0]
            if not isinstance(piece.content, bytes):
                self._end(sink, piece.content)
            elif not self._send(sink, piece, piece.content):
                return False
            if self._queue:  # it is empty if the connection has broken
                self._queue.popleft()
        return True

    def _send(self, sink: socket.socket, piece: _Piece, content: bytes) -> bool:
        """Sends as much of the piece as the sink takes; returns whether that was all."""
        if not piece.is_out:
            piece.is_out = True
            crossed = self.wire.crossed(content)
            self._has_corrupted |= crossed is not content
            piece.content = content = crossed
        try:
            sent = sink.send(content)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            self._connection.complain(error)
            self._connection.broken(self)
            return True
        counters = self.wire.counters
        counters.forwarded_bytes += sent
        self._queued_bytes -= sent
        if sent < len(content):
            piece.content = content[sent:]
            return False
        counters.forwarded += 1
        return True

    def _end(self, sink: socket.socket, how: Ending) -> None:
        if how == "reset":
            self._connection.abort()
            return
        try:
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the sink is gone, which reading from it will show
        self.is_through = True
        self._connection.ended()

    def sink_ended(self) -> None:
        """The sink has ended the connection."""
        self.wire.ended_by_receiver(corrupted=self._has_corrupted)
        self._has_corrupted = False

    def drop(self) -> None:
        """The sink takes nothing any more: neither does this direction, and what waits is lost."""
        self.ended = "reset"
        self.wire.counters.lost += sum(1 for piece in self._queue if piece.size)
        self._queue.clear()
        self._queued_bytes = 0
        self._read_on()

    def _write_on(self, wanted: bool) -> None:
        """Has `release` called when the sink takes more, if it is full."""
        if wanted == self._writing or self._sink is None:
            return
        self._writing = wanted
        if wanted:
            self._loop.add_writer(self._sink, self.release)
        else:
            self._loop.remove_writer(self._sink)


class StreamConnection:
    """A connection that one node has opened, and the one on to its receiver.

    `failed` is called with an error that the nodes have no part in: the proxy itself ran out of something. `refused` is
    called when the receiver does not accept.
    """

    def __init__(
        self,
        there: StreamWire,
        back: StreamWire,
        opener: socket.socket,
        dial: Callable[[], Dialled],
        failed: Callable[[BaseException], None],
        refused: Callable[[], None] = lambda: None,
    ) -> None:
        self._there, self._back = there, back
        self._opener = opener
        self._receiver: socket.socket | None = None
        self._dial = dial
        self._failed = failed
        self._refused = refused
        self._dialling: asyncio.Task[Any] | None = None
        self._counted = False
        self.is_closed = False
        self.is_waiting = False
        """Whether it has not been opened yet because a link is cut or clogged."""
        for wire in (there, back):
            wire.connections[self] = None
        _prepare(opener)
        self._flows = [_Flow(there, opener, self)]
        self._open()

    def rule_changed(self) -> None:
        if self._receiver is None and self._dialling is None:
            self._flows[0].look()  # an opener that has given up since must not reach the receiver
            if not self.is_closed:
                self._open()
        for flow in self._flows:
            if not self.is_closed:
                flow.rule_changed()

    def _open(self) -> None:
        """Connects on to the receiver, unless a link keeps the request or its answer."""
        held = next((wire for wire in (self._there, self._back) if wire.holds is not None), None)
        self.is_waiting = held is not None
        if held is None:
            self._dialling = asyncio.get_running_loop().create_task(self._connect())
        elif not self._counted and (rule := held.holds) is not None:
            self._counted = True
            held.counters.held(rule, 0)

    async def _connect(self) -> None:
        receiver = await reach(self._dial, self.complain)
        if receiver is None:
            self._refused()
            self.abort()
            return
        if self.is_closed:
            receiver.close()
            return
        self._receiver = receiver
        self._flows.append(_Flow(self._back, receiver, self))
        self._flows[1].open(self._opener)
        self._flows[0].open(receiver)

    def complain(self, error: OSError) -> None:
        """A connection may end in any way. The proxy itself must not run out of anything."""
        if shortage(error):
            self._failed(error)

    def source_ended(self, flow: _Flow) -> None:
        """The node from which this direction comes has ended; the other direction flows into that node."""
        for other in self._flows:
            if other is not flow:
                other.sink_ended()

    def broken(self, flow: _Flow) -> None:
        """The sink of this direction has broken the connection: the news take the other direction."""
        flow.sink_ended()
        flow.drop()
        other = next((one for one in self._flows if one is not flow), None)
        if other is not None:
            other.take("reset")

    def ended(self) -> None:
        """One direction has ended. When both have, the connection is over."""
        if len(self._flows) == 2 and all(flow.is_through for flow in self._flows):
            self._close()

    def abort(self) -> None:
        """Breaks the connection on both sides, at once."""
        for one in (self._opener, self._receiver):
            if one is not None and not self.is_closed:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        self._close()

    def _close(self) -> None:
        if self.is_closed:
            return
        self.is_closed = True
        for flow in self._flows:
            flow.close()
        for wire in (self._there, self._back):
            del wire.connections[self]
        self._opener.close()
        if self._receiver is not None:
            self._receiver.close()


async def reach(dial: Callable[[], Dialled], complain: Callable[[OSError], None]) -> socket.socket | None:
    """A socket that is connected to the receiver; None if that does not accept. `complain` is told of each error."""
    reached = None
    try:
        for one, address in dial():
            try:
                if reached is None:
                    _prepare(one)
                    await asyncio.get_running_loop().sock_connect(one, address)
                    reached = one
            except OSError as error:
                complain(error)
            if one is not reached:
                one.close()
    except OSError as error:  # no socket could be made
        complain(error)
    return reached


def _prepare(connection: socket.socket) -> None:
    connection.setblocking(False)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


_AT_ONCE = struct.pack("ii", 1, 0)
"""Lingers for no time: closing sends a reset."""
