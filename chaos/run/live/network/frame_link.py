"""Connections through the fault proxy of the network `frames`, whose frames are subject to the rules of their links.

A frame is four bytes of length (big-endian), then the payload. What the sender sends, who opened the connection, is of
the link sender>receiver; what the receiver answers is of the link receiver>sender. The first frame of the sender, and
all that comes back before its second, are the handshake, and always pass; every later one is a message, numbered on its
link since the proxy began. When one side ends, the link closes the other one, and delayed frames are lost with the
connection; the sender then reconnects, as it does after any reset. So it goes where bits of a frame flip: they do so
last, as the frame leaves the proxy, and the receiver that notices closes the connection.

Frames keep their order unless a draw says otherwise (`wire`). A cut drops every message, also delayed ones that come
due during the cut. Without a rule the link parses only lengths, and forwards a buffer whole.

A connection whose first bytes are no length of a frame carries something else. If it were closed in silence, that would
look like a cut that no schedule asked for: so it is reported, with the network that suits such a system.

With TLS, each of the two connections has its own: the link shows the sender the receiver's certificate, and the
receiver the sender's. So it sees the frames, and everything above holds.

No buffer grows without bound: while one side does not read, or too much is delayed, the proxy stops reading from the
other, and TCP's flow control slows that down.
"""

from __future__ import annotations

import asyncio
import heapq
import struct
from collections.abc import Callable
from typing import Any, cast

from raft_chaos.chaos.processes.shortage import HarnessError, shortage
from raft_chaos.chaos.run.live.network.wire import TICK_S, UNHARMED, Wire
from raft_chaos.raft.network.tls import Tls

MAX_FRAME = 8 * 1024 * 1024 + 64 * 1024
"""Longest payload (bytes) that the proxy accepts; a longer one means that the stream does not consist of frames."""

DELAYED_BYTES_MAX = 4 * 1024 * 1024


class FrameWire(Wire):
    """A link of frames; with TLS, it has that of both nodes."""

    def __init__(self, sender: str, receiver: str, seed: int) -> None:
        super().__init__(sender, receiver, seed)
        self.receiver = receiver
        self.sender_tls: Tls | None = None
        self.receiver_tls: Tls | None = None


