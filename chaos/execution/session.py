"""A session builds an execution step by step: the caller chooses each step after seeing the results of earlier ones.

It runs a cluster in this process and keeps the state that a caller needs: which messages are in flight, which
operations are open, which of them are answered, and which nodes are up. It keeps only steps that can be done, so the
execution can be played in strict mode at any time.
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
    """One client. After an operation of unknown outcome it continues as a new process (`chaos.run.client_records`)."""

    name: str
    process: int
    serial: int = 0
    open: str | None = None


class Session:
    """A cluster whose `nodes` are all up, with `clients` that have invoked nothing yet.

    `violation` is the first violation that a step caused; later ones do not replace it.
    """

    def __init__(self, nodes: Sequence[str], clients: Sequence[str], *, timing: Timing, parts: Parts) -> None:
        self.nodes = list(nodes)
        self.links: list[Link] = [(sender, to) for sender in nodes for to in nodes if sender != to]
        self.in_flight: dict[Link, list[Deliver]] = {link: [] for link in self.links}
        """The messages of each link that have not arrived yet, oldest first, as the steps that would deliver them."""
        self.arrived: dict[Link, list[Deliver]] = {link: [] for link in self.links}
        """The messages of each link that arrived or were lost, and may arrive again, latest first."""
        self.answers: dict[str, int] = {}
        """For each open operation that is answered, by its id: the number of the step that submitted it."""
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
        """Does one step. Raises ExecutionError if it cannot be done."""
        self._check_names(step)
        steps = self.player.execution.steps
        steps.append(step)  # before it is done, since its results refer to it
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
        """The client invokes an operation; a `Submit` step must then submit it to a node.

        Raises ExecutionError for an unknown client, or if the client has an open operation.
        """
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
        self.player.add_call(call)
        self.do(Invoke(call.id))
        who.open = call.id
        return call

    def lose(self, links: Sequence[Link]) -> None:
        """Loses the messages in flight on these links. This is not a step: no later step delivers them."""
        for link in links:
            self.arrived[link][:0] = reversed(self.in_flight[link])
            self.in_flight[link] = []

    # ---- the cluster's state --------------------------------------------------------------------------------------

    def running(self, node: str) -> SteppedNode | None:
        """The running incarnation of the node, or None."""
        driven = self.player.nodes[node].driven
        assert driven is None or isinstance(driven, SteppedNode)
        return driven

    def is_down(self, node: str) -> bool:
        """Whether the node can be started. A node that ended by itself cannot."""
        return self.player.nodes[node].state == "down"

    def is_writing(self, node: str) -> bool:
        """Whether the node has a write under way."""
        return self.player.nodes[node].write_lsn > 0

    def unsynced_bytes(self, node: str) -> int:
        """The number of bytes that a crash of the node would lose."""
        running = self.running(node)
        return 0 if running is None else running.disk.unsynced_bytes(FILE)

    def open_call(self, client: str) -> Call | None:
        """The operation that the client waits for, or None."""
        waits_for = self._clients[client].open
        return None if waits_for is None else self._calls[waits_for]

    def _check_names(self, step: Step) -> None:
        tag = step.__struct_config__.tag
        if isinstance(step, NodeStep) and step.node not in self.nodes:
            raise ExecutionError(f"{tag}: node {step.node!r} is unknown; expected one of {', '.join(self.nodes)}")
        if isinstance(step, Submit | Invoke | Return) and step.call not in self._calls:
            raise ExecutionError(f"{tag}: call {step.call!r} is unknown; `begin` makes one")

    # ---- the results of a step ------------------------------------------------------------------------------------

    def _acted(self, number: int, report: StepReport) -> None:
        steps = self.player.execution.steps
        to_each: dict[str, int] = {}
        for to, _, _ in report.sends:
            nth = to_each[to] = to_each.get(to, -1) + 1
            self.in_flight[_node(steps[number]), to].append(Deliver(number, to, nth))
        for reply in report.replies:
            submitted = steps[reply.token]
            assert isinstance(submitted, Submit)
            client = self._clients[self._calls[submitted.call].client]
            if reply.result is not None and client.open == submitted.call:
                self.answers[submitted.call] = reply.token

    def _arrives(self, step: Deliver) -> None:
        """Moves the message that the step names from `in_flight` to `arrived`."""
        message = Deliver(step.sent_by, step.node, step.nth)
        link = _node(self.player.execution.steps[step.sent_by]), step.node
        for where in (self.in_flight[link], self.arrived[link]):
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
    """The node of a step. Only steps of nodes send messages."""
    assert isinstance(step, Start | Deliver | Timeout | Persist | Submit)
    return step.node
