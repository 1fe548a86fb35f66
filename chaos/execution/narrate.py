"""Describes an execution as text: each step with what its node did, as in a transcript (`chaos.execution.format`).

     4  n1 ticks
          became candidate in term 1
          to n2 n3: RequestVote term 1, last none

The number is the step's number, by which later steps refer to it.
"""

from __future__ import annotations

from collections.abc import Iterator

from raft_chaos.chaos.execution import format
from raft_chaos.chaos.execution.format import Frame
from raft_chaos.chaos.execution.player import Player
from raft_chaos.chaos.execution.steps import (
    Call,
    Crash,
    Deliver,
    Execution,
    Invoke,
    Note,
    Persist,
    Return,
    Start,
    Step,
    Submit,
    Timeout,
)
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.chaos.run.nodes.stepped_node import SteppedNode, StepReport
from raft_chaos.invariants.events import NodeExited
from raft_chaos.invariants.history import Op, Value
from raft_chaos.raft.server.node import Parts
from raft_chaos.raft.state.messages import Record
from raft_chaos.raft.storage.wal import FILE, decode_records


def narrate(execution: Execution, parts: Parts) -> list[str]:
    """The lines of all steps. Steps that cannot be done with these parts are skipped."""
    lines: list[str] = []
    width = len(str(len(execution.steps)))
    for number, said in _Narrator(execution, parts).steps():
        first, *rest = said
        lines += [f"{number:>{width}}  {first}", *(f"{'':{width}}  {line}" for line in rest)]
    return lines


class _Narrator:
    def __init__(self, execution: Execution, parts: Parts) -> None:
        self._player = Player(execution, MemoryDriver(parts), acted=self._acted)
        self._calls = {call.id: call for call in execution.calls}
        self._frames: dict[tuple[int, str, int], Frame] = {}  # (step, receiver, nth)
        self._report: StepReport | None = None

    def steps(self) -> Iterator[tuple[int, list[str]]]:
        for number, step in enumerate(self._player.execution.steps):
            self._report = None
            if not self._player.do(number, step):
                yield number, self._lines(number, step)

    def _acted(self, number: int, report: StepReport) -> None:
        self._report = report

    def _lines(self, number: int, step: Step) -> list[str]:
        match step:
            case Crash():
                return [f"{step.node} crashes, {step.keep_bytes} of its unsynced bytes reach the disk"]
            case Invoke() | Return():
                return [_client(self._player.trace.operations[-1])]
            case Note():
                return [f"the harness notes: {type(step.event).__name__}"]
        return format.step(self._result(number, step))

    def _result(self, number: int, step: Start | Deliver | Submit | Persist | Timeout) -> format.StepResult:
        node = self._player.nodes[step.node]
        said = format.StepResult(step.node, self._player.now_us, _INPUT.get(type(step), ""))
        if isinstance(step, Deliver):
            said.received = self._frames[step.sent_by, step.node, step.nth]
        elif isinstance(step, Submit):
            said.input = f"is asked by {_asked(self._calls[step.call])}"
        if self._report is None:
            said.end = self._end(step.node)
            return said
        said.report = self._report
        said.sent = self._sent(number, step.node, node.incarnation)
        if self._report.write_lsn and isinstance(node.driven, SteppedNode):
            said.written = _last_write(node.driven)
        return said

    def _sent(self, number: int, node: str, incarnation: int) -> list[Frame]:
        assert self._report is not None
        frames: list[Frame] = []
        nth: dict[str, int] = {}
        for to, message, content in self._report.sends:
            frames.append(Frame(node, incarnation, message, to, content, self._player.now_us))
            nth[to] = nth.get(to, -1) + 1
            self._frames[number, to, nth[to]] = frames[-1]
        return frames

    def _end(self, node: str) -> str:
        """Why a step has no report: the node died, or acts only after its next input."""
        for event in reversed(self._player.trace.harness_events):
            if isinstance(event, NodeExited) and event.subject == node:
                return f"ends by itself with exit code {event.exit_code}: {event.log_tail}"
        return "does not act yet"


_INPUT: dict[type[Step], str] = {Start: "starts", Timeout: "ticks", Persist: "persists"}


def _last_write(node: SteppedNode) -> list[Record]:
    """The records of the last write. One write is under way at a time, so it is the last batch of the file."""
    return decode_records(node.disk.read(FILE))[0][-1]


def _asked(call: Call) -> str:
    return f"{call.client}: {call.id} {call.f} {call.key}" + _to(call.value, call.expected)


def _client(op: Op) -> str:
    if op.type == "invoke":
        return f"{op.client} invokes {op.op}: {op.f} {op.key}" + _to(op.value, op.expected)
    read = f", reads {op.value or 'nothing'}" if op.f == "get" and op.type == "ok" else ""
    return f"{op.client} sees {op.op} end: {op.type}{read}{f', {op.error}' if op.error else ''}"


def _to(value: Value, expected: Value) -> str:
    return (f" {value}" if value is not None else "") + (f" if {expected}" if expected is not None else "")
