"""The live host of a replica: the real clock, TCP links and a real disk.

Every input (a message, the timer, a client's command, a completed sync) goes into the replica, and one `advance`
follows for all inputs of the same turn of the event loop. This batches entries and syncs under load. A turn:

    1. take      give each input to the replica when it comes
    2. advance   and number the messages, so that they can be reported
    3. journal   the inputs and a digest of the output, before any effect of the turn is visible
    4. report    what was received, what the replica reports, what is sent: in one write
    5. carry out send, start writing, answer, set the timer

The replica lives by the node's own clock (`node_clock`); reports and the journal's turns have the machine's time. While
the clock is wrong each input is a turn of its own, so that a turn has one time.

An error in the replica ends the node: it journals and reports the inputs up to the error, and nothing else.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

from raft_chaos.invariants.events import Event, encode
from raft_chaos.raft.network.transport import Numbered, Transport
from raft_chaos.raft.replica.command import Command, Read, encode_command
from raft_chaos.raft.replica.inputs import (
    Input,
    Persisted,
    ReadAsked,
    Received,
    Submitted,
    Ticked,
    TransferAsked,
    apply,
)
from raft_chaos.raft.replica.message_events import message_received, message_sent
from raft_chaos.raft.replica.output import Output
from raft_chaos.raft.replica.replica import Replica
from raft_chaos.raft.replica.result import Result
from raft_chaos.raft.replica.saved_state import prepare_checked
from raft_chaos.raft.server.claims import check_message
from raft_chaos.raft.server.node_clock import RIGHT, NodeClock, RunTimes, Segment
from raft_chaos.raft.state.configuration import Change, encode_change
from raft_chaos.raft.state.messages import MAX_COMMAND_BYTES, Committed, Entry, Message, SaveSnapshot
from raft_chaos.raft.state.ready import Write
from raft_chaos.raft.storage.failing import DiskFailedError
from raft_chaos.raft.storage.fault_disk import FaultDisk
from raft_chaos.raft.storage.journal import Journal
from raft_chaos.raft.storage.wal import WriteAheadLog

IN_PLACE_SYNC_US = 10_000
"""A sync may run in the event loop if the one before it took no longer than this."""


class NotLeaderError(Exception):
    """This node cannot take commands."""


class BusyError(Exception):
    """Too much waits at this node already. The message says what."""


class LeadershipLostError(Exception):
    """The command was in the log, but its outcome is unknown."""


class ReadRefusedError(Exception):
    """The leadership was lost before the read could be answered. It has no effect."""


def monotonic_us() -> int:
    """The system's monotonic clock in µs; the same for all processes of one machine."""
    return time.monotonic_ns() // 1000


