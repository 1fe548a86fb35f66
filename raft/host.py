"""The live host of a replica: the real clock, TCP links and a real disk.

Every input (a message, the timer, a client's command, a completed sync) goes into the replica, and one `advance`
follows for all inputs of the same turn of the event loop; that is what batches entries and syncs under load. The
outputs are carried out in the order that the replica asks for: events, messages, the write, answers.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

from invariants.events import MessageReceived, MessageSent, encode
from raft.disk import FaultDisk
from raft.machine import Result
from raft.messages import Message
from raft.pending import Write
from raft.replica import Output, Replica
from raft.transport import Transport
from raft.wal import WriteAheadLog

IN_PLACE_SYNC_US = 10_000
"""A sync may be done in the event loop as long as the one before it took no longer than this."""


class NotLeaderError(Exception):
    """This node cannot take commands."""


class LeadershipLostError(Exception):
    """The command was in the log, but what became of it is unknown."""


def monotonic_us() -> int:
    """The system's monotonic clock in µs; the same for all processes of one machine."""
    return time.monotonic_ns() // 1000


class EventFile:
    """The events of one incarnation. A step's lines are one unbuffered write: a kill tears at most the last line."""

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
    """Runs one replica. `epoch_us` is the moment of the monotonic clock that counts as time 0."""

    def __init__(
        self,
        *,
        make_replica: Callable[[int], Replica],
        wal: WriteAheadLog,
        epoch_us: int,
        random: Random,
        events: EventFile | None,
    ) -> None:
        self.epoch_us = epoch_us
        self.replica = make_replica(self.now_us())
        self.wal = wal
        self.transport: Transport | None = None
        self._random = random
        self._events = events
        self._loop = asyncio.get_running_loop()
        self._syncer = ThreadPoolExecutor(1, thread_name_prefix="sync")
        self._advance_is_due = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_us = 0
        self._last_sync_us = 0
        self._closed = False

    def now_us(self) -> int:
        return monotonic_us() - self.epoch_us

    def start(self, transport: Transport) -> None:
        """Begins to act. Until now nothing was sent, and no timer ran."""
        self.transport = transport
        self._advance_soon()

    async def close(self) -> None:
        """Stops acting. A write under way is waited for; nothing else is made durable."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        await self._loop.run_in_executor(None, self._syncer.shutdown)
        if self._events is not None:
            self._events.close()

    # ---- inputs ---------------------------------------------------------------------------------------------------

    def on_message(self, source: str, incarnation: int, number: int, message: Message) -> None:
        if self._closed:
            return
        now_us = self.now_us()
        if self._events is not None:
            core = self.replica.core
            event = MessageReceived(
                node=core.node,
                inc=core.incarnation,
                t_us=now_us,
                sender=source,
                sender_inc=incarnation,
                number=number,
                type=type(message).__name__,
            )
            self._events.write([encode(event)])
        self.replica.receive(source, message, now_us)
        self._advance_soon()

    def submit(self, command: bytes) -> asyncio.Future[tuple[int, int, Result]]:
        """A client's command. The future gives (index, term, result), or raises LeadershipLostError.

        Raises NotLeaderError at once if this node does not lead.
        """
        future: asyncio.Future[tuple[int, int, Result]] = self._loop.create_future()
        if self._closed or not self.replica.submit(future, command, self.now_us()):
            raise NotLeaderError
        self._advance_soon()
        return future

    def _on_timer(self) -> None:
        self._timer = None
        if not self._closed:
            self.replica.tick(self.now_us())
            self._advance()

    def _on_synced(self, lsn: int) -> None:
        if not self._closed:
            self.replica.persisted(lsn, self.now_us())
            self._advance()

    def _on_synced_by_thread(self, lsn: int, done: asyncio.Future[None]) -> None:
        done.result()  # a failed sync must end the node: what is on disk now is unknown
        self._on_synced(lsn)

    # ---- outputs --------------------------------------------------------------------------------------------------

    def _advance_soon(self) -> None:
        if not self._advance_is_due:
            self._advance_is_due = True
            self._loop.call_soon(self._advance)

    def _advance(self) -> None:
        self._advance_is_due = False
        if self._closed:
            return
        output = self.replica.advance()
        self._report(output)
        self._send(output)
        if output.write is not None:
            self._persist(output.write)
        self._answer(output)
        self._set_timer(output.deadline_us)

    def _report(self, output: Output) -> None:
        if self._events is not None and output.events:
            self._events.write([encode(event) for event in output.events])

    def _send(self, output: Output) -> None:
        if not output.messages or self.transport is None:
            return
        numbered = self.transport.number(output.messages)
        if self._events is not None and numbered:
            core = self.replica.core
            node, inc, now_us = core.node, core.incarnation, self.now_us()
            self._events.write(
                [
                    encode(MessageSent(node=node, inc=inc, t_us=now_us, to=to, number=number, type=type(m).__name__))
                    for to, number, m in numbered
                ]
            )
        self.transport.send(numbered)

    def _persist(self, write: Write) -> None:
        self.wal.append(write.records)
        # Not before the next turn of the loop, even without a delay: the messages of this one leave at its end, and
        # the followers write while this node does (thesis, §10.2.1).
        self._loop.call_later(self._sync_delay_us() / 1e6, self._sync, write)

    def _sync_delay_us(self) -> int:
        disk = self.wal.disk
        if not isinstance(disk, FaultDisk) or disk.slow_sync_us == (0, 0):
            return 0
        disk.slowed_syncs += 1
        return self._random.randint(*disk.slow_sync_us)

    def _sync(self, write: Write) -> None:
        """In a thread, so that work goes on meanwhile; in place where a single record shows that there is little of it.

        To the thread and back costs a lone client a fifth of its speed. On a slow disk heartbeats must go out.
        """
        if self._closed:
            return
        if len(write.records) == 1 and self._last_sync_us <= IN_PLACE_SYNC_US:
            self._timed_sync()
            self._on_synced(write.lsn)
        else:
            done: Any = self._loop.run_in_executor(self._syncer, self._timed_sync)
            done.add_done_callback(lambda done: self._on_synced_by_thread(write.lsn, done))

    def _timed_sync(self) -> None:
        began_us = monotonic_us()
        self.wal.sync()
        self._last_sync_us = monotonic_us() - began_us

    def _answer(self, output: Output) -> None:
        for reply in output.replies:
            future: asyncio.Future[tuple[int, int, Result]] = reply.token
            if future.done():
                continue  # the client has gone, or has been told that the outcome is unknown
            if reply.result is None:
                future.set_exception(LeadershipLostError())
            else:
                future.set_result((reply.index, reply.term, reply.result))

    def _set_timer(self, deadline_us: int) -> None:
        # A timer that fires early is harmless, so one is replaced only when it would fire too late.
        if self._timer is not None and self._timer_us <= deadline_us:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_us = deadline_us
        self._timer = self._loop.call_later(max(0, deadline_us - self.now_us()) / 1e6, self._on_timer)
