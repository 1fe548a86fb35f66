"""One stepped node: each input is one step, and each step reports everything that it did.

The node is the live one's replica, log and recovery over the same disk layer. The live host gets its inputs from the
clock, the sockets and the disk; here the scheduler gives them: a frame, a timer, a client's command, "your write is
durable". Nothing happens between steps, so unsynced bytes stay unsynced between steps, and can be lost.

A step carries out the outputs in the host's order (report, send, write, apply and answer). A failpoint ends it between
two of these: the outputs before it are done and reported, the others are not, and the node must then be killed.

Times here are the run's, except inside the replica, which uses the node's own clock.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Protocol

from raft_chaos.chaos.faults.corrupt import flipped
from raft_chaos.chaos.faults.process import SYNC_POINTS, Failpoint
from raft_chaos.chaos.run.nodes.interrupted_disk import InterruptedDisk, InterruptedNodeError
from raft_chaos.chaos.run.nodes.step import StepConfig, StepReport
from raft_chaos.invariants.events import EntryApplied, Event, MessageReceived, SnapshotRestored
from raft_chaos.raft.network.codec import Envelope, FrameError, decode_envelope, encode_frame
from raft_chaos.raft.replica.command import Read
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
from raft_chaos.raft.server.node_clock import NodeClock, RunTimes
from raft_chaos.raft.server.parts import Parts, make_replica
from raft_chaos.raft.state.messages import Message, Recovered
from raft_chaos.raft.storage.disk import Disk
from raft_chaos.raft.storage.failing import Failing
from raft_chaos.raft.storage.identity import Identity
from raft_chaos.raft.storage.journal import Start
from raft_chaos.raft.storage.snapshot_file import STAGED

_APPLYING = (EntryApplied, SnapshotRestored)


class StepObserver(Protocol):
    """The journal: gets a node's inputs and the outputs they cause, before the node carries the outputs out.

    The output is the replica's own, in the time of the node's clock.
    """

    def start(self, start: Start) -> None: ...
    def took(self, given: Input, /) -> None: ...
    def acted(self, output: Output, at_us: int, unsent: Sequence[int], stopped_at: str | None) -> None: ...
    def clock_changed(self, now_us: int, rate_ppm: int, jump_us: int) -> None: ...


class SteppedNode:
    """One incarnation of a node, recovered from `disk` at `now_us`. `first` is the report of its start.

    Raises CorruptLogError, or another error of which the node dies; so does every step.
    """

    def __init__(
        self, config: StepConfig, parts: Parts, disk: Disk, now_us: int, observer: StepObserver | None = None
    ) -> None:
        self.name = config.node
        self.incarnation = config.incarnation
        self.clock = NodeClock(config.clock)
        self._times = RunTimes(self.clock)
        self.disk = parts.disk(disk, config.failing)
        self.wal = parts.wal(self.disk)
        self._frames = parts.frames
        self._number = 0
        self._observer = observer
        recovered = self._recover(config)
        if observer is not None:
            observer.start(self._start(config, now_us))
        self.replica = make_replica(
            parts,
            node=config.node,
            peers=config.peers,
            incarnation=config.incarnation,
            timing=config.timing,
            seed=config.seed,
            recovered=recovered,
            now_us=self._local(now_us),
            source=self.wal,
        )
        self.first = self._advance([], now_us, None)

    def _recover(self, config: StepConfig) -> Recovered:
        """Raises InterruptedNodeError if the node is to die before it has recovered: what it did not sync is lost."""
        identity = Identity(config.cluster, config.node)
        if config.dies_after is None:
            return self.wal.recover(identity)
        self.wal.disk = InterruptedDisk(self.disk, config.dies_after)
        try:
            return self.wal.recover(identity)
        except InterruptedNodeError:
            self.disk.forget()
            raise
        finally:
            self.wal.disk = self.disk

    # ---- inputs ---------------------------------------------------------------------------------------------------

    def receive(
        self, sender: str, sender_inc: int, number: int, message: Message, now_us: int, failpoint: Failpoint | None
    ) -> StepReport:
        """A frame arrived."""
        events: list[Event] = [
            message_received(self.name, self.incarnation, now_us, sender, sender_inc, number, message)
        ]
        stale = message.term < self.replica.core.current_term
        local_us = now_us if self.clock.is_right else self.clock.local(now_us)
        if self._observer is not None:
            self._observer.took(Received(sender, sender_inc, number, message, local_us))
        self.replica.receive(sender, message, local_us)
        report = self._advance(events, now_us, failpoint)
        if stale:
            report.stale = True
        return report

    def receive_corrupted(
        self,
        sender: str,
        sender_inc: int,
        number: int,
        message: Message,
        flips: Sequence[float],
        now_us: int,
        failpoint: Failpoint | None,
    ) -> StepReport | None:
        """A frame arrived with flipped bits at these places: the real bytes go through the real codec.

        None if it was refused. Whatever its bits say now, the message is still reported under its own number.
        """
        buffer = self._frames()
        buffer.add(flipped(encode_frame(Envelope(number, message)), flips))
        try:
            payload = buffer.take()
            assert payload is not None, "its length has a checksum"
            arrived = decode_envelope(payload).message
        except FrameError:
            return None
        return self.receive(sender, sender_inc, number, arrived, now_us, failpoint)

    def tick(self, now_us: int, failpoint: Failpoint | None) -> StepReport:
        """Its timer is due."""
        local_us = self._local(now_us)
        if self._observer is not None:
            self._observer.took(Ticked(local_us))
        self.replica.tick(local_us)
        return self._advance([], now_us, failpoint)

    def persisted(self, lsn: int, now_us: int, failpoint: Failpoint | None) -> StepReport:
        """The time of the write that ended with record `lsn` is over: syncs it now."""
        cut_off = failpoint in SYNC_POINTS and self._cut_off(SYNC_POINTS.index(failpoint) + 1)
        if not cut_off:
            self.wal.sync()
        if cut_off or failpoint == "after_sync":
            return StepReport([], [], 0, [], 0, stopped=True)
        local_us = self._local(now_us)
        if self._observer is not None:
            self._observer.took(Persisted(lsn, local_us))
        self.replica.persisted(lsn, local_us)
        return self._advance([], now_us, failpoint)

    def _cut_off(self, operations: int) -> bool:
        """Syncs with so many operations that change the disk. Returns whether there were more, which are left out."""
        self.wal.disk = InterruptedDisk(self.disk, operations, counts_reads=False)
        try:
            self.wal.sync()
        except InterruptedNodeError:
            return True
        finally:
            self.wal.disk = self.disk
        return False

    def submit(self, token: Any, command: bytes, now_us: int, failpoint: Failpoint | None) -> StepReport:
        """A client's command. Its answer will carry `token`, now or in a later step."""
        local_us = self._local(now_us)
        if self._observer is not None:
            self._observer.took(Submitted(command, local_us))
        accepted = self.replica.submit(token, command, local_us)
        return self._answered(accepted, now_us, failpoint)

    def read(self, token: Any, read: Read, now_us: int, failpoint: Failpoint | None) -> StepReport:
        """A client's read without a log entry. Its answer will carry `token`, now or in a later step."""
        local_us = self._local(now_us)
        if self._observer is not None:
            self._observer.took(ReadAsked(read, local_us))
        accepted = self.replica.read(token, read, local_us)
        return self._answered(accepted, now_us, failpoint)

    def transfer(self, target: str | None, now_us: int, failpoint: Failpoint | None) -> StepReport:
        """Somebody asks it to hand over the leadership."""
        local_us = self._local(now_us)
        if self._observer is not None:
            self._observer.took(TransferAsked(target, local_us))
        accepted = self.replica.transfer(target, local_us)
        return self._answered(accepted, now_us, failpoint)

    def _answered(self, accepted: bool, now_us: int, failpoint: Failpoint | None) -> StepReport:
        """The report of a request that was accepted or not. A leader that is busy or hands over names nobody: to ask it
        again at once is no use, and its successor does not lead yet."""
        report = self._advance([], now_us, failpoint)
        if not accepted:
            leader = self.replica.core.leader
            report.accepted, report.leader = False, leader if leader != self.name else None
        return report

    def turn(
        self,
        inputs: Sequence[tuple[Input, Any]],
        now_us: int,
        failpoint: Failpoint | None = None,
        unsent: Collection[int] = (),
    ) -> StepReport:
        """Takes several inputs, each with its command's token, and then acts once, like the live host.

        `now_us` is the time at which it acts. Inputs carry times of the node's own clock; if that clock is wrong, all
        of them count as of `now_us`. `unsent` are the positions of messages that get no number and are lost.
        """
        events: list[Event] = []
        refused: list[Any] = []
        for given, token in inputs:
            if isinstance(given, Received):
                events.append(self.received(given, now_us))
            elif isinstance(given, Persisted):
                self.wal.sync()
            if self._observer is not None:
                self._observer.took(given)
            if not apply(self.replica, given, token):
                refused.append(token)
        report = self._advance(events, now_us, failpoint, unsent)
        report.refused = refused
        return report

    def received(self, given: Received, now_us: int) -> MessageReceived:
        """The node's report of this input, in a turn that ends at `now_us`."""
        run_us = given.now_us if self.clock.is_right else now_us
        return message_received(
            self.name, self.incarnation, run_us, given.sender, given.sender_inc, given.number, given.message
        )

    def change_clock(self, now_us: int, rate_ppm: int, jump_us: int) -> int:
        """Changes its clock from now on; returns when its timer is now due."""
        if self._observer is not None:
            self._observer.clock_changed(now_us, rate_ppm, jump_us)
        self._times.before_change(self.replica.core)
        self.clock.change(now_us, rate_ppm, jump_us)
        return self.clock.due(self.replica.core.deadline_us)

    def crash(self, keep_permille: int, keep_bytes: int | None = None, holes: int = 0) -> tuple[int, int]:
        """The power fails: `keep_permille` of what is unsynced reaches the disk, or `keep_bytes` of it if given.

        Of this, what `holes` names does not reach it (`FaultDisk.lose`).

        If nothing is lost, only the process died, and the operating system has all that it wrote; a snapshot under way
        then has its name already, but the log has not been replaced (§7). Returns (kept, lost), in bytes.
        """
        unsynced = self.disk.unsynced()
        kept = unsynced * keep_permille // 1000 if keep_bytes is None else min(keep_bytes, unsynced)
        if kept == unsynced and not holes:
            if self.disk.unsynced_bytes(STAGED) and self.disk.failing is None:
                self.wal.name_snapshot()
            self.disk.leave_cache()
        else:
            self.disk.lose(kept, holes)
        return kept, unsynced - kept

    def stop(self) -> None:
        """It is asked to stop: it completes its write under way, as the live node does, and takes no more inputs."""
        self.wal.sync()

    def break_disk(self, failing: Failing | None) -> int:
        """From now on its disk fails at this, or at nothing; returns how often it failed so far."""
        self.disk.failing = failing
        return self.disk.failed

    # ---- the step -------------------------------------------------------------------------------------------------

    def _start(self, config: StepConfig, now_us: int) -> Start:
        return Start(
            cluster=config.cluster,
            node=config.node,
            peers=config.peers,
            incarnation=config.incarnation,
            timing=config.timing,
            seed=config.seed,
            log_size=self.wal.size(),
            clock=[config.clock],
            now_us=self._local(now_us),
            files=self.wal.files(compacts=config.timing.features.snapshot_every > 0),
        )

    def _advance(
        self, events: list[Event], now_us: int, failpoint: Failpoint | None, unsent: Collection[int] = ()
    ) -> StepReport:
        output = self.replica.advance()
        stops = failpoint is not None and self._reached(failpoint, output)
        if self._observer is not None:
            self._observer.acted(output, now_us, sorted(unsent), failpoint if stops else None)
        self._times.convert(output, now_us)
        if failpoint is not None and stops:
            return self._stop_at(failpoint, output, events, now_us)
        events += output.events
        messages = output.messages
        if unsent:
            messages = [message for position, message in enumerate(messages) if position not in unsent]
        sends = self._send(messages, events, now_us) if messages else []
        write_lsn = 0
        if output.write is not None:
            write_lsn = output.write.lsn
            self.wal.append(output.write.records)
        return StepReport(events, sends, write_lsn, output.replies, output.deadline_us)

    def _send(
        self, messages: list[tuple[str, Message]], events: list[Event], now_us: int
    ) -> list[tuple[str, int, Message]]:
        """Numbers the messages and reports them, before they leave."""
        name, incarnation, number = self.name, self.incarnation, self._number
        sends = []
        for to, message in messages:
            number += 1
            sends.append((to, number, message))
            events.append(message_sent(name, incarnation, now_us, to, number, message))
        self._number = number
        return sends

    # ---- failpoints -----------------------------------------------------------------------------------------------

    def _reached(self, failpoint: Failpoint, output: Output) -> bool:
        """Whether this step reaches the failpoint, with work left that the failpoint cuts off."""
        match failpoint:
            case "before_report":
                return bool(output.events)
            case "before_send":
                return bool(output.messages)
            case "mid_send":
                return len(output.messages) > 1
            case "before_write":
                return output.write is not None
            case "before_apply":
                return any(type(event) in _APPLYING for event in output.events)
            case "before_answer":
                return bool(output.replies)
            case _:
                return False  # in `persisted`

    def _stop_at(self, failpoint: Failpoint, output: Output, events: list[Event], now_us: int) -> StepReport:
        """Carries out the outputs before the failpoint, and no others."""
        sends: list[tuple[str, int, Message]] = []
        if failpoint != "before_report":
            # Applying changes only memory, so a node that did not report it did not apply.
            applying = failpoint == "before_answer"
            events += [event for event in output.events if applying or type(event) not in _APPLYING]
            if failpoint != "before_send":
                messages = output.messages[: len(output.messages) // 2] if failpoint == "mid_send" else output.messages
                sends = self._send(messages, events, now_us)
            if failpoint in ("before_apply", "before_answer") and output.write is not None:
                self.wal.append(output.write.records)
        return StepReport(events, sends, 0, [], 0, stopped=True)

    # ---- time -----------------------------------------------------------------------------------------------------

    def _local(self, run_us: int) -> int:
        return run_us if self.clock.is_right else self.clock.local(run_us)