class EventFile:
    """The events of one incarnation. Each step's lines are one unbuffered write: a kill tears at most the last line."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644)

    def write(self, lines: list[bytes]) -> None:
        data = b"".join(lines)
        while data:
            data = data[os.write(self._fd, data) :]

    def close(self) -> None:
        os.close(self._fd)


class LiveHost:
    """Runs one replica. `epoch_us` is the moment of the monotonic clock that counts as time 0, and `clock` the node's
    own, in times since then.

    The caller's `make_replica` gets the time of the node's clock, and writes the start of the `journal` before it makes
    the replica.
    """

    def __init__(
        self,
        *,
        make_replica: Callable[[int], Replica],
        wal: WriteAheadLog,
        epoch_us: int,
        clock: Segment = RIGHT,
        random: Random,
        events: EventFile | None,
        journal: Journal | None = None,
    ) -> None:
        self.epoch_us = epoch_us
        self.clock = NodeClock(clock)
        self._times = RunTimes(self.clock)
        now_us = self.now_us()
        self.replica = make_replica(self.clock.local(now_us))
        self.wal = wal
        self.transport: Transport | None = None
        self._random = random
        self._events = events
        self._journal = journal
        self._received: list[Event] = []  # in this turn, and not reported yet
        self._loop = asyncio.get_running_loop()
        self._syncer = ThreadPoolExecutor(1, thread_name_prefix="sync")
        self._advance_is_due = False
        self._transfer: asyncio.Future[tuple[str, int]] | None = None  # of whoever asked for the one under way
        self._timer: asyncio.TimerHandle | None = None
        self._timer_us = 0
        self._last_sync_us = 0
        self._closed = False
        self._advance(now_us)  # the first turn is its start alone, with no inputs

    def now_us(self) -> int:
        """The machine's time, which no fault changes."""
        return monotonic_us() - self.epoch_us

    def set_clock(self, clock: Segment) -> tuple[int, int]:
        """From now on the node lives by this clock. Returns how far its clock was ahead before and is now (µs)."""
        self._advance_if_due()  # the inputs of this turn came by the clock before
        now_us = self.now_us()
        before_us, after_us = self.clock.ahead_us(now_us), NodeClock(clock).ahead_us(now_us)
        rate_ppm, jump_us = clock[2], after_us - before_us
        if self._closed or (jump_us == 0 and rate_ppm == self.clock.segment[2]):
            return before_us, after_us
        if self._journal is not None:
            self._journal.clock_changed(now_us, rate_ppm, jump_us)
        self._times.before_change(self.replica.core)
        self.clock.change(now_us, rate_ppm, jump_us)
        if self.transport is not None:
            self._set_timer(self.clock.due(self.replica.core.deadline_us))
        return before_us, after_us

    def start(self, transport: Transport) -> None:
        """Begins to act. Before this the host sends nothing and runs no timer."""
        self.transport = transport
        self._set_timer(self.clock.due(self.replica.core.deadline_us))

    async def close(self) -> None:
        """Stops acting, and completes the write under way. Raises DiskFailedError."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        await self._loop.run_in_executor(None, self._syncer.shutdown)
        # Its sync may not have begun yet. Nobody hears of it, but what is written then outlives a power failure.
        await self._loop.run_in_executor(None, self.wal.sync)
        for file in (self._journal, self._events):
            if file is not None:
                file.close()

    # ---- inputs ---------------------------------------------------------------------------------------------------

    def on_message(self, source: str, incarnation: int, number: int, message: Message) -> None:
        """A message from a peer. Raises FrameError if no correct peer sends it; the replica then does not see it."""
        if self._closed:
            return
        check_message(message, self.replica.core, judged=self._events is not None)
        now_us = self.now_us()
        if self._events is not None:
            core = self.replica.core
            self._received.append(
                message_received(core.node, core.incarnation, now_us, source, incarnation, number, message)
            )
        self._take(Received(source, incarnation, number, message, self.clock.local(now_us)))
        self._advance_soon(now_us)

    def submit(self, command: Command) -> asyncio.Future[tuple[int, int, Result]]:
        """A client's command. The future gives (index, term, result), or raises LeadershipLostError.

        Raises NotLeaderError at once if this node does not lead, BusyError if too much waits already, and ValueError if
        no frame could hold the command.
        """
        encoded = encode_command(command)
        if len(encoded) > MAX_COMMAND_BYTES:
            raise ValueError(f"the command has {len(encoded)} bytes; the maximum is {MAX_COMMAND_BYTES}")
        return self._submit(encoded)

    def _submit(self, encoded: bytes) -> asyncio.Future[tuple[int, int, Result]]:
        if busy := self.replica.busy(len(encoded)):
            raise BusyError(busy)
        future: asyncio.Future[tuple[int, int, Result]] = self._loop.create_future()
        now_us = self.now_us()
        if self._closed or not self._take(Submitted(encoded, self.clock.local(now_us)), future):
            raise NotLeaderError
        self._advance_soon(now_us)
        return future

    def change_members(self, change: Change) -> asyncio.Future[tuple[int, int, Result]]:
        """A client's change of the members (§6). The future gives (index, term, result) once all of it is committed,
        with index 0 if it is refused, or raises LeadershipLostError. Raises NotLeaderError or BusyError at once."""
        return self._submit(encode_change(change))

    def read(self, read: Read) -> asyncio.Future[tuple[int, int, Result]]:
        """A client's read. The future gives (index, term, result), of the last applied entry, or raises
        ReadRefusedError.

        Raises NotLeaderError at once if this node cannot serve it, since it does not lead, and BusyError if too much
        waits already.
        """
        if read.consistency != "stale" and (busy := self.replica.busy()):
            raise BusyError(busy)
        future: asyncio.Future[tuple[int, int, Result]] = self._loop.create_future()
        now_us = self.now_us()
        if self._closed or not self._take(ReadAsked(read, self.clock.local(now_us)), future):
            raise NotLeaderError
        self._advance_soon(now_us)
        return future

    def transfer(self, target: str | None) -> asyncio.Future[tuple[str, int]] | None:
        """Somebody asks this node to hand over the leadership (`raft.core.transfer`). Once this node hands over no
        more, and knows who leads, the future says who, and in which term. None: it does not begin to."""
        now_us = self.now_us()
        if self._closed or not self._take(TransferAsked(target, self.clock.local(now_us))):
            return None
        ended = self._transfer = self._loop.create_future()
        self._advance_soon(now_us)
        return ended

    def _on_timer(self) -> None:
        self._timer = None
        if not self._closed:
            now_us = self.now_us()
            self._take(Ticked(self.clock.local(now_us)))
            self._advance(now_us)

    def _on_synced(self, lsn: int) -> None:
        if not self._closed:
            now_us = self.now_us()
            self._take(Persisted(lsn, self.clock.local(now_us)))
            self._advance(now_us)

    def _on_synced_by_thread(self, lsn: int, done: asyncio.Future[None]) -> None:
        done.result()  # a failed sync must end the node: the state on disk is now unknown
        self._on_synced(lsn)

    def _take(self, given: Input, token: Any = None) -> bool:
        """Gives the replica an input of this turn. Returns False if it refused what somebody asked for."""
        if self._journal is not None:
            self._journal.took(given)
        try:
            return apply(self.replica, given, token)
        except Exception as error:
            self._die(error)
            raise

    def entry(self, index: int) -> Entry:
        """The entry of the log, for whoever asks for it. Raises DiskFailedError, and ends the node, if the disk cannot
        say what it is."""
        try:
            return self.replica.core.log.entry(index)
        except DiskFailedError as error:
            self._end("an entry cannot be read back", error)
            raise

    def _die(self, error: Exception) -> None:
        """Ends the node, since the replica is in the middle of a step. The journal and the events keep the inputs,
        unless only the disk failed, at reading an entry back: then the replica did nothing wrong, so these inputs would
        not end it again, and nothing of the turn is visible."""
        if isinstance(error, DiskFailedError):
            self._end("an entry cannot be read back", error)
            return
        self._closed = True
        if self._journal is not None:
            self._journal.died(self.now_us())
        if self._events is not None:
            self._events.write([encode(event) for event in self._received])
        self._end("the replica failed", error)

    def _end(self, why: str, error: Exception) -> None:
        """Reports the error to the event loop, which ends the node, since not every caller raises it: the HTTP server
        answers 500, and the node would go on."""
        self._closed = True
        self._loop.call_exception_handler({"message": why, "exception": error})

    # ---- outputs --------------------------------------------------------------------------------------------------

    def _advance_soon(self, now_us: int) -> None:
        if not self.clock.is_right:
            self._advance(now_us)
        elif not self._advance_is_due:
            self._advance_is_due = True
            self._loop.call_soon(self._advance_if_due)

    def _advance_if_due(self) -> None:
        # A timer or a sync may have called it already.
        if self._advance_is_due and not self._closed:
            self._advance(self.now_us())

    def _advance(self, now_us: int) -> None:
        """Ends the turn: carries out everything that has become due."""
        self._advance_is_due = False
        try:
            output = self.replica.advance()
        except Exception as error:
            self._die(error)
            raise
        transport = self.transport
        numbered = transport.number(output.messages) if transport is not None and output.messages else []
        if self._journal is not None:
            self._journal.acted(output, now_us, _unsent(output, numbered))
        self._times.convert(output, now_us)
        if self._events is not None:
            self._report(output, numbered, now_us)
        if transport is not None:
            transport.send(numbered)
        if output.write is not None:
            self._persist(output.write)
        self._answer(output)
        self._end_transfer()
        if transport is not None:
            self._set_timer(output.deadline_us)

    def _report(self, output: Output, numbered: Sequence[Numbered], now_us: int) -> None:
        assert self._events is not None
        node, inc = self.replica.core.node, self.replica.core.incarnation
        lines = [encode(event) for event in (*self._received, *output.events)]
        lines += [encode(message_sent(node, inc, now_us, *message)) for message in numbered]
        self._received.clear()
        if lines:
            self._events.write(lines)

    def _persist(self, write: Write) -> None:
        try:
            self.wal.append(write.records)
        except Exception as error:
            self._end("the log cannot be written", error)
            raise
        # The sync starts in the next turn of the loop at the earliest, even without a delay: the messages of this turn
        # leave at its end, and the followers write while this node does (thesis, §10.2.1).
        self._loop.call_later(self._sync_delay_us() / 1e6, self._sync, write)

    def _sync_delay_us(self) -> int:
        disk = self.wal.disk
        if not isinstance(disk, FaultDisk) or disk.slow_sync_us == (0, 0):
            return 0
        disk.slowed_syncs += 1
        return self._random.randint(*disk.slow_sync_us)

    def _sync(self, write: Write) -> None:
        """Syncs in a thread, so that other work continues meanwhile; in the event loop if there is little other work.

        A write of a single record means little work, unless it is a snapshot; with a thread, a single client would lose
        a fifth of its speed. A slow disk needs the thread, since heartbeats must go out.
        """
        if self._closed:
            return
        records = len(write.records) - (type(write.records[-1]) is Committed)
        is_small = records == 1 and type(write.records[0]) is not SaveSnapshot
        if is_small and self._last_sync_us <= IN_PLACE_SYNC_US:
            self._timed_sync()
            self._on_synced(write.lsn)
        else:
            done: Any = self._loop.run_in_executor(self._syncer, self._timed_sync)
            done.add_done_callback(lambda done: self._on_synced_by_thread(write.lsn, done))
            prepare_checked()  # a leader's snapshot: the disk makes it durable meanwhile

    def _timed_sync(self) -> None:
        began_us = monotonic_us()
        self.wal.sync()
        self._last_sync_us = monotonic_us() - began_us

    def _answer(self, output: Output) -> None:
        for reply in output.replies:
            future: asyncio.Future[tuple[int, int, Result]] = reply.token
            if future.done():
                continue  # the client has gone, or already got an unknown outcome
            if reply.result is None:
                future.set_exception(ReadRefusedError() if reply.is_read else LeadershipLostError())
            else:
                future.set_result((reply.index, reply.term, reply.result))

    def _end_transfer(self) -> None:
        """Tells whoever asked for the transfer, if it has come to an end."""
        transfer, core = self._transfer, self.replica.core
        if transfer is None or core.successor is not None or core.leader is None:
            return
        self._transfer = None
        if not transfer.done():  # or else the client has gone
            transfer.set_result((core.leader, core.current_term))

    def _set_timer(self, deadline_us: int) -> None:
        # Times are the machine's. A timer that fires early is harmless, so replace it only if it would fire too late.
        if self._timer is not None and self._timer_us <= deadline_us:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_us = deadline_us
        self._timer = self._loop.call_later(max(0, deadline_us - self.now_us()) / 1e6, self._on_timer)


def _unsent(output: Output, numbered: Sequence[Numbered]) -> Sequence[int]:
    """The positions of the messages that got no number: their links are down, or too full, at this moment."""
    if len(numbered) == len(output.messages):
        return ()
    unsent, sent = [], 0
    for position, (to, message) in enumerate(output.messages):
        if sent < len(numbered) and numbered[sent][2] is message and numbered[sent][0] == to:
            sent += 1
        else:
            unsent.append(position)
    return unsent
