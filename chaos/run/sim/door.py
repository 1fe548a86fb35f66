"""How clients reach nodes in virtual time: what the live clients do over HTTP, as inputs of the nodes.

A request takes a little while to reach its node, and its answer to come back. A node that does not lead names whom it
knows to, one that is down refuses, one that goes down leaves its clients without an answer, and one that is paused says
nothing until the operation's time is up.
"""

from __future__ import annotations

from collections.abc import Callable

from raft_chaos.chaos.run.client_records import Outcome
from raft_chaos.chaos.run.clients import NoAnswer
from raft_chaos.chaos.run.sim.cluster import VirtualCluster
from raft_chaos.chaos.run.sim.draws import Draws
from raft_chaos.chaos.run.sim.scheduler import Scheduler
from raft_chaos.chaos.run.sim.tasks import VirtualTasks
from raft_chaos.chaos.schedule.data import Operation
from raft_chaos.raft.replica.machine import Command, Result, encode_command
from raft_chaos.raft.replica.replica import Reply

LATENCY_US = (100, 500)
"""Between a client and a node, each way."""


class Requests:
    """All requests that are open: who waits for which answer."""

    def __init__(self, cluster: Callable[[], VirtualCluster]) -> None:
        self._cluster = cluster
        self._open: dict[int, tuple[str, Callable[[Outcome | NoAnswer], None]]] = {}
        self._number = 0

    def send(self, node: str, command: bytes, reply: Callable[[Outcome | NoAnswer], None]) -> None:
        """The command arrives at the node now; `reply` is called once, as soon as the node says or does something."""
        self._number += 1
        number = self._number
        self._open[number] = (node, reply)

        def refused(leader: str | None) -> None:
            """It does not lead; perhaps it knows who does."""
            self._end(number, NoAnswer(False, "redirected" if leader else "no leader known", leader or ""))

        if not self._cluster().submit(node, number, command, refused):
            self._end(number, NoAnswer(False, "cannot connect: Connection refused"))

    def answer(self, node: str, reply: Reply) -> None:
        """The end of a submission: the command is applied, or its node lost the leadership first."""
        result = reply.result
        unknown = NoAnswer(True, "outcome unknown (status 504)")
        self._end(reply.token, unknown if result is None else _outcome(reply, result))

    def broke(self, node: str) -> None:
        """The node went down, and its clients' connections with it."""
        for number in [number for number, (to, _) in self._open.items() if to == node]:
            self._end(number, NoAnswer(True, "the connection broke"))

    def _end(self, number: int, how: Outcome | NoAnswer) -> None:
        if (request := self._open.pop(number, None)) is not None:
            request[1](how)


class VirtualDoor:
    """See `Door`. An address is a node's name."""

    knows_repeats = True

    def __init__(
        self, client: str, nodes: list[str], seed: int, requests: Requests, scheduler: Scheduler, tasks: VirtualTasks
    ) -> None:
        self._nodes = nodes
        self._requests = requests
        self._scheduler = scheduler
        self._tasks = tasks
        self._latencies = Draws(seed, f"client/{client}", 1)
        self._trips = 0

    def addresses(self) -> list[str]:
        return self._nodes

    def command(self, operation: Operation, session: str, serial: int) -> bytes:
        value = operation.value if isinstance(operation.value, str) else None
        expected = operation.expected if isinstance(operation.expected, str) else None
        return encode_command(Command(operation.f, operation.key, value, expected, session, serial))

    async def ask(self, address: str, command: bytes, within_us: int) -> Outcome | NoAnswer:
        ends_us = self._tasks.now_us + within_us
        arrives_us = self._tasks.now_us + self._trip_us()
        if arrives_us >= ends_us:
            await self._tasks.sleep_until(ends_us)
            return NoAnswer(False, "")
        await self._tasks.sleep_until(arrives_us)
        came_back = self._tasks.signal()
        replies: list[Outcome | NoAnswer] = []

        def reply(how: Outcome | NoAnswer) -> None:
            """On its way back, also to a client that no longer waits for it."""
            replies.append(how)
            self._scheduler.after(self._trip_us(), lambda _: came_back.set())

        self._requests.send(address, command, reply)
        await self._tasks.first(came_back, within_us=ends_us - self._tasks.now_us)
        # Without an answer it may have the command, and may yet carry it out.
        return replies[0] if came_back.is_set else NoAnswer(True, "no answer in time")

    def _trip_us(self) -> int:
        self._trips += 1
        least, most = LATENCY_US
        return least + int((most - least) * self._latencies.one(self._trips))


def _outcome(reply: Reply, result: Result) -> Outcome:
    """An applied command's end, as the HTTP API would tell it."""
    return Outcome("ok" if result.ok else "fail", result.value, reply.index, reply.term, result.error)
