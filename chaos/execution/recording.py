"""Records the execution of a run in virtual time while it runs.

A driver that wraps the real one sees every input of every node in order, and the run's recorder sees the lines of the
clients and the harness in between. Together they form the execution.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from msgspec.structs import replace

from raft_chaos.chaos.execution.steps import (
    OUTSIDE,
    BreakDisk,
    Call,
    Crash,
    DamageData,
    Deliver,
    Execution,
    Invoke,
    Note,
    Persist,
    Return,
    Start,
    Step,
    Stop,
    Submit,
    Timeout,
    Transfer,
)
from raft_chaos.chaos.faults.damage import Damage
from raft_chaos.chaos.faults.process import Failpoint
from raft_chaos.chaos.run.nodes.driver import DrivenNode
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.chaos.run.nodes.step import StepConfig, StepReport
from raft_chaos.chaos.run.nodes.stepped_node import SteppedNode
from raft_chaos.chaos.run.sim.recorder import HARNESS_STREAM, HISTORY_STREAM, Stream
from raft_chaos.chaos.run.sim.run import Simulated, VirtualRun
from raft_chaos.chaos.schedule.data import Schedule
from raft_chaos.invariants import events, history
from raft_chaos.invariants.events import NodeExited, NodeKilled, NodeLaunched
from raft_chaos.invariants.history import Op
from raft_chaos.raft.replica.command import Command, Read, decode_command
from raft_chaos.raft.replica.output import Reply
from raft_chaos.raft.server.node_clock import NodeClock
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.state.configuration import Change, decode_change
from raft_chaos.raft.state.timing import Timing
from raft_chaos.raft.storage.failing import Failing

LIFECYCLE_EVENTS = (NodeLaunched, NodeKilled, NodeExited)
"""Events of the harness that follow from the steps themselves."""


def record(
    schedule: Schedule,
    timing: Timing,
    parts: Parts,
    *,
    fail_fast: bool = False,
    until: str | None = None,
    max_events: int | None = None,
) -> tuple[Simulated, Execution]:
    """Runs a schedule in `sim`; returns the result and the execution.

    With `fail_fast` the run ends at its first violation, with `until` at the first violation of that invariant.
    """
    recording = Recording()
    driver = _RecordingDriver(MemoryDriver(parts), recording)
    run = VirtualRun(
        schedule,
        timing=timing,
        driver=driver,
        recorder=recording,
        fail_fast=fail_fast,
        until=until,
        max_events=max_events,
    )
    simulated = run.go()
    return simulated, recording.execution(schedule.header.seed, schedule.header.nodes, run.timing)


@dataclass
class Calls:
    """The clients' operations by id and by command: the nth operation of a process has the serial n (§8)."""

    by_id: dict[str, Call] = field(default_factory=dict)
    by_command: dict[tuple[str, int], Call] = field(default_factory=dict)
    _serials: dict[str, Iterator[int]] = field(default_factory=dict)

    def invoked(self, op: Op) -> Call:
        """Adds the call of an invocation. Invocations must come in the order of the history."""
        session = f"{op.client}.{op.process}"
        call = Call(
            id=op.op,
            client=op.client,
            process=op.process,
            f=op.f,
            key=op.key,
            session=session,
            serial=next(self._serials.setdefault(session, count(1))),
            value=op.value,
            expected=op.expected,
            final=op.final,
            consistency=op.consistency,
        )
        self.by_id[call.id] = self.by_command[session, call.serial] = call
        return call

    def of_command(self, command: bytes) -> Call:
        """The call of a command. A command that no client of the run sent gets a new call of an outside process."""
        if (change := decode_change(command)) is not None:
            return self._added(self.of_change(f"change/{len(self.by_id)}", change))
        decoded = decode_command(command)
        known = self._known(decoded)
        if known is not None and decoded.since != known.since:  # the history does not say it
            return self._added(replace(known, since=decoded.since))
        return known or self._added(
            Call(
                id=f"other/{len(self.by_id)}",
                client="other",
                process=OUTSIDE,
                f=decoded.op,
                key=decoded.key,
                session=decoded.client,
                serial=decoded.serial,
                since=decoded.since,
                value=decoded.value,
                expected=decoded.expected,
            )
        )

    @staticmethod
    def of_change(name: str, change: Change) -> Call:
        """A call of the harness: a change of the members (§6)."""
        return Call(id=name, client="", process=OUTSIDE, f="change", key="", session=None, serial=0, change=change)

    def of_read(self, read: Read) -> Call:
        """The call of a read without a log entry; likewise."""
        return self._known(read) or self._added(
            Call(
                id=f"other/{len(self.by_id)}",
                client="other",
                process=OUTSIDE,
                f="get",
                key=read.key,
                session=read.client,
                serial=read.serial,
                consistency=read.consistency,
            )
        )

    def _known(self, asked: Command | Read) -> Call | None:
        return self.by_command.get((asked.client or "", asked.serial))

    def _added(self, call: Call) -> Call:
        self.by_id[call.id] = call
        if call.session is not None:
            self.by_command[call.session, call.serial] = call
        return call


