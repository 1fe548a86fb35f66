"""The workload in virtual time: what the live clients do over HTTP, as inputs of the nodes.

A request takes a little while to reach its node, and its answer to come back. A node that does not lead names whom it
knows to, one that is down refuses, one that goes down leaves its clients without an answer, and one that is
paused says nothing until the operation's time is up. What a client makes of each is what the live client makes of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from raft_chaos.chaos.run.client_records import OPERATION_TIMEOUT_S, RETRY_S, ClientRecord, History, Outcome
from raft_chaos.chaos.run.sim.cluster import VirtualCluster
from raft_chaos.chaos.run.sim.draws import Draws
from raft_chaos.chaos.run.sim.scheduler import Scheduler
from raft_chaos.chaos.schedule.data import Operation
from raft_chaos.raft.replica.machine import Command, Result, encode_command
from raft_chaos.raft.replica.replica import Reply

OPERATION_TIMEOUT_US = round(OPERATION_TIMEOUT_S * 1e6)
RETRY_US = round(RETRY_S * 1e6)
LATENCY_US = (100, 500)
"""Between a client and a node, each way."""


@dataclass
class _Request:
    """One command on its way to one node, and until the answer is back. `number` is its token."""

    number: int
    client: VirtualClient
    node: str


class Requests:
    """All requests that are open: which client each answer is for."""

    def __init__(self, cluster: Callable[[], VirtualCluster]) -> None:
        self._cluster = cluster
        self._open: dict[int, _Request] = {}
        self._number = 0

    def number(self) -> int:
        """A number for a new request; whoever sends it must know it before the answer can come."""
        self._number += 1
        return self._number

    def send(self, number: int, client: VirtualClient, node: str, command: bytes) -> None:
        """The command arrives at the node now."""
        self._open[number] = _Request(number, client, node)

        def refused(leader: str | None) -> None:
            self._ended(number, lambda c: c.refused(number, leader))

        if not self._cluster().submit(node, number, command, refused):
            self._ended(number, lambda c: c.no_answer(number, False, "cannot connect: Connection refused"))

    def answer(self, node: str, reply: Reply) -> None:
        """The end of a submission, from the node that took it."""
        self._ended(reply.token, lambda client: client.answered(reply))

    def broke(self, node: str) -> None:
        """The node went down, and its clients' connections with it."""
        for number in [number for number, request in self._open.items() if request.node == node]:
            self._broke(number)

    def _broke(self, number: int) -> None:
        self._ended(number, lambda client: client.no_answer(number, True, "the connection broke"))

    def _ended(self, number: int, tell: Callable[[VirtualClient], None]) -> None:
        request = self._open.pop(number, None)
        if request is not None:
            tell(request.client)


class VirtualClient:
    """One client of the workload: the one at `place` among `clients`. One operation is open at a time."""

    def __init__(
        self,
        *,
        name: str,
        place: int,
        clients: int,
        nodes: list[str],
        seed: int,
        requests: Requests,
        history: History,
        scheduler: Scheduler,
    ) -> None:
        self._record = ClientRecord(
            name=name, place=place, clients=clients, history=history, now_us=lambda: scheduler.now_us
        )
        self._nodes = nodes
        self._requests = requests
        self._scheduler = scheduler
        self._latencies = Draws(seed, f"client/{name}", 1)
        self._trips = 0
        self._believed = ""
        self._operation: Operation | None = None
        self._final = False
        self._done: Callable[[], None] = lambda: None
        self._command = b""
        self._asked = 0  # the request that is waited for; an answer to an earlier one comes too late
        self._may_have_happened = False
        self._error = ""

    def run(self, operations: list[Operation], until_us: int, done: Callable[[], None]) -> None:
        """Carries out the operations one after the other, and begins none after `until_us`; calls `done` at the end."""
        waiting = iter(operations)

        def next_one() -> None:
            operation = next(waiting, None)
            if operation is None or max(self._scheduler.now_us, operation.at_us) > until_us:
                done()
            else:
                self._scheduler.at(operation.at_us, lambda _: self.perform(operation, next_one))

        next_one()

    def perform(self, operation: Operation, done: Callable[[], None], *, final: bool = False) -> None:
        """One operation, from its invocation to whatever is known of its end."""
        self._operation, self._done, self._final = operation, done, final
        self._may_have_happened, self._error = False, "no node took it"
        record = self._record
        record.invoked(operation, final=final)
        value = operation.value if isinstance(operation.value, str) else None
        expected = operation.expected if isinstance(operation.expected, str) else None
        self._command = encode_command(
            Command(operation.f, operation.key, value, expected, record.session, record.next_serial())
        )
        self._scheduler.after(OPERATION_TIMEOUT_US, self._time_is_up, operation)
        self._believed = self._believed or self._nodes[record.process % len(self._nodes)]
        self._ask()

    def _ask(self) -> None:
        self._scheduler.after(self._latency_us(), self._arrives, self._operation)

    def _arrives(self, operation: Operation) -> None:
        if operation is self._operation:
            self._asked = self._requests.number()
            self._requests.send(self._asked, self, self._believed, self._command)

    # ---- what comes back ------------------------------------------------------------------------------------------

    def answered(self, reply: Reply) -> None:
        """The command is applied, or its node lost the leadership first."""
        result = reply.result
        if result is None:
            self.no_answer(reply.token, True, "outcome unknown (status 504)")
            return
        self._back(reply.token, lambda: self._end(_outcome(reply, result)))

    def refused(self, request: int, leader: str | None) -> None:
        """The node does not lead; perhaps it knows who does."""
        if leader is None:
            self.no_answer(request, False, "no leader known")
        else:
            self._back(request, lambda: self._ask_leader(leader))

    def no_answer(self, request: int, may_have_happened: bool, error: str) -> None:
        """Nobody answered; unless nothing can have happened, only an answer to the same command tells."""
        self._back(request, lambda: self._try_next(may_have_happened, error))

    def _ask_leader(self, leader: str) -> None:
        self._error = "redirected"
        self._believed = leader
        self._ask()

    def _try_next(self, may_have_happened: bool, error: str) -> None:
        self._may_have_happened = self._may_have_happened or may_have_happened
        self._error = error
        place = self._nodes.index(self._believed)
        self._believed = self._nodes[(place + 1) % len(self._nodes)]
        operation = self._operation
        self._scheduler.after(RETRY_US, lambda _: self._ask() if operation is self._operation else None)

    def _back(self, request: int, then: Callable[[], None]) -> None:
        """After the way back, unless the operation has ended by then or asks somebody else."""
        operation = self._operation

        def arrived(_: object) -> None:
            if operation is not None and operation is self._operation and request == self._asked:
                self._asked = 0
                then()

        self._scheduler.after(self._latency_us(), arrived)

    def _time_is_up(self, operation: Operation) -> None:
        if operation is self._operation:
            if self._asked:  # it may have the command, and may yet carry it out
                self._may_have_happened, self._error = True, "no answer in time"
            self._end(Outcome("info" if self._may_have_happened else "fail", error=self._error))

    def _end(self, outcome: Outcome) -> None:
        operation, self._operation, self._asked = self._operation, None, 0
        assert operation is not None
        self._record.ended(operation, outcome, final=self._final)
        self._done()

    def _latency_us(self) -> int:
        self._trips += 1
        least, most = LATENCY_US
        return least + int((most - least) * self._latencies.one(self._trips))


def _outcome(reply: Reply, result: Result) -> Outcome:
    """An applied command's end, as the HTTP API would tell it."""
    return Outcome("ok" if result.ok else "fail", result.value, reply.index, reply.term, result.error)
