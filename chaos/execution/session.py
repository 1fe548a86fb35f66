"""An execution that grows step by step, while whoever chooses the steps looks at what came of the ones before.

A cluster in this process, and what a chooser must know of it: which messages lie in the network, which operations are
open and which of them are answered, who is up. Only steps that can be done are kept, so that at any time the execution
can be played strictly, anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import TypeAlias

from raft_chaos.chaos.execution.player import Player
from raft_chaos.chaos.execution.steps import (
    Call,
    Deliver,
    Execution,
    ExecutionError,
    Invoke,
    NodeStep,
    Persist,
    Return,
    Start,
    Step,
    Submit,
    Timeout,
)
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.chaos.run.nodes.stepped_node import SteppedNode, StepReport
from raft_chaos.invariants.history import OpFunction
from raft_chaos.invariants.verdict import Violation
from raft_chaos.raft.server.node import Parts
from raft_chaos.raft.state.timing import Timing
from raft_chaos.raft.storage.wal import FILE

Link: TypeAlias = tuple[str, str]
"""(sender, receiver)"""


@dataclass
class _Client:
    """One client. After an operation of unknown outcome it goes on as another process (`chaos.run.client_records`)."""

    name: str
    process: int
    serial: int = 0
    open: str | None = None


class GrowingExecution:
    """A cluster of `nodes` that are all up, with `clients` that have asked for nothing yet.

    `violation` is the first one that a step brought about, and stays.
    """

    def __init__(self, nodes: Sequence[str], clients: Sequence[str], *, timing: Timing, parts: Parts) -> None:
        self.nodes = list(nodes)
        self.links: list[Link] = [(sender, to) for sender in nodes for to in nodes if sender != to]
        self.lying: dict[Link, list[Deliver]] = {link: [] for link in self.links}
        """What was sent and did not arrive yet, oldest first, as the step that would deliver it."""
        self.arrived: dict[Link, list[Deliver]] = {link: [] for link in self.links}
        """What arrived, or was lost, and may arrive again; the last one first."""
        self.answers: dict[str, int] = {}
        """For each operation that is open and answered, by its id: the step that submitted it."""
        self.violation: Violation | None = None
        self.player = Player(
            Execution(seed=0, nodes=self.nodes, timing=timing, calls=[], steps=[]),
            MemoryDriver(parts),
            acted=self._acted,
        )
        self._clients = {name: _Client(name, place) for place, name in enumerate(clients)}
        self._calls: dict[str, Call] = {}
        self._numbers = count()
        for name in nodes:
            self.do(Start(name))

    @property
    def execution(self) -> Execution:
        """The steps so far."""
        grown = self.player.execution
        return Execution(
            seed=grown.seed, nodes=self.nodes, timing=grown.timing, calls=list(grown.calls), steps=list(grown.steps)
        )

    # ---- steps ----------------------------------------------------------------------------------------------------

    def do(self, step: Step) -> None:
        """Does one step. Raises ExecutionError where it cannot be done."""
        self._check_names(step)
        steps = self.player.execution.steps
        steps.append(step)  # before it is done: what comes of it refers to it
        if impossible := self.player.do(len(steps) - 1, step):
            steps.pop()
            raise ExecutionError(f"{step.__struct_config__.tag}: {impossible}")
        if isinstance(step, Deliver):
            self._arrives(step)
        elif isinstance(step, Return):
            self._returned(step)
        found = self.player.judge.new_violations()
        if found and self.violation is None:
            self.violation = found[0]

    def begin(
        self, client: str, f: OpFunction, key: str, value: str | None = None, expected: str | None = None
    ) -> Call:
        """The client invokes an operation, which is still to be submitted to a node. Raises ExecutionError."""
        who = self._clients.get(client)
        if who is None:
            raise ExecutionError(f"invoke: client {client!r} is unknown; expected one of {', '.join(self._clients)}")
        if who.open is not None:
            raise ExecutionError(f"invoke: {client} waits for the end of {who.open}")
        who.serial += 1
        call = Call(
            id=f"{client}/{next(self._numbers)}",
            client=client,
            process=who.process,
            f=f,
            key=key,
            session=f"{client}.{who.process}",
            serial=who.serial,
            value=value,
            expected=expected,
        )
        self._calls[call.id] = call
        self.player.execution.calls.append(call)
        self.player.know(call)
        self.do(Invoke(call.id))
        who.open = call.id
        return call

    def lose(self, links: Sequence[Link]) -> None:
        """What lies on these links does not arrive. That is no step: a lost message is one that nobody delivers."""
        for link in links:
            self.arrived[link][:0] = reversed(self.lying[link])
            self.lying[link] = []

    # ---- how things are -------------------------------------------------------------------------------------------

    def running(self, node: str) -> SteppedNode | None:
        """The node's incarnation that is up, if one is."""
        driven = self.player.nodes[node].driven
        assert driven is None or isinstance(driven, SteppedNode)
        return driven

    def is_down(self, node: str) -> bool:
        """Whether it can be started; a node that ended by itself cannot."""
        return self.player.nodes[node].state == "down"

    def is_writing(self, node: str) -> bool:
        """Whether a write is under way."""
        return self.player.nodes[node].write_lsn > 0

    def unsynced_bytes(self, node: str) -> int:
        """How many bytes a crash would lose."""
        running = self.running(node)
        return 0 if running is None else running.disk.unsynced_bytes(FILE)

    def open_call(self, client: str) -> Call | None:
        """The operation that the client waits for."""
        waits_for = self._clients[client].open
        return None if waits_for is None else self._calls[waits_for]

    def _check_names(self, step: Step) -> None:
        tag = step.__struct_config__.tag
        if isinstance(step, NodeStep) and step.node not in self.nodes:
            raise ExecutionError(f"{tag}: node {step.node!r} is unknown; expected one of {', '.join(self.nodes)}")
        if isinstance(step, Submit | Invoke | Return) and step.call not in self._calls:
            raise ExecutionError(f"{tag}: call {step.call!r} is unknown; `begin` makes one")

    # ---- what a step came to --------------------------------------------------------------------------------------

    def _acted(self, number: int, report: StepReport) -> None:
        steps = self.player.execution.steps
        to_each: dict[str, int] = {}
        for to, _, _ in report.sends:
            nth = to_each[to] = to_each.get(to, -1) + 1
            self.lying[_node(steps[number]), to].append(Deliver(number, to, nth))
        for reply in report.replies:
            submitted = steps[reply.token]
            assert isinstance(submitted, Submit)
            client = self._clients[self._calls[submitted.call].client]
            if reply.result is not None and client.open == submitted.call:
                self.answers[submitted.call] = reply.token

    def _arrives(self, step: Deliver) -> None:
        """Whatever else the step says, it is the message that it names which has arrived."""
        message = Deliver(step.sent_by, step.node, step.nth)
        link = _node(self.player.execution.steps[step.sent_by]), step.node
        for where in (self.lying[link], self.arrived[link]):
            if message in where:
                where.remove(message)
        self.arrived[link].insert(0, message)

    def _returned(self, step: Return) -> None:
        client = self._clients[self._calls[step.call].client]
        client.open = None
        self.answers.pop(step.call, None)
        if step.answer is None and step.type == "info":
            client.process += len(self._clients)
            client.serial = 0


def _node(step: Step) -> str:
    """Whose step it is; only nodes send."""
    assert isinstance(step, Start | Deliver | Timeout | Persist | Submit)
    return step.node