class _Flow:
    """The frames of one direction of a connection. `answers` is the other direction, if the receiver sends this one."""

    def __init__(self, wire: FrameWire, max_frame: int, answers: _Flow | None = None) -> None:
        self.wire = wire
        self.frames = 0
        """How many have begun to pass."""
        self._max_frame = max_frame
        self._answers = answers
        self._loop = asyncio.get_running_loop()
        self._source: asyncio.Transport | None = None
        self._sink: asyncio.Transport | None = None
        self._pending = bytearray()  # the beginning of a frame, not forwarded yet
        self._passing = 0  # bytes still to come of a frame whose beginning has been forwarded
        self._delayed: list[tuple[float, int, bytes]] = []  # a heap: due (s), position in the order of arrival, frame
        self._delayed_bytes = 0
        self._arrivals = 0
        self._in_order_until = 0.0  # when the last of the frames that keep their order is due
        self._timer: asyncio.TimerHandle | None = None
        self._full = False
        self._paused = False
        self._has_corrupted = False  # a frame with flipped bits has gone to the sink

    def comes_from(self, source: asyncio.Transport) -> None:
        self._source = source

    def open(self, sink: asyncio.Transport) -> None:
        """The other side is there: forwards the frames that have come so far. Raises _NoFrameError."""
        self._sink = sink
        self._throttle()
        self.take(b"")

    def close(self) -> None:
        """Delayed frames are lost."""
        if self._timer is not None:
            self._timer.cancel()
        self.wire.counters.lost += len(self._delayed)
        self._delayed.clear()

    def sink_ended(self) -> None:
        """The sink has closed the connection."""
        self.wire.ended_by_receiver(corrupted=self._has_corrupted)

    # ---- frames ----

    def take(self, data: bytes) -> None:
        """Some bytes have come. Raises _NoFrameError if they are no frames."""
        buffer: bytes | bytearray = data
        if self._pending:
            self._pending += data
            buffer, self._pending = self._pending, bytearray()
        if self._sink is None:
            self._pending = bytearray(buffer)
            self._throttle()
            return
        if self.wire.rule is None and not self._delayed:
            taken = self._forward_whole(buffer)
        else:
            taken = self._take_messages(buffer)
        if taken < len(buffer):
            # A long frame arrives in many pieces: growing one buffer keeps that linear.
            self._pending = buffer if isinstance(buffer, bytearray) else bytearray(buffer)
            del self._pending[:taken]

    def _of_handshake(self, frames: int) -> int:
        """How many of the next `frames` belong to the handshake."""
        if self._answers is None:
            return 1 if frames and not self.frames else 0
        return frames if self._answers.frames < 2 else 0

    def _forward_whole(self, buffer: bytes | bytearray) -> int:
        """Forwards all but an incomplete length at the end; returns the number of forwarded bytes."""
        position, begun = self._passing, 0
        while (following := self._frame_end(buffer, position)) is not None:
            position = following
            begun += 1
        self._passing = max(0, position - len(buffer))
        position -= self._passing
        messages = begun - self._of_handshake(begun)
        self.frames += begun
        self.wire.messages += messages
        self.wire.counters.forwarded += messages
        self._write(buffer if position == len(buffer) else buffer[:position])
        return position

    def _take_messages(self, buffer: bytes | bytearray) -> int:
        """Handles each whole frame; returns the number of their bytes."""
        position = min(self._passing, len(buffer))
        self._passing -= position
        if position:
            self._write(buffer[:position])
        while (following := self._frame_end(buffer, position)) is not None and following <= len(buffer):
            frame = bytes(buffer[position:following])
            position = following
            if self._of_handshake(1):
                self._write(frame)
            else:
                self._message(frame)
            self.frames += 1
        self._release()
        return position

    def _frame_end(self, buffer: bytes | bytearray, position: int) -> int | None:
        """Where the frame at `position` ends, which may be beyond the buffer; None without its whole length."""
        if position + _LENGTH.size > len(buffer):
            return None
        (length,) = _LENGTH.unpack_from(buffer, position)
        if length > self._max_frame:
            raise _NoFrameError(bytes(buffer[position : position + 16]))
        return position + _LENGTH.size + int(length)

    def _write(self, data: bytes | bytearray) -> None:
        assert self._sink is not None, "nothing is taken before the other side is there"
        self._sink.write(data)

    def _message(self, frame: bytes) -> None:
        """Decides what happens to one message."""
        wire, counters, rule = self.wire, self.wire.counters, self.wire.rule
        wire.messages += 1
        if rule is not None and rule.cut:
            counters.cut += 1
            return
        fate = UNHARMED if rule is None else wire.fate(rule)
        if fate.lost:
            counters.lost += 1
            return
        counters.delayed += fate.delay_us > 0
        due = self._loop.time() + fate.delay_us / 1e6
        if fate.reordered:
            counters.reordered += 1
        else:
            due = self._in_order_until = max(due, self._in_order_until)
        self._hold(frame, due)
        if fate.copy_after_us is not None:
            counters.duplicated += 1
            self._hold(frame, due + fate.copy_after_us / 1e6)

    # ---- delayed frames ----

    def _hold(self, frame: bytes, due: float) -> None:
        self._arrivals += 1
        self._delayed_bytes += len(frame)
        heapq.heappush(self._delayed, (due, self._arrivals, frame))

    def _release(self) -> None:
        """Forwards what is due, unless the link is cut by now, and sets the timer for the next."""
        wire, now = self.wire, self._loop.time() + TICK_S
        while self._delayed and self._delayed[0][0] <= now:
            _, _, frame = heapq.heappop(self._delayed)
            self._delayed_bytes -= len(frame)
            if wire.rule is not None and wire.rule.cut:
                wire.counters.cut += 1
            else:
                wire.counters.forwarded += 1
                crossed = wire.crossed(frame)
                self._has_corrupted |= crossed is not frame
                self._write(crossed)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._delayed:
            self._timer = self._loop.call_at(self._delayed[0][0], self._release)
        self._throttle()

    # ---- backpressure ----

    def fill(self, full: bool) -> None:
        """The sink takes nothing more for now (`full`), or takes more again."""
        self._full = full
        self._throttle()

    def _throttle(self) -> None:
        """Reads from the source only while there is room for what it sends."""
        pause = self._sink is None or self._full or self._delayed_bytes > DELAYED_BYTES_MAX
        if pause == self._paused or self._source is None or self._source.is_closing():
            return
        self._paused = pause
        if pause:
            self._source.pause_reading()
        else:
            self._source.resume_reading()


