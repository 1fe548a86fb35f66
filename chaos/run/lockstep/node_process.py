"""The program of a stepped node's process: the live node's log, recovery, links and codec, stepped by orders.

It differs from the live node in three things. Each order sets its clock. Its links end at the gate, and it takes a
frame once both the frame and the order for it are there; either may come first, and the node handles the message that
came over the wire. Clients' commands come with orders, not over HTTP. Between these is `SteppedNode`, as in the
simulator, over a real folder.

For each step it writes to the journal, writes the events to the incarnation's file at once, sends the report back, and
sends the messages on their links.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

from raft_chaos.chaos.mutants import parts_of
from raft_chaos.chaos.run.lockstep.control import (
    AskRead,
    AskTransfer,
    BreakDisk,
    ChangeClock,
    Channel,
    ClockChanged,
    Crash,
    Crashed,
    Died,
    DiskBroken,
    Diverged,
    Interrupted,
    NodeSetup,
    Persisted,
    Receive,
    Refused,
    Report,
    Stop,
    Stopped,
    Submit,
    Tick,
    Up,
    decode_order,
)
from raft_chaos.chaos.run.nodes.driver import exit_status
from raft_chaos.chaos.run.nodes.interrupted_disk import InterruptedNodeError
from raft_chaos.chaos.run.nodes.step import StepReport
from raft_chaos.chaos.run.nodes.stepped_node import SteppedNode
from raft_chaos.invariants.events import encode
from raft_chaos.raft.network.codec import PROTOCOL_VERSION, Hello
from raft_chaos.raft.network.handshake import read_secret
from raft_chaos.raft.network.transport import Transport
from raft_chaos.raft.server.event_loop import crash_on_any_error, run_event_loop
from raft_chaos.raft.server.host import EventFile
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.state.messages import Message
from raft_chaos.raft.storage.disk import OsDisk
from raft_chaos.raft.storage.failing import DiskFailedError
from raft_chaos.raft.storage.journal import Journal

log = logging.getLogger("raft_chaos.lockstep")


class _Folder(OsDisk):
    """A real folder that names its files as the simulated one does: a node's last error names them in the trace."""

    def describe(self, name: str) -> str:
        return name


def node_main(setup: NodeSetup, control: Connection) -> None:
    """Runs one incarnation until it is killed, dies, or its controller is gone."""
    config = setup.config
    logging.basicConfig(
        level=logging.INFO, format=f"%(asctime)s {config.node} #{config.incarnation} %(levelname)s %(message)s"
    )
    run_event_loop(_run(setup, Channel(control)))


async def _run(setup: NodeSetup, control: Channel) -> None:
    crash_on_any_error(asyncio.get_running_loop())
    parts, folder = parts_of(setup.mutant), Path(setup.data_dir)
    journal = Journal(Path(setup.journal_file))
    try:
        node = SteppedNode(setup.config, parts, _Folder(folder), setup.now_us, journal)
    except InterruptedNodeError:
        control.send(Interrupted())
        control.receive()
        os._exit(0)  # the controller kills this process, or is gone
    except Exception as error:
        journal.died(setup.now_us)
        exit_code = _last_words(control, error)
        control.receive()
        os._exit(exit_code)
    await SteppedHost(setup, parts, node, control, journal).start()
    await asyncio.Event().wait()  # the controller ends this process


def _last_words(control: Channel, error: Exception) -> int:
    """Reports the error of which the node dies; returns its exit code. The controller then closes the control."""
    log.critical("ends by an error of its own", exc_info=error)
    exit_code, said = exit_status(error)
    control.send(Died(exit_code, said))
    return exit_code