class Recording:
    """The steps in order. It is also a run's recorder: it takes the lines of the harness and the clients."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.calls = Calls()
        self._sent: dict[
            tuple[str, int, int], tuple[int, int]
        ] = {}  # message -> (step, which of those to the receiver)
        self._failing: dict[str, Failing | None] = {}
        # (call, index, term) of an answer, for a read without an entry also the node -> the step that submitted it
        self._answers: dict[tuple[str, int, int, str | None], int] = {}

    def execution(self, seed: int, nodes: list[str], timing: Timing) -> Execution:
        return Execution(
            seed=seed, nodes=nodes, timing=timing, calls=list(self.calls.by_id.values()), steps=list(self.steps)
        )

    def add(self, step: Step) -> int:
        """Appends a step and returns its number."""
        self.steps.append(step)
        return len(self.steps) - 1

    def disk_fails(self, node: str, failing: Failing | None) -> None:
        """Records what the node's disk fails at, if that changed."""
        if self._failing.get(node) != failing:
            self._failing[node] = failing
            self.add(BreakDisk(node, failing))

    def sent(self, step: int, node: str, incarnation: int, numbers: Iterable[tuple[str, int | None]]) -> None:
        """Records the messages that a step sent: (to, number) in order; the number is None for one that was lost."""
        to_each: dict[str, int] = {}
        for to, number in numbers:
            nth = to_each[to] = to_each.get(to, -1) + 1
            if number is not None:
                self._sent[node, incarnation, number] = (step, nth)

    def answered(self, reply: Reply) -> None:
        """Records an answer that a client got, or may get, to the step that the reply's token names."""
        submitted = self.steps[reply.token]
        if reply.result is not None and isinstance(submitted, Submit):
            node = submitted.node if reply.is_read else None
            self._answers[submitted.call, reply.index, reply.term, node] = reply.token

    def has(self, sender: str, sender_inc: int, number: int) -> bool:
        """Whether the step that sent the message was recorded."""
        return (sender, sender_inc, number) in self._sent

    def can_end(self, op: Op) -> bool:
        """Whether the answer that ended the client's operation was recorded. True if it ended without an answer."""
        return op.index is None or op.term is None or (op.op, op.index, op.term, op.node) in self._answers

    def message(self, sender: str, sender_inc: int, number: int) -> tuple[int, int]:
        """The step that sent the message, and its position among that step's messages to the receiver. Raises
        KeyError if no step sent it."""
        return self._sent[sender, sender_inc, number]

    # ---- as a run's recorder --------------------------------------------------------------------------------------

    def write(self, stream: Stream, lines: bytes, count: int) -> None:
        if stream == HARNESS_STREAM:
            for line in lines.splitlines():
                event = events.decode(line)
                if not isinstance(event, LIFECYCLE_EVENTS):
                    self.add(Note(event))  # type: ignore[arg-type]  # only the harness writes to its stream
        elif stream == HISTORY_STREAM:
            for line in lines.splitlines():
                self.operation(history.decode(line))

    def operation(self, op: Op) -> None:
        """Adds the step of a client's line."""
        if op.type == "invoke":
            self.calls.invoked(op)
            self.add(Invoke(op.op, op.t_us))
        elif op.index is not None and op.term is not None:
            answer = self._answers[op.op, op.index, op.term, op.node]
            self.add(Return(op.op, answer=answer, at_us=op.t_us))
        else:
            self.add(Return(op.op, type=op.type, error=op.error, at_us=op.t_us))


class _RecordingDriver:
    """A driver in this process that records the inputs of its nodes."""

    def __init__(self, driver: MemoryDriver, recording: Recording) -> None:
        self._driver = driver
        self._recording = recording

    def start(self, config: StepConfig, now_us: int) -> DrivenNode:
        self._recording.disk_fails(config.node, config.failing)
        at_us = NodeClock(config.clock).local(now_us)
        number = self._recording.add(Start(config.node, at_us, config.dies_after))
        return _RecordedNode(self._driver.start(config, now_us), self._recording, number)

    def damage(self, node: str, damage: Damage) -> str:
        did = self._driver.damage(node, damage)
        if did:
            self._recording.add(DamageData(node, damage))
        return did


