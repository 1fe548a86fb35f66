"""A session builds an execution step by step: the caller chooses each step after seeing the results of earlier ones.

It runs a cluster in this process and keeps the state that a caller needs: which messages are in flight, which
operations are open, which of them are answered, and which nodes are up. It keeps only steps that can be done, so the
execution can be played in strict mode at any time, if the disks were empty at the start.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count

from raft_chaos.chaos.execution.hand_driven_network import HandDrivenNetwork
from raft_chaos.chaos.execution.player import Link, Player
from raft_chaos.chaos.execution.steps import (
    Call,
    Deliver,
    Execution,
    ExecutionError,
    Invoke,
    NodeStep,
    Return,
    Step,
    Submit,
)
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.chaos.run.nodes.stepped_node import SteppedNode
from raft_chaos.invariants.history import OpFunction
from raft_chaos.invariants.verdict import Violation
from raft_chaos.raft.replica.output import Reply
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.state.timing import Timing
from raft_chaos.raft.storage.disk import MemoryDisk


@dataclass
class _Client:
    """One client. After an operation of unknown outcome it continues as a new process (`chaos.run.client_records`)."""

    name: str
    process: int
    serial: int = 0
    open: str | None = None


class Session:
    """A cluster whose nodes `names` have not started yet, with `clients` that have invoked nothing yet.

    `disks` are the disks of nodes that do not start with an empty one. `violation` is the first violation that a step
    caused; later ones do not replace it.
    """

    def __init__(
        self,
        names: Sequence[str],
        clients: Sequence[str],
        *,
        timing: Timing,
        parts: Parts,
        disks: Mapping[str, MemoryDisk] | None = None,
    ) -> None:
        self.names = list(names)
        self.links: list[Link] = [(sender, to) for sender in names for to in names if sender != to]
        self.network = HandDrivenNetwork(self.links)
        self.answers: dict[str, int] = {}
        """For each open operation that is answered, by its id: the number of the step that submitted it."""
        self.violation: Violation | None = None
        self.player = Player(
            Execution(seed=0, nodes=self.names, timing=timing, calls=[], steps=[]), MemoryDriver(parts, disks)
        )
        self._clients = {name: _Client(name, place) for place, name in enumerate(clients)}
        self._numbers = count()

    @property
    def execution(self) -> Execution:
        """The steps so far."""
        grown = self.player.execution
        return Execution(
            seed=grown.seed, nodes=self.names, timing=grown.timing, calls=list(grown.calls), steps=list(grown.steps)
        )

    # ---- steps ----------------------------------------------------------------------------------------------------

    def do(self, step: Step) -> None:
        """Does one step. Raises ExecutionError if it cannot be done."""
        self._check_names(step)
        if impossible := self.attempt(step):
            raise ExecutionError(f"{step.__struct_config__.tag}: {impossible}")

    def attempt(self, step: Step) -> str:
        """Does one step, whose names are valid. Returns why it cannot be done, or ""."""
        steps = self.player.execution.steps
        number = len(steps)
        if impossible := self.player.do(number, step):
            return impossible
        steps.append(step)
        self.network.send(self.player.sent.get(number, ()))
        if isinstance(step, Deliver):
            self.network.take(self.player.sent_to(step)[step.nth])
        elif isinstance(step, Return):
            self._returned(step)
        if self.player.report is not None:
            self._answered(self.player.report.replies)
        found = self.player.judge.new_violations()
        if found and self.violation is None:
            self.violation = found[0]
        return ""

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
        self.add_call(call)
        self.do(Invoke(call.id))
        who.open = call.id
        return call

    def add_call(self, call: Call) -> None:
        """Later steps may name this call."""
        self.player.execution.calls.append(call)
        self.player.calls[call.id] = call

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
        return node in self.player.writing

    def unsynced_bytes(self, node: str) -> int:
        """How much a crash of the node would lose: of bytes, and of changes of names, each of which counts as one."""
        running = self.running(node)
        return 0 if running is None else running.disk.unsynced()

    def open_call(self, client: str) -> Call | None:
        """The operation that the client waits for, or None."""
        waits_for = self._clients[client].open
        return None if waits_for is None else self.player.calls[waits_for]

    def submitted(self, reply: Reply) -> Call:
        """The call that the reply answers."""
        step = self.player.execution.steps[reply.token]
        assert isinstance(step, Submit)
        return self.player.calls[step.call]

    def _check_names(self, step: Step) -> None:
        tag = step.__struct_config__.tag
        if isinstance(step, NodeStep) and step.node not in self.names:
            raise ExecutionError(f"{tag}: node {step.node!r} is unknown; expected one of {', '.join(self.names)}")
        if isinstance(step, Submit | Invoke | Return) and step.call not in self.player.calls:
            raise ExecutionError(f"{tag}: call {step.call!r} is unknown; `begin` makes one")

    # ---- the results of a step ------------------------------------------------------------------------------------

    def _answered(self, replies: Sequence[Reply]) -> None:
        for reply in replies:
            call = self.submitted(reply)
            client = self._clients.get(call.client)
            if reply.result is not None and client is not None and client.open == call.id:
                self.answers[call.id] = reply.token

    def _returned(self, step: Return) -> None:
        client = self._clients[self.player.calls[step.call].client]
        client.open = None
        self.answers.pop(step.call, None)
        if step.answer is None and step.type == "info":
            client.process += len(self._clients)
            client.serial = 0
