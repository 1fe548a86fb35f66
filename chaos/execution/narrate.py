"""Describes an execution as text: each step with what its node did, as in a transcript (`chaos.execution.format`).

     4  n1 ticks
          became candidate in term 1
          to n2 n3: RequestVote term 1, last none

The number is the step's number, by which later steps refer to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from raft_chaos.chaos.execution import format
from raft_chaos.chaos.execution.player import Player
from raft_chaos.chaos.execution.step_result import result_of
from raft_chaos.chaos.execution.steps import (
    BreakDisk,
    Call,
    Crash,
    DamageData,
    Execution,
    Invoke,
    NodeStep,
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
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.invariants.events import HARNESS, AnyEvent
from raft_chaos.invariants.history import Consistency, Op, Value
from raft_chaos.invariants.verdict import Verdict
from raft_chaos.raft.server.parts import Parts


def narrate(execution: Execution, parts: Parts) -> list[str]:
    """The lines of all steps. Steps that cannot be done with these parts are skipped."""
    lines: list[str] = []
    width = len(str(len(execution.steps)))
    for told in Narrator(execution, parts).steps():
        first, *rest = told.lines
        lines += [f"{told.number:>{width}}  {first}", *(f"{'':{width}}  {line}" for line in rest)]
    return lines


@dataclass(frozen=True)
class ToldStep:
    """A step that was done: its lines, and the `events` of the trace that it made. `who` is the node, the client, or
    the harness. `after` are the numbers of earlier steps that it depends on, besides its messages and its node."""

    number: int
    who: str
    is_client: bool
    at_us: int
    lines: list[str]
    events: list[AnyEvent | Op]
    after: list[int]


class Narrator:
    """Plays an execution and tells its steps. Steps before `since` have no lines, which saves most of the time."""

    def __init__(self, execution: Execution, parts: Parts, since: int = 0) -> None:
        self._player = Player(execution, MemoryDriver(parts))
        self._since = since
        self._invoked: dict[str, int] = {}

    def steps(self) -> Iterator[ToldStep]:
        """The steps that can be done with these parts, in order. To be called once."""
        trace = self._player.trace
        for number, step in enumerate(self._player.execution.steps):
            harness, operations = len(trace.harness_events), len(trace.operations)
            if self._player.do(number, step):
                continue
            report = self._player.report
            events = [*trace.harness_events[harness:], *(report.events if report is not None else ())]
            is_client = isinstance(step, Invoke | Return)
            yield ToldStep(
                number,
                self._player.calls[step.call].client if isinstance(step, Invoke | Return) else _who(step),
                is_client,
                self._player.now_us,
                self._lines(number, step) if number >= self._since else [],
                [*events, *trace.operations[operations:]],
                self._after(number, step),
            )

    def verdicts(self) -> list[Verdict]:
        """The verdicts on the steps that were told."""
        return self._player.judge.verdicts()

    def _after(self, number: int, step: Step) -> list[int]:
        match step:
            case Invoke():
                self._invoked[step.call] = number
                return []
            case Submit():
                return [self._invoked[step.call]] if step.call in self._invoked else []
            case Return():
                return [self._invoked[step.call], *([] if step.answer is None else [step.answer])]
            case _:
                return []

    def _lines(self, number: int, step: Step) -> list[str]:
        match step:
            case Crash():
                holes = ", with holes" if step.holes else ""
                return [f"{step.node} crashes, {step.keep_bytes} of its unsynced bytes reach the disk{holes}"]
            case Stop():
                return [f"{step.node} is asked to stop, and ends"]
            case BreakDisk(node, failing):
                if failing is None:
                    return [f"the disk of {node} works again"]
                each = "next" if failing.once else "each"
                return [f"the disk of {node} fails at {each} {failing.operation}: {failing.error}"]
            case DamageData():
                how = step.damage.how.replace("_", " ")
                return [f"the data of {step.node} is damaged while it is down: {how}"]
            case Invoke() | Return():
                return [_client(self._player.trace.operations[-1])]
            case Note():
                return [f"the harness notes: {type(step.event).__name__}"]
            case Submit():
                given = f"is asked by {_asked(self._player.calls[step.call])}"
            case Transfer():
                given = f"is asked to hand over to {step.to or 'whom it chooses'}"
            case _:
                given = _INPUT.get(type(step), "")
        return format.step(result_of(self._player, number, step, given))


_INPUT: dict[type[Step], str] = {Start: "starts", Timeout: "ticks", Persist: "persists"}


def _who(step: Step) -> str:
    return step.node if isinstance(step, NodeStep) else HARNESS


def _asked(call: Call) -> str:
    if call.change is not None:
        return f"the harness: {call.id}, {call.change}"
    return f"{call.client}: {call.id} {call.f} {call.key}" + _to(call.value, call.expected) + _how(call.consistency)


def _client(op: Op) -> str:
    if op.type == "invoke":
        return f"{op.client} invokes {op.op}: {op.f} {op.key}" + _to(op.value, op.expected) + _how(op.consistency)
    read = f", reads {op.value or 'nothing'}" if op.f == "get" and op.type == "ok" else ""
    return f"{op.client} sees {op.op} end: {op.type}{read}{f', {op.error}' if op.error else ''}"


def _to(value: Value, expected: Value) -> str:
    return (f" {value}" if value is not None else "") + (f" if {expected}" if expected is not None else "")


def _how(consistency: Consistency | None) -> str:
    return f" ({consistency})" if consistency is not None else ""