class _RecordedNode:
    """One incarnation. Times are recorded as the node's own clock shows them."""

    def __init__(self, node: SteppedNode, recording: Recording, number: int) -> None:
        self._node = node
        self._recording = recording
        self._submitted: dict[Any, int] = {}  # token of the run's client -> step
        self.first = self._took(number, node.first)

    def receive(
        self, sender: str, sender_inc: int, number: int, message: Any, now_us: int, failpoint: Failpoint | None
    ) -> StepReport:
        sent_by, nth = self._recording.message(sender, sender_inc, number)
        step = self._recording.add(Deliver(sent_by, self._node.name, nth, self._local(now_us), stop=failpoint))
        return self._took(step, self._node.receive(sender, sender_inc, number, message, now_us, failpoint))

    def receive_corrupted(
        self,
        sender: str,
        sender_inc: int,
        number: int,
        message: Any,
        flips: Sequence[float],
        now_us: int,
        failpoint: Failpoint | None,
    ) -> StepReport | None:
        """A frame that was refused is no step of its node, like one that was lost."""
        sent_by, nth = self._recording.message(sender, sender_inc, number)
        delivery = Deliver(sent_by, self._node.name, nth, self._local(now_us), stop=failpoint, flips=list(flips))
        try:
            report = self._node.receive_corrupted(sender, sender_inc, number, message, flips, now_us, failpoint)
        except Exception:
            self._recording.add(delivery)  # it took the frame, and died of it
            raise
        return None if report is None else self._took(self._recording.add(delivery), report)

    def tick(self, now_us: int, failpoint: Failpoint | None) -> StepReport:
        step = self._recording.add(Timeout(self._node.name, self._local(now_us), stop=failpoint))
        return self._took(step, self._node.tick(now_us, failpoint))

    def persisted(self, lsn: int, now_us: int, failpoint: Failpoint | None) -> StepReport:
        step = self._recording.add(Persist(self._node.name, self._local(now_us), stop=failpoint))
        return self._took(step, self._node.persisted(lsn, now_us, failpoint))

    def submit(self, token: Any, command: bytes, now_us: int, failpoint: Failpoint | None) -> StepReport:
        call = self._recording.calls.of_command(command)
        step = self._recording.add(Submit(self._node.name, call.id, self._local(now_us), stop=failpoint))
        self._submitted[token] = step
        return self._took(step, self._node.submit(token, command, now_us, failpoint))

    def read(self, token: Any, read: Read, now_us: int, failpoint: Failpoint | None) -> StepReport:
        call = self._recording.calls.of_read(read)
        step = self._recording.add(Submit(self._node.name, call.id, self._local(now_us), stop=failpoint))
        self._submitted[token] = step
        return self._took(step, self._node.read(token, read, now_us, failpoint))

    def transfer(self, target: str | None, now_us: int, failpoint: Failpoint | None) -> StepReport:
        step = self._recording.add(Transfer(self._node.name, target, self._local(now_us), stop=failpoint))
        return self._took(step, self._node.transfer(target, now_us, failpoint))

    def change_clock(self, now_us: int, rate_ppm: int, jump_us: int) -> int:
        return self._node.change_clock(now_us, rate_ppm, jump_us)

    def break_disk(self, failing: Failing | None) -> int:
        self._recording.disk_fails(self._node.name, failing)
        return self._node.break_disk(failing)

    def crash(self, keep_permille: int, keep_bytes: int | None = None, holes: int = 0) -> tuple[int, int]:
        kept, lost = self._node.crash(keep_permille, keep_bytes, holes)
        self._recording.add(Crash(self._node.name, kept, holes=holes))
        return kept, lost

    def stop(self) -> None:
        self._recording.add(Stop(self._node.name))
        self._node.stop()

    def _took(self, number: int, report: StepReport) -> StepReport:
        numbers = ((to, message) for to, message, _ in report.sends)
        self._recording.sent(number, self._node.name, self._node.incarnation, numbers)
        for reply in report.replies:
            self._recording.answered(replace(reply, token=self._submitted[reply.token]))
        return report

    def _local(self, now_us: int) -> int:
        return self._node.clock.local(now_us)
