"""Plays an execution: gives each step to its node through a driver, and judges everything that is reported.

The nodes are the same as in every run in virtual time (`SteppedNode`), in this process or each in its own process.
Nothing happens outside the steps: a message stays in flight until a step delivers it.

The mode decides what happens at a step that cannot be done, such as the delivery of a message that was never sent: the
file was edited, or the core is a different one.

    strict     raises ExecutionError
    lenient    skips the step
    helpful    if the named step did not send the message, delivers one that the same node sent in a step nearby;
               otherwise skips the step

The steps that were done form an execution that can be played in strict mode. The shrinker relies on this.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import msgspec
from msgspec.structs import replace

from raft_chaos.chaos.execution.steps import (
    OUTSIDE,
    BreakDisk,
    Call,
    Crash,
    DamageData,
    Deliver,
    Execution,
    ExecutionError,
    Input,
    Invoke,
    Note,
    NotPlayableError,
    Persist,
    Return,
    Start,
    Step,
    Stop,
    Submit,
    Timeout,
    Transfer,
)
from raft_chaos.chaos.judgement.tally import Tally
from raft_chaos.chaos.run.cluster_view import ClusterView
from raft_chaos.chaos.run.nodes.driver import ASKED, DiskState, DrivenNode, Driver, DriverError, end_of
from raft_chaos.chaos.run.nodes.interrupted_disk import InterruptedNodeError
from raft_chaos.chaos.run.nodes.step import StepConfig, StepReport
from raft_chaos.chaos.run.nodes.stepped_node import SteppedNode
from raft_chaos.chaos.run.pace import first_voters
from raft_chaos.chaos.run.sim.recorder import LineSink
from raft_chaos.chaos.run.sim.trace import Trace
from raft_chaos.chaos.targets.door import Outcome
from raft_chaos.invariants.events import HARNESS, NodeExited, NodeKilled, NodeLaunched
from raft_chaos.invariants.history import Op, OpType
from raft_chaos.invariants.judge import Judge
from raft_chaos.invariants.pace import Pace
from raft_chaos.invariants.verdict import Verdict
from raft_chaos.raft.replica.inputs import Input as NodeInput
from raft_chaos.raft.replica.inputs import Persisted, ReadAsked, Received, Submitted, Ticked, TransferAsked
from raft_chaos.raft.replica.machine import EXPIRED
from raft_chaos.raft.replica.output import Reply

Link: TypeAlias = tuple[str, str]
"""(sender, receiver)"""

Mode: TypeAlias = Literal["strict", "lenient", "helpful"]

STEP_US = 100
"""A step without a time happens this much later than the step before it."""


@dataclass(frozen=True)
class Played:
    """The result of a play. `done` are the numbers of the steps that were done, in order; `verdicts` judge all of them.

    If the play ended at a violation, the last step is the one that showed it. `substituted` maps a step's number to the
    delivery that replaced it. `early` are the numbers of timeouts that came before they were due.
    """

    verdicts: list[Verdict]
    done: list[int]
    substituted: dict[int, Deliver]
    early: frozenset[int]
    trace_sha256: str

    def violates(self, invariant: str) -> bool:
        return any(v.invariant == invariant and v.outcome == "violated" for v in self.verdicts)


@dataclass
class _Node:
    name: str
    peers: list[str]
    state: str = "down"
    incarnation: int = 0
    driven: DrivenNode | None = None
    deadline_us: int = 0
    stopped: bool = False  # at a failpoint: the rest of its step will never happen, so the node can only crash
    disk: DiskState = field(default_factory=DiskState)
    gathered: list[tuple[NodeInput, Any]] = field(default_factory=list)  # inputs that it has not acted on yet


class Frame(msgspec.Struct, frozen=True):
    """Message `nth` (from 0) that step `sent_by` sent to a node. It is message `number` of that incarnation."""

    sent_by: int
    nth: int
    sender: str
    sender_inc: int
    number: int
    to: str
    message: Any
    sent_us: int

    @property
    def link(self) -> Link:
        return self.sender, self.to

    def arrival(self, at_us: int | None = None) -> Deliver:
        """The step that delivers it."""
        return Deliver(self.sent_by, self.to, self.nth, at_us)


class Player:
    """Plays one execution, once. `mode`: see the module's header.

    `sent` are the frames that each step sent, by the step's number. `report` is what the last step's node did; None if
    the step was not a turn of a node.
    """

    def __init__(
        self,
        execution: Execution,
        driver: Driver,
        *,
        mode: Mode = "strict",
        recorder: LineSink | None = None,
    ) -> None:
        self.execution = execution
        self.nodes = {name: _Node(name, [peer for peer in execution.nodes if peer != name]) for name in execution.nodes}
        # What an execution plays is always our own Raft. Of those who go by a pace, only who needs no time judges it.
        timing = execution.timing
        self.judge = Judge(
            voters=execution.nodes,
            first_voters=first_voters(execution.nodes, timing.features),
            pace=Pace(
                timing.heartbeat_us,
                timing.max_entries_per_message,
                len(execution.nodes),
                waiting=timing.features.max_waiting,
            ),
            has_times=False,
        )
        self.view = ClusterView(execution.nodes, lambda event, number, reporter: None)
        self.trace = Trace(self.judge, Tally(), self.view, recorder)
        self.now_us = 0
        self.calls = {call.id: call for call in execution.calls}
        """The calls that steps may name. The caller may add some, to extend the execution while it is played."""
        self.sent: dict[int, list[Frame]] = {}
        self.report: StepReport | None = None
        self.writing: dict[str, int] = {}
        """For each node with a write under way, the number of its last record; in the order in which they began."""
        self._driver = driver
        self._mode = mode
        self._open: set[str] = set()  # calls that were invoked and have not returned; used only for membership tests
        self._invoked: set[str] = set()  # likewise
        self._failed: set[str] = set()  # calls that certainly did not happen; likewise
        self._submitted: dict[int, str] = {}  # step -> its call, of those that were not refused
        self._answers: dict[int, Reply] = {}
        self._answered_by: dict[int, tuple[str, int]] = {}  # the incarnation that gave the answer
        self._delivered: set[tuple[int, str, int]] = set()  # (step, receiver, nth); used only for membership tests
        self._substituted: dict[int, Deliver] = {}
        self._early: set[int] = set()
        self._doing: dict[type[Step], Callable[[int, Any], str]] = {
            Start: self._start,
            Crash: self._crash,
            Stop: self._stop,
            BreakDisk: self._break_disk,
            DamageData: self._damage,
            Deliver: self._deliver,
            Timeout: self._timeout,
            Persist: self._persist,
            Submit: self._submit,
            Transfer: self._transfer,
            Invoke: self._invoke,
            Return: self._return,
            Note: self._note,
        }

    def play(self, until: str | None = None) -> Played:
        """Does all steps, or stops at the first violation of the invariant `until`.

        Raises ExecutionError if a step cannot be done in strict mode, NotPlayableError, DriverError.
        """
        done: list[int] = []
        for number, step in enumerate(self.execution.steps):
            impossible = self.do(number, step)
            if not impossible:
                done.append(number)
            elif self._mode == "strict":
                raise ExecutionError(f"step {number} ({step.__struct_config__.tag}): {impossible}")
            if until is not None and any(v.invariant == until for v in self.judge.new_violations()):
                break
        return self.played(done)

    def played(self, done: list[int]) -> Played:
        """The result so far, given the numbers of the steps that were done."""
        return Played(self.judge.verdicts(), done, self._substituted, frozenset(self._early), self.trace.digest())

    def do(self, number: int, step: Step) -> str:
        """Does one step. Returns why it cannot be done, or "". Later steps refer to it by `number`."""
        self.report = None
        return self._doing[step.__class__](number, step)

    def sent_to(self, step: Deliver) -> list[Frame]:
        """The frames of which the delivery names one, by its `nth`."""
        return [frame for frame in self.sent.get(step.sent_by, ()) if frame.to == step.node]

    # ---- starts and crashes ---------------------------------------------------------------------------------------

    def _start(self, number: int, step: Start) -> str:
        node = self.nodes[step.node]
        if node.state != "down":
            return f"{step.node} is {node.state}, and cannot start"
        node.incarnation += 1
        self._advance(step.at_us)
        execution = self.execution
        config = StepConfig.of(
            node.name,
            execution.nodes,
            node.incarnation,
            seed=execution.seed,
            timing=execution.timing,
            failing=node.disk.failing,
            dies_after=step.dies_after,
        )
        try:
            node.driven = self._driver.start(config, self.now_us)
        except DriverError:
            raise
        except InterruptedNodeError:
            self.trace.harness(NodeKilled(**self._subject(node)))
            return ""
        except Exception as error:
            self._died(node, error)
            return ""
        node.state = "up"
        self.trace.harness(NodeLaunched(**self._subject(node)))
        self._took(number, node, node.driven.first)
        return ""

    def _crash(self, number: int, step: Crash) -> str:
        node = self.nodes[step.node]
        if node.driven is None:
            return f"{step.node} is not running, and cannot crash"
        self._advance(step.at_us)
        node.driven.crash(0, step.keep_bytes, step.holes)
        self._down(node, "down")
        self.trace.harness(NodeKilled(**self._subject(node)))
        return ""

    def _stop(self, number: int, step: Stop) -> str:
        node = self.nodes[step.node]
        if node.driven is None:
            return f"{step.node} is not running, and cannot stop"
        self._advance(step.at_us)
        try:
            node.driven.stop()
        except DriverError:
            raise
        except Exception as error:
            self._died(node, error)
            return ""
        self._down(node, "down")
        self.trace.harness(NodeExited(**self._subject(node), exit_code=0, excused=ASKED))
        return ""

    def _break_disk(self, number: int, step: BreakDisk) -> str:
        node = self.nodes[step.node]
        self._advance(step.at_us)
        node.disk.failing = step.failing
        if node.driven is not None:
            node.driven.break_disk(step.failing)
        return ""

    def _damage(self, number: int, step: DamageData) -> str:
        node = self.nodes[step.node]
        if node.state != "down":
            return f"{step.node} is {node.state}, and only the data of a node that is down can be damaged"
        self._advance(step.at_us)
        if not self._driver.damage(step.node, step.damage):
            return f"{step.node} has no data that it would miss"
        node.disk.damaged = True
        return ""

    def _died(self, node: _Node, error: Exception) -> None:
        end = end_of(node.name, error, node.disk)
        self._down(node, "down" if end.can_start else "exited")
        self.trace.harness(
            NodeExited(**self._subject(node), exit_code=end.exit_code, log_tail=end.said, excused=end.excused)
        )

    def _down(self, node: _Node, state: str) -> None:
        node.state, node.driven, node.stopped, node.gathered = state, None, False, []
        self.writing.pop(node.name, None)

    # ---- inputs ---------------------------------------------------------------------------------------------------

    def _deliver(self, number: int, step: Deliver) -> str:
        there = self.sent_to(step)
        if step.nth >= len(there):
            nearby = self._nearby(step) if self._mode == "helpful" else None
            if nearby is None:
                return (
                    f"step {step.sent_by} sent {len(there)} messages to {step.node}, so there is no message {step.nth}"
                )
            self._substituted[number] = step = nearby
            there = self.sent_to(step)
        if step.flips and (step.more or self.nodes[step.node].gathered):
            return "a frame whose bits have flipped is a turn of its own"
        sent = there[step.nth]
        impossible = self._input(
            number,
            step,
            lambda now_us: Received(sent.sender, sent.sender_inc, sent.number, sent.message, now_us),
            lambda driven, now_us: _received(driven, sent, now_us, step),
        )
        if not impossible:
            self._delivered.add((step.sent_by, step.node, step.nth))
        return impossible

    def _nearby(self, step: Deliver) -> Deliver | None:
        """The delivery of a message in flight from the same sender to the same receiver, sent in the nearest step."""
        sender = getattr(self.execution.steps[step.sent_by], "node", "")
        in_flight = [
            (abs(by - step.sent_by), by, frame.nth)
            for by, frames in self.sent.items()
            if frames[0].sender == sender
            for frame in frames
            if frame.to == step.node and (by, step.node, frame.nth) not in self._delivered
        ]
        if not in_flight:
            return None
        _, by, nth = min(in_flight)
        return replace(step, sent_by=by, nth=nth)

    def _timeout(self, number: int, step: Timeout) -> str:
        node = self.nodes[step.node]
        if step.at_us is None and not self._why_no_input(node):
            self.now_us = max(self.now_us, node.deadline_us - STEP_US)
        elif step.at_us is not None and step.at_us < node.deadline_us:
            self._early.add(number)
        return self._input(number, step, Ticked, lambda driven, now_us: driven.tick(now_us, step.stop))

    def _persist(self, number: int, step: Persist) -> str:
        node = self.nodes[step.node]
        if impossible := self._why_no_input(node):
            return impossible
        if step.node not in self.writing:
            return f"{step.node} has no write under way"
        lsn = self.writing.pop(step.node)
        return self._input(
            number,
            step,
            lambda now_us: Persisted(lsn, now_us),
            lambda driven, now_us: driven.persisted(lsn, now_us, step.stop),
        )

    def _submit(self, number: int, step: Submit) -> str:
        # Otherwise its effect would not be in the history, and a client that sees it would seem to be wrong.
        if step.call not in self._invoked and self.calls[step.call].process != OUTSIDE:
            return f"{step.call} was not invoked"
        if step.call in self._failed:
            return f"{step.call} has failed, so it cannot happen any more"
        if (read := self.calls[step.call].read()) is not None:
            return self._input(
                number,
                step,
                lambda now_us: ReadAsked(read, now_us),
                lambda driven, now_us: driven.read(number, read, now_us, step.stop),
            )
        command = self.calls[step.call].command()
        return self._input(
            number,
            step,
            lambda now_us: Submitted(command, now_us),
            lambda driven, now_us: driven.submit(number, command, now_us, step.stop),
        )

    def _transfer(self, number: int, step: Transfer) -> str:
        return self._input(
            number,
            step,
            lambda now_us: TransferAsked(step.to, now_us),
            lambda driven, now_us: driven.transfer(step.to, now_us, step.stop),
        )

    def _input(
        self,
        number: int,
        step: Input,
        given: Callable[[int], NodeInput],
        give: Callable[[DrivenNode, int], StepReport | None],
    ) -> str:
        """Gives the node one input. The node acts on it, unless more inputs belong to the same turn."""
        node = self.nodes[step.node]
        if impossible := self._why_no_input(node):
            return impossible
        assert node.driven is not None
        self._advance(step.at_us)
        if isinstance(step, Submit):
            self._submitted[number] = step.call
        try:
            if step.more or node.gathered:
                if not isinstance(node.driven, SteppedNode):
                    raise NotPlayableError(f"step {number}: only `sim` can give a node several inputs at once")
                node.gathered.append((given(self.now_us), number))
                if step.more:
                    return ""
                inputs, node.gathered = node.gathered, []
                report = node.driven.turn(inputs, self.now_us, step.stop)
            else:
                taken = give(node.driven, self.now_us)
                if taken is None:
                    return f"{step.node} refuses the frame, whose bits have flipped"
                report = taken
        except (DriverError, NotPlayableError):
            raise
        except Exception as error:
            self._died(node, error)
            return ""
        self._took(number, node, report)
        return ""

    def _why_no_input(self, node: _Node) -> str:
        """Why the node takes no input, or ""."""
        if node.stopped:
            return f"{node.name} stopped at its failpoint, and can only crash"
        return "" if node.driven is not None else f"{node.name} is not running, and takes no input"

    def _took(self, number: int, node: _Node, report: StepReport) -> None:
        """Records the results of a turn for later steps."""
        if report.events:
            self.trace.node(node.name, node.incarnation, report.events)
        if report.sends:
            self.sent[number] = self._frames(number, node, report)
        if report.write_lsn:
            self.writing[node.name] = report.write_lsn
        for reply in report.replies:
            self._answers[reply.token] = reply
            self._answered_by[reply.token] = (node.name, node.incarnation)
        for refused in report.refused if report.accepted else [number]:
            self._submitted.pop(refused, None)  # a transfer is no submission
        node.deadline_us, node.stopped = report.deadline_us, report.stopped
        self.report = report

    def _frames(self, number: int, node: _Node, report: StepReport) -> list[Frame]:
        frames: list[Frame] = []
        nth = Counter[str]()
        for to, sent, message in report.sends:
            frames.append(Frame(number, nth[to], node.name, node.incarnation, sent, to, message, self.now_us))
            nth[to] += 1
        return frames

    # ---- clients and notes ----------------------------------------------------------------------------------------

    def _invoke(self, number: int, step: Invoke) -> str:
        if step.call in self._invoked:
            return f"{step.call} was invoked before"
        self._advance(step.at_us)
        self._invoked.add(step.call)
        self._open.add(step.call)
        call = self.calls[step.call]
        self._operation(call, Outcome("invoke", call.value))
        return ""

    def _return(self, number: int, step: Return) -> str:
        if step.call not in self._open:
            return f"{step.call} is not open"
        has_effect = False
        if step.answer is None:
            has_effect = self.calls[step.call].consistency is None and not self._is_expired(step)
            if step.type == "fail" and has_effect and step.call in self._submitted.values():
                return f"{step.call} was submitted, so it may have happened"
            outcome = Outcome("fail" if step.type == "fail" else "info", error=step.error)
        else:
            reply = self._answers.get(step.answer)
            if reply is None or reply.result is None:
                return f"step {step.answer} has no answer"
            result = reply.result
            node, inc = self._answered_by[step.answer] if reply.is_read else (None, None)
            how: OpType = "ok" if result.ok else "fail"
            outcome = Outcome(how, result.value, reply.index, reply.term, result.error, node, inc)
        self._advance(step.at_us)
        self._open.remove(step.call)
        if outcome.type == "fail" and step.answer is None and has_effect:
            self._failed.add(step.call)
        self._operation(self.calls[step.call], outcome)
        return ""

    def _is_expired(self, step: Return) -> bool:
        """Whether a node answered that the session of the command had expired, so that it had no effect (§8)."""
        if step.type != "fail" or not (step.error or "").startswith(EXPIRED):
            return False
        answers = [self._answers.get(number) for number, call in self._submitted.items() if call == step.call]
        results = [reply.result for reply in answers if reply is not None]
        return any(result is not None and (result.error or "").startswith(EXPIRED) for result in results)

    def _operation(self, call: Call, outcome: Outcome) -> None:
        if call.f == "change":
            return
        self.trace.operation(
            Op(
                type=outcome.type,
                process=call.process,
                client=call.client,
                op=call.id,
                f=call.f,
                key=call.key,
                t_us=self.now_us,
                value=outcome.value,
                expected=call.expected,
                index=outcome.index,
                term=outcome.term,
                error=outcome.error,
                final=call.final,
                consistency=call.consistency,
                node=outcome.node,
                inc=outcome.inc,
            )
        )

    def _note(self, number: int, step: Note) -> str:
        self.now_us = step.event.t_us
        self.trace.harness(step.event)
        return ""

    # ---- time -----------------------------------------------------------------------------------------------------

    def _advance(self, at_us: int | None) -> None:
        self.now_us = self.now_us + STEP_US if at_us is None else at_us

    def _subject(self, node: _Node) -> dict[str, Any]:
        return {
            "node": HARNESS,
            "inc": 1,
            "t_us": self.now_us,
            "subject": node.name,
            "subject_inc": node.incarnation,
        }


def _received(driven: DrivenNode, sent: Frame, now_us: int, step: Deliver) -> StepReport | None:
    """The node gets the frame, perhaps with flipped bits; None if it refuses it."""
    what = (sent.sender, sent.sender_inc, sent.number, sent.message)
    if step.flips:
        return driven.receive_corrupted(*what, step.flips, now_us, step.stop)
    return driven.receive(*what, now_us, step.stop)
