"""A random continuation of an execution: some of its steps are played, and what happens next is drawn.

What can happen next, and how often it is drawn relative to the rest:

    a message in flight arrives, in any order      4 for each, at most 8 in all for one node
    a write becomes durable                        8
    the timer of a node fires                      1
    a node crashes and loses its unsynced bytes    0.3, while a majority is up without it
    a node that is down starts                     3
    a client invokes its next operation            1
    an open operation is submitted to a node       1
    a client sees its answer                       8

The operations are those of the execution that were not invoked yet, in their order. Nothing here has a time: a timer
that fires is due.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import TypeAlias

from raft_chaos.chaos.execution.player import Frame, Player
from raft_chaos.chaos.execution.steps import (
    OUTSIDE,
    Call,
    Crash,
    Deliver,
    Execution,
    Invoke,
    Persist,
    Return,
    Start,
    Step,
    Submit,
    Timeout,
    without_times,
)
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.raft.server.parts import Parts

Choice: TypeAlias = tuple[Step, float]
ARRIVES, ARRIVE_AT_MOST, DURABLE, FIRES, CRASHES, STARTS, CLIENT, ANSWERED = 4.0, 8.0, 8.0, 1.0, 0.3, 3.0, 1.0, 8.0


class Walk:
    """A cluster that has done the first `prefix` steps of the execution. `number` is that of the next step."""

    def __init__(self, execution: Execution, prefix: int, parts: Parts) -> None:
        self.player = Player(execution, MemoryDriver(parts), mode="lenient")
        self.number = 0
        self._nodes = execution.nodes
        self._later = [call for call in execution.calls if call.process != OUTSIDE]
        self._flying: dict[tuple[int, str, int], Frame] = {}
        self._answers: dict[str, int] = {}  # call -> the step whose answer its client may see
        self._open: dict[str, Call] = {}
        self._submits: dict[int, str] = {}  # step -> the call that it submitted
        for number, step in enumerate(execution.steps[:prefix]):
            self._do(number, step)
        self.number = len(execution.steps)  # numbers of the execution's own steps stay theirs

    def breaks(self, invariant: str, steps: int, rng: Random) -> bool:
        """Whether one of the next steps, at most so many, breaks the invariant."""
        self.player.judge.new_violations()
        for _ in range(steps):
            choices = list(self._choices())
            if not choices:
                return False
            step = rng.choices([step for step, _ in choices], [weight for _, weight in choices])[0]
            self._do(self.number, step)
            self.number += 1
            if any(violation.invariant == invariant for violation in self.player.judge.new_violations()):
                return True
        return False

    def _do(self, number: int, step: Step) -> None:
        player = self.player
        if isinstance(step, Submit):
            self._submits[number] = step.call  # it may be answered at once
        if player.do(number, without_times(step)):
            return
        for frame in player.sent.get(number, ()):
            self._flying[number, frame.to, frame.nth] = frame
        if player.report is not None:
            for reply in player.report.replies:
                if reply.result is not None:
                    self._answers[self._submits[reply.token]] = reply.token
        match step:
            case Invoke():
                self._open[step.call] = player.calls[step.call]
                self._later = [call for call in self._later if call.id != step.call]
            case Return():
                self._open.pop(step.call, None)
                self._answers.pop(step.call, None)
            case Deliver():
                self._flying.pop((step.sent_by, step.node, step.nth), None)

    # ---- what can happen next -------------------------------------------------------------------------------------

    def _choices(self) -> Iterator[Choice]:
        player, up = self.player, [name for name, node in self.player.nodes.items() if node.state == "up"]
        arriving: dict[str, list[Frame]] = {}
        for frame in self._flying.values():
            arriving.setdefault(frame.to, []).append(frame)
        for name in self._nodes:
            node = player.nodes[name]
            if node.state == "down":
                yield Start(name), STARTS
            if node.state != "up" or node.stopped:
                continue
            frames = arriving.get(name, [])
            for frame in frames:
                yield frame.arrival(), min(ARRIVES, ARRIVE_AT_MOST / len(frames))
            if name in player.writing:
                yield Persist(name), DURABLE
            yield Timeout(name), FIRES
            if len(up) - 1 > len(self._nodes) // 2:
                yield Crash(name), CRASHES
        yield from self._of_clients(up)

    def _of_clients(self, up: list[str]) -> Iterator[Choice]:
        busy = {call.client for call in self._open.values()}
        for call in self._later:
            if call.client not in busy:
                busy.add(call.client)
                yield Invoke(call.id), CLIENT
        for call in self._open.values():
            if call.id in self._answers:
                yield Return(call.id, answer=self._answers[call.id]), ANSWERED
            for name in up:
                yield Submit(name, call.id), CLIENT / len(up)