class SteppedHost:
    """Carries out orders, one at a time, and answers each."""

    def __init__(self, setup: NodeSetup, parts: Parts, node: SteppedNode, control: Channel, journal: Journal) -> None:
        config = setup.config
        self._control = control
        self._node = node
        self._journal = journal
        self._events = EventFile(Path(setup.events_file))
        hello = Hello(PROTOCOL_VERSION, config.cluster, config.node, config.incarnation)
        secret = read_secret(Path(setup.secret_file)) if setup.secret_file is not None else None
        self._transport = (parts.transport or Transport)(
            hello, setup.links, self._on_frame, secret, frames=parts.frames, refused=self._on_refused
        )
        self._exit_code = 0
        self._ordered: Receive | None = None
        self._arrived: tuple[str, int, int, Message] | None = None
        self._refused = False
        self._diverged = ""

    async def start(self) -> None:
        """Opens all links, so that every step finds them up, and answers that the node is up."""
        await self._transport.listen("127.0.0.1", 0)
        self._transport.connect()
        await self._transport.connected()
        asyncio.get_running_loop().add_reader(self._control.fileno(), self._on_control)
        first = self._node.first
        self._control.send(Up(self._transport.port, self._report(first)))
        self._transport.send(first.sends)

    # ---- inputs ---------------------------------------------------------------------------------------------------

    def _on_control(self) -> None:
        try:
            payload = self._control.receive(waits=False)
        except BlockingIOError:
            return  # the order was taken with its frame
        self._on_order(payload)

    def _on_order(self, payload: bytes | None) -> None:
        if payload is None:
            os._exit(self._exit_code)  # the controller is gone, or has read the error
        if self._diverged:
            self._control.send(Diverged(self._diverged))
            return
        node = self._node
        match decode_order(payload):
            case Receive() as order:
                self._ordered = order
                self._receive_if_complete()
            case Tick(now_us, failpoint):
                self._step(now_us, lambda: node.tick(now_us, failpoint))
            case Persisted(lsn, now_us, failpoint):
                self._step(now_us, lambda: node.persisted(lsn, now_us, failpoint))
            case Submit(token, command, now_us, failpoint):
                self._step(now_us, lambda: node.submit(token, command, now_us, failpoint))
            case AskRead(token, read, now_us, failpoint):
                self._step(now_us, lambda: node.read(token, read, now_us, failpoint))
            case AskTransfer(target, now_us, failpoint):
                self._step(now_us, lambda: node.transfer(target, now_us, failpoint))
            case ChangeClock(now_us, rate_ppm, jump_us):
                self._control.send(ClockChanged(node.change_clock(now_us, rate_ppm, jump_us)))
            case BreakDisk(failing):
                self._control.send(DiskBroken(node.break_disk(failing)))
            case Crash(keep_permille, keep_bytes, holes):
                kept, lost = node.crash(keep_permille, keep_bytes, holes)
                self._control.send(Crashed(kept, lost))
            case Stop():
                self._stop()

    def _on_frame(self, source: str, incarnation: int, number: int, message: Message) -> None:
        if self._arrived is not None:
            # No order waits for an answer now, so the next one gets it.
            self._diverged = f"frame {number} of {source}/{incarnation} came before its turn"
            return
        self._arrived = (source, incarnation, number, message)
        if self._ordered is None:
            self._on_order(self._control.receive())  # follows the frame at once: to wait here saves a turn of the loop
        else:
            self._receive_if_complete()

    def _on_refused(self, peer: str) -> None:
        """The transport has refused a frame, and closed the connection."""
        self._refused = True
        self._receive_if_complete()

    def _receive_if_complete(self) -> None:
        order, arrived = self._ordered, self._arrived
        if order is None or (arrived is None and not self._refused):
            return
        expected = f"frame {order.number} of {order.sender}/{order.sender_inc}"
        self._ordered = self._arrived = None
        if arrived is None:
            self._refused = False
            self._control.send(Refused() if order.corrupted else Diverged(f"{expected} was refused"))
            return
        sender, sender_inc, number, message = arrived
        if order.corrupted:
            number = order.number  # whatever its bits say now
        if (sender, sender_inc, number) != (order.sender, order.sender_inc, order.number):
            self._control.send(Diverged(f"frame {number} of {sender}/{sender_inc} came instead of {expected}"))
            return
        now_us, failpoint = order.now_us, order.failpoint
        self._step(now_us, lambda: self._node.receive(sender, sender_inc, number, message, now_us, failpoint))

    # ---- outputs --------------------------------------------------------------------------------------------------

    def _step(self, now_us: int, step: Callable[[], StepReport]) -> None:
        try:
            report = step()
        except Exception as error:
            if not isinstance(error, DiskFailedError):  # then the replica did nothing wrong, and is not to be replayed
                self._journal.died(now_us)
            # Not at once: frames of earlier steps may still be on their way out of this process.
            self._exit_code = _last_words(self._control, error)
            return
        self._control.send(self._report(report))
        # The scheduler reads the report meanwhile, and waits at the gate for a frame that it needs.
        self._transport.send(report.sends)

    def _stop(self) -> None:
        try:
            self._node.stop()
        except Exception as error:
            self._exit_code = _last_words(self._control, error)
            return
        self._control.send(Stopped())

    def _report(self, report: StepReport) -> Report:
        lines = [encode(event) for event in report.events]
        self._events.write(lines)
        return Report(
            b"".join(lines),
            [(to, number) for to, number, _ in report.sends],
            report.write_lsn,
            report.replies,
            report.deadline_us,
            report.accepted,
            report.leader,
            report.stopped,
            report.stale,
        )
