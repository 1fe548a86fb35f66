"""Describes an execution as text: each step with what its node did, as in a transcript (`chaos.execution.format`).

     4  n1 ticks
          became candidate in term 1
          to n2 n3: RequestVote term 1, last none

The number is the step's number, by which later steps refer to it.
"""

from __future__ import annotations

from collections.abc import Iterator

from raft_chaos.chaos.execution import format
from raft_chaos.chaos.execution.player import Player
from raft_chaos.chaos.execution.step_result import result_of
from raft_chaos.chaos.execution.steps import (
    Call,
    Crash,
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
from raft_chaos.invariants.history import Op, Value
from raft_chaos.raft.server.parts import Parts


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
        self._player = Player(execution, MemoryDriver(parts))

    def steps(self) -> Iterator[tuple[int, list[str]]]:
        for number, step in enumerate(self._player.execution.steps):
            if not self._player.do(number, step):
                yield number, self._lines(number, step)

    def _lines(self, number: int, step: Step) -> list[str]:
        match step:
            case Crash():
                return [f"{step.node} crashes, {step.keep_bytes} of its unsynced bytes reach the disk"]
            case Invoke() | Return():
                return [_client(self._player.trace.operations[-1])]
            case Note():
                return [f"the harness notes: {type(step.event).__name__}"]
            case Submit():
                given = f"is asked by {_asked(self._player.calls[step.call])}"
            case _:
                given = _INPUT.get(type(step), "")
        return format.step(result_of(self._player, number, step, given))


_INPUT: dict[type[Step], str] = {Start: "starts", Timeout: "ticks", Persist: "persists"}


def _asked(call: Call) -> str:
    return f"{call.client}: {call.id} {call.f} {call.key}" + _to(call.value, call.expected)


def _client(op: Op) -> str:
    if op.type == "invoke":
        return f"{op.client} invokes {op.op}: {op.f} {op.key}" + _to(op.value, op.expected)
    read = f", reads {op.value or 'nothing'}" if op.f == "get" and op.type == "ok" else ""
    return f"{op.client} sees {op.op} end: {op.type}{read}{f', {op.error}' if op.error else ''}"


def _to(value: Value, expected: Value) -> str:
    return (f" {value}" if value is not None else "") + (f" if {expected}" if expected is not None else "")