class Downstream(asyncio.Protocol):
    """One connection from a sender, and the connection on to its receiver: the frames between them.

    `failed` is called with an error that the nodes have no part in: the proxy itself ran out of something.
    """

    def __init__(
        self,
        wire: FrameWire,
        back: FrameWire,
        failed: Callable[[BaseException], None],
        max_frame: int = MAX_FRAME,
    ) -> None:
        self._wire = wire
        self._failed = failed
        self._there = _Flow(wire, max_frame)
        self._back = _Flow(back, max_frame, answers=self._there)
        self._transport: asyncio.Transport
        self._upstream: asyncio.Transport | None = None
        self._is_over = False

    # ---- beginning and end ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._there.comes_from(self._transport)
        if self._wire.target is None:
            self._transport.abort()
            return
        self._connecting = asyncio.get_running_loop().create_task(self._connect(self._wire.target))

    async def _connect(self, port: int) -> None:
        upstream: asyncio.Protocol = _Upstream(self)
        if self._wire.sender_tls is not None:
            upstream = self._wire.sender_tls.calls(upstream, self._wire.receiver)
        try:
            await asyncio.get_running_loop().create_connection(lambda: upstream, "127.0.0.1", port)
        except OSError as error:
            self._transport.abort()
            if shortage(error):
                self._failed(error)

    def connected(self, upstream: asyncio.Transport) -> None:
        """The receiver has accepted."""
        self._upstream = upstream
        if self._transport.is_closing():
            upstream.abort()
            return
        self._back.comes_from(upstream)
        self._pass(self._there, self._there.open, upstream)
        self._pass(self._back, self._back.open, self._transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended(self._back, exc)

    def upstream_lost(self, exc: Exception | None) -> None:
        self.ended(self._there, exc)

    def ended(self, flow: _Flow, error: Exception | None) -> None:
        """One of the two connections is gone: the one into which this direction flows."""
        if not self._is_over:
            flow.sink_ended()
        if error is not None and shortage(error):
            self._failed(error)
        self.end()

    def end(self) -> None:
        """Either side has ended. Written bytes still go out; delayed frames are lost."""
        self._is_over = True
        self._there.close()
        self._back.close()
        if self._upstream is not None:
            self._upstream.close()
        self._transport.close()

    # ---- bytes ----

    def data_received(self, data: bytes) -> None:
        self._pass(self._there, self._there.take, data)

    def backwards(self, data: bytes) -> None:
        """Bytes from the receiver."""
        self._pass(self._back, self._back.take, data)

    def _pass(self, flow: _Flow, act: Callable[[Any], None], given: Any) -> None:
        """Ends the connection if this side sends something else than frames, and reports that if it always did."""
        try:
            act(given)
        except _NoFrameError as error:
            if not flow.frames:
                self._failed(HarnessError(no_frames(flow.wire.name, error.beginning)))
            self.end()

    # ---- backpressure ----

    def pause_writing(self) -> None:
        self._back.fill(True)

    def resume_writing(self) -> None:
        self._back.fill(False)

    def fill(self, full: bool) -> None:
        """The receiver reads too slowly (`full`), or reads fast enough again."""
        self._there.fill(full)


def accepted_by(
    wire: FrameWire, back: FrameWire, failed: Callable[[BaseException], None], max_frame: int = MAX_FRAME
) -> asyncio.Protocol:
    """The protocol of a connection that the sender has opened; `back` is the link of what comes back."""
    downstream = Downstream(wire, back, failed, max_frame)
    return downstream if wire.receiver_tls is None else wire.receiver_tls.accepts(downstream)


class _Upstream(asyncio.Protocol):
    """The connection on to the receiver; passes all its events to its downstream."""

    def __init__(self, downstream: Downstream) -> None:
        self._downstream = downstream

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._downstream.connected(cast(asyncio.Transport, transport))

    def data_received(self, data: bytes) -> None:
        self._downstream.backwards(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._downstream.upstream_lost(exc)

    def pause_writing(self) -> None:
        self._downstream.fill(True)

    def resume_writing(self) -> None:
        self._downstream.fill(False)


class _NoFrameError(Exception):
    """These bytes are no length of a frame that could be."""

    def __init__(self, beginning: bytes) -> None:
        super().__init__(beginning)
        self.beginning = beginning


BEGINNINGS = {
    b"\x16\x03": "TLS",
    b"PRI ": "HTTP/2",
    **{f"{method} ".encode(): "HTTP" for method in ("GET", "PUT", "POST", "HEAD", "PATCH", "DELETE", "OPTIONS")},
}


def no_frames(link: str, beginning: bytes) -> str:
    """What to tell the user about a connection on this link that begins with these bytes."""
    found = next((name for bytes_, name in BEGINNINGS.items() if beginning.startswith(bytes_)), None)
    return (
        f"a connection on link {link} carries no frames, which the network 'frames' needs (four big-endian bytes "
        f"of length, then the payload): it begins with {beginning!r}{f', which is {found}' if found else ''}. Choose "
        "the network 'tcp', or 'netns' if the addresses of the nodes are their identity"
    )


_LENGTH = struct.Struct(">I")
