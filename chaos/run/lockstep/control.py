"""The messages between the scheduler and a node's process: one order, then one answer, and so on.

Both ends of a socket pair carry messages of four bytes of length (big-endian) and a msgpack payload. The scheduler
waits for the answer to each order before it sends the next, so at most one message is under way, and both ends need
only a blocking read. The frames between nodes do not pass here, only their numbers.
"""

from __future__ import annotations

import os
import select
import socket
from multiprocessing.connection import Connection
from typing import TypeAlias

import msgspec

from raft_chaos.chaos.faults.process import Failpoint
from raft_chaos.chaos.run.nodes.step import StepConfig
from raft_chaos.raft.replica.command import Read
from raft_chaos.raft.replica.output import Reply
from raft_chaos.raft.storage.failing import Failing

READ_AT_ONCE = 1 << 16
LENGTH_BYTES = 4


class NodeSetup(msgspec.Struct, frozen=True):
    """The start parameters of a process. `links` are the gate's addresses of its links to peers; `now_us` is the time
    of its recovery."""

    config: StepConfig
    links: dict[str, tuple[str, int]]
    data_dir: str
    events_file: str
    journal_file: str
    mutant: str | None
    now_us: int
    secret_file: str | None = None


# ---- orders: the inputs of `SteppedNode` ---------------------------------------------------------------------------


class Receive(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="receive"):
    """The frame (sender, sender_inc, number) is delivered on its link; the message itself comes over the wire. Bits of
    a `corrupted` frame have flipped, so the node is expected to refuse it."""

    sender: str
    sender_inc: int
    number: int
    now_us: int
    failpoint: Failpoint | None
    corrupted: bool


class Tick(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="tick"):
    now_us: int
    failpoint: Failpoint | None


class Persisted(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="persisted"):
    """The real disk now syncs the write that ended with record `lsn`."""

    lsn: int
    now_us: int
    failpoint: Failpoint | None


class Submit(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="submit"):
    token: int
    command: bytes
    now_us: int
    failpoint: Failpoint | None


class AskRead(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="read"):
    token: int
    read: Read
    now_us: int
    failpoint: Failpoint | None


class AskTransfer(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="transfer"):
    target: str | None
    now_us: int
    failpoint: Failpoint | None


class ChangeClock(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="clock"):
    now_us: int
    rate_ppm: int
    jump_us: int


class Crash(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="crash"):
    """How much of the unsynced bytes goes to the file, as in `SteppedNode`; then the process is killed."""

    keep_permille: int
    keep_bytes: int | None
    holes: int


class BreakDisk(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="break_disk"):
    """From now on the disk fails at this, or at nothing."""

    failing: Failing | None


class Stop(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="stop"):
    """The node completes its write under way, and ends once its controller closes the connection."""


Order: TypeAlias = Receive | Tick | Persisted | Submit | AskRead | AskTransfer | ChangeClock | Crash | BreakDisk | Stop


# ---- answers --------------------------------------------------------------------------------------------------------


class Report(msgspec.Struct, frozen=True, array_like=True, tag="report"):
    """The result of a step, as in `StepReport`: `lines` are its events as in the file, `sends` (to, number)."""

    lines: bytes
    sends: list[tuple[str, int]]
    write_lsn: int
    replies: list[Reply]
    deadline_us: int
    accepted: bool
    leader: str | None
    stopped: bool
    stale: bool


class Refused(msgspec.Struct, frozen=True, array_like=True, tag="refused"):
    """It has refused a corrupted frame, and closed the connection."""


class Up(msgspec.Struct, frozen=True, array_like=True, tag="up"):
    """It has recovered, listens on `raft_port`, and all its links are up."""

    raft_port: int
    report: Report


class ClockChanged(msgspec.Struct, frozen=True, array_like=True, tag="clock_changed"):
    deadline_us: int


class DiskBroken(msgspec.Struct, frozen=True, array_like=True, tag="disk_broken"):
    """How often the disk failed so far."""

    failed: int


class Crashed(msgspec.Struct, frozen=True, array_like=True, tag="crashed"):
    """How many of its unsynced bytes are in the file, and how many are lost; the process waits to be killed."""

    kept: int
    lost: int


class Stopped(msgspec.Struct, frozen=True, array_like=True, tag="stopped"):
    """The node has completed its write, and takes no more orders."""


class Interrupted(msgspec.Struct, frozen=True, array_like=True, tag="interrupted"):
    """The start of the node is interrupted as it was to be; the process waits to be killed."""


class Died(msgspec.Struct, frozen=True, array_like=True, tag="died"):
    """The process ends by an error of its own, with this exit code."""

    exit_code: int
    said: str


class Diverged(msgspec.Struct, frozen=True, array_like=True, tag="diverged"):
    """A frame came over the wire that nobody announced."""

    what: str


Answer: TypeAlias = (
    Report | Refused | Up | ClockChanged | DiskBroken | Crashed | Stopped | Interrupted | Died | Diverged
)

encode = msgspec.msgpack.Encoder().encode
decode_order = msgspec.msgpack.Decoder(Order).decode
decode_answer = msgspec.msgpack.Decoder(Answer).decode


class Channel:
    """One end of the connection. With a `patience`, a read that takes longer raises TimeoutError."""

    def __init__(self, connection: Connection, patience_s: float | None = None) -> None:
        # A socket of our own on the same pair reads a message in one call; the connection needs two.
        self._socket = socket.socket(fileno=os.dup(connection.fileno()))
        self._socket.settimeout(patience_s)
        connection.close()

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, message: Order | Answer) -> None:
        payload = encode(message)
        rest = memoryview(len(payload).to_bytes(LENGTH_BYTES, "big") + payload)
        while rest:
            try:
                rest = rest[self._socket.send(rest) :]
            except BlockingIOError:
                self._wait(select.POLLOUT)

    def receive(self, *, waits: bool = True) -> bytes | None:
        """The next message's payload; None if the other end is gone. If it is not to wait and no message has come,
        raises BlockingIOError."""
        data = self._read(waits=waits)
        while data is not None and len(data) < LENGTH_BYTES:
            data = self._more(data, LENGTH_BYTES)
        if data is None:
            return None
        end = LENGTH_BYTES + int.from_bytes(data[:LENGTH_BYTES], "big")
        if len(data) < end and (data := self._more(data, end)) is None:
            return None
        return data[LENGTH_BYTES:]

    def close(self) -> None:
        self._socket.close()

    def _read(self, *, waits: bool = True) -> bytes | None:
        while True:
            try:
                return self._socket.recv(READ_AT_ONCE) or None
            except BlockingIOError:
                if not waits:
                    raise
                self._wait(select.POLLIN)
            except ConnectionResetError:
                return None

    def _wait(self, event: int) -> None:
        """Waits until the socket is ready: an event loop that watches it makes it non-blocking."""
        poll = select.poll()
        poll.register(self._socket, event)
        poll.poll()

    def _more(self, data: bytes, size: int) -> bytes | None:
        parts, length = [data], len(data)
        while length < size:
            part = self._read()
            if part is None:
                return None
            parts.append(part)
            length += len(part)
        return b"".join(parts)
