"""Clients of a virtual cluster that has a leader: what they ask, and the history of it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from builders.schedules import LONGEST_US, NODES
from builders.virtual_cluster import Nodes
from raft_chaos.chaos.run.client_records import History
from raft_chaos.chaos.run.clients import OPERATION_TIMEOUT_US, Client
from raft_chaos.chaos.run.sim.door import LATENCY_US, Requests, VirtualDoor
from raft_chaos.chaos.run.sim.tasks import VirtualTasks
from raft_chaos.chaos.schedule.data import Operation, SimModel
from raft_chaos.invariants.events import AnsweredAgain
from raft_chaos.invariants.history import Op, OpFunction
from raft_chaos.raft.replica.command import Command, decode_command

ROUND_TRIP_US = 2 * LATENCY_US[1]
"""The longest way from a client to a node and back."""


class Workload:
    """Clients of a cluster with a leader. `ops` is the history, `commands` are (when, node, command) as they arrive."""

    def __init__(self, clients: int = 1, model: SimModel | None = None, names: Sequence[str] = NODES) -> None:
        self.ops: list[Op] = []
        self.again: list[AnsweredAgain] = []
        self.done: list[str] = []
        self.commands: list[tuple[int, str, Command]] = []
        self.requests = Requests(lambda: self)  # type: ignore[arg-type,return-value]
        self.nodes = Nodes(nodes=names, model=model, answer=self.requests.answer, broke=self.requests.broke)
        history = History(self.ops.append)
        scheduler = self.nodes.scheduler
        self.tasks = VirtualTasks(scheduler)
        self.doors = [VirtualDoor(f"c{place}", list(names), 1, self.requests, scheduler) for place in range(clients)]
        self.clients = [
            Client(
                name=f"c{place}",
                place=place,
                clients=clients,
                door=self.doors[place],
                history=history,
                tasks=self.tasks,
                now_us=lambda: scheduler.now_us,
                report=self.again.append,
            )
            for place in range(clients)
        ]
        self.leader = self.nodes.leader()
        self.follower, self.other = [*self.nodes.followers(self.leader), "", ""][:2]
        self.nodes.go(LONGEST_US)

    def submit(self, name: str, token: int, command: bytes, refused: Callable[[str | None], None]) -> bool:
        """A request arrives at a node; records it."""
        self.commands.append((self.now_us, name, decode_command(command)))
        return self.nodes.cluster.submit(name, token, command, refused)

    @property
    def now_us(self) -> int:
        return self.nodes.scheduler.now_us

    def perform(
        self, node: str, f: OpFunction = "append", value: str = "v", key: str = "k", client: int = 0, again: int = 0
    ) -> Operation:
        """The operation begins, at a client that believes this node to lead."""
        one = self.clients[client]
        one.believed = node
        number = sum(op.type == "invoke" for op in self.ops)
        operation = Operation(
            id=f"c{client}/{number}",
            client=f"c{client}",
            at_us=0,
            f=f,
            key=key,
            value=None if f == "get" else value,
            again=again,
        )
        self.spawn(one.perform(operation), lambda: self.done.append(operation.id))
        return operation

    def spawn(self, work: Coroutine[Any, Any, None], then: Callable[[], object] = lambda: None) -> None:
        async def one() -> None:
            await work
            then()

        self.tasks.spawn(one(), "a client")

    def ends(self) -> list[Op]:
        return [op for op in self.ops if op.type != "invoke"]

    def until_ended(self, count: int = 1) -> Op:
        self.nodes.until(lambda: len(self.ends()) >= count, within_us=3 * OPERATION_TIMEOUT_US)
        return self.ends()[count - 1]

    def asked(self) -> list[str]:
        return [node for _, node, _ in self.commands]

    def list_value(self) -> object:
        """The value of the operations' list, as the current leader has it."""
        leader = self.nodes.until(lambda: self.nodes.view.leader)
        before = len(self.ends())
        self.perform(leader, "get")
        return self.until_ended(before + 1).value
