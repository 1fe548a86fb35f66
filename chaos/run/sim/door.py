"""How clients reach nodes in virtual time: requests are inputs of the nodes, where live clients use HTTP.

A request takes a short time to reach its node, and so does the answer on its way back. A node that does not lead names
the leader if it knows one. A node that is down refuses the connection. A node that goes down leaves its clients without
an answer. A paused node does not answer before the operation's time is up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator
from types import coroutine

from raft_chaos.chaos.run.sim.cluster import VirtualCluster
from raft_chaos.chaos.run.sim.draws import Draws
from raft_chaos.chaos.run.sim.scheduler import Scheduler
from raft_chaos.chaos.run.sim.tasks import GoOn, Subscribe
from raft_chaos.chaos.schedule.data import Operation
from raft_chaos.chaos.targets.door import NoAnswer, Outcome
from raft_chaos.invariants.history import on_key
from raft_chaos.raft.replica.command import Command, Read, encode_command
from raft_chaos.raft.replica.output import Reply
from raft_chaos.raft.replica.result import Result

LATENCY_US = (100, 500)
"""The latency between a client and a node, each way."""

NOT_SENT = NoAnswer(False, "")
NOT_ANSWERED = NoAnswer(True, "no answer in time")


class Requests:
    """All open requests: which client waits for which answer."""

    def __init__(self, cluster: Callable[[], VirtualCluster]) -> None:
        self._cluster = cluster
        self._open: dict[int, tuple[str, Callable[[Outcome | NoAnswer], None]]] = {}
        self._number = 0

    def send(self, node: str, command: bytes | Read, reply: Callable[[Outcome | NoAnswer], None]) -> None:
        """The command arrives at the node now; calls `reply` once, when the node answers, refuses or goes down."""
        self._number += 1
        number = self._number
        self._open[number] = (node, reply)

        def refused(leader: str | None) -> None:
            """The node does not lead; it may know the leader."""
            self._end(number, NoAnswer(False, "redirected" if leader else "no leader known", leader or ""))

        if not self._cluster().submit(node, number, command, refused):
            self._end(number, NoAnswer(False, "cannot connect: Connection refused"))

    def answer(self, node: str, reply: Reply) -> None:
        """The end of a submission: the node applied the command, or lost the leadership first. Or that of a read."""
        result = reply.result
        if reply.is_read:
            refused = NoAnswer(False, "not taken: it lost its leadership first")
            incarnation = self._cluster().incarnation(node)
            self._end(reply.token, refused if result is None else _read(reply, result, node, incarnation))
            return
        unknown = NoAnswer(True, "outcome unknown (status 504)")
        self._end(reply.token, unknown if result is None else _outcome(reply, result))

    def unanswered(self) -> list[str]:
        """What nodes that are up took and have neither answered nor refused, a phrase for each node."""
        open_at = Counter(node for node, _ in self._open.values())
        return [f"answers to requests that {node} took ({number})" for node, number in sorted(open_at.items())]

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

    def __init__(self, client: str, nodes: list[str], seed: int, requests: Requests, scheduler: Scheduler) -> None:
        self._nodes = nodes
        self.requests = requests
        self.scheduler = scheduler
        self._latencies = Draws(seed, f"client/{client}", 1)
        self._trips = 0

    def addresses(self) -> list[str]:
        return self._nodes

    def address_of(self, node: str) -> str:
        return node

    def command(self, operation: Operation, session: str, serial: int, since: int = 0) -> bytes | Read:
        if operation.consistency is not None:
            return Read(operation.key, operation.consistency, session, serial)
        value = operation.value if isinstance(operation.value, str) else None
        expected = operation.expected if isinstance(operation.expected, str) else None
        return encode_command(Command(on_key(operation.f), operation.key, value, expected, session, serial, since))

    @coroutine
    def ask(
        self, address: str, command: bytes | Read, within_us: int
    ) -> Generator[Subscribe, None, Outcome | NoAnswer]:
        asking = _Asking(self, address, command, self.scheduler.now_us + within_us)
        yield asking.begin
        return asking.reply

    def trip_us(self) -> int:
        """How long the next trip takes, in either direction."""
        self._trips += 1
        least, most = LATENCY_US
        return least + int((most - least) * self._latencies.one(self._trips))


class _Asking:
    """One request, from the client's point of view: on its way, at the node, on its way back, or too late."""

    __slots__ = ("_address", "_command", "_door", "_ends_us", "_go_on", "reply")

    def __init__(self, door: VirtualDoor, address: str, command: bytes | Read, ends_us: int) -> None:
        self._door = door
        self._address = address
        self._command = command
        self._ends_us = ends_us
        self._go_on: GoOn | None = None
        self.reply: Outcome | NoAnswer = NOT_SENT

    def begin(self, go_on: GoOn) -> None:
        self._go_on = go_on
        scheduler = self._door.scheduler
        arrives_us = scheduler.now_us + self._door.trip_us()
        if arrives_us >= self._ends_us:
            scheduler.at(self._ends_us, self._over)
        else:
            scheduler.at(arrives_us, self._arrived)

    def _arrived(self, _: object) -> None:
        """The request is at the node. Until an answer comes, the node may carry out the command."""
        self.reply = NOT_ANSWERED
        self._door.requests.send(self._address, self._command, self._replied)
        self._door.scheduler.at(self._ends_us, self._over)

    def _replied(self, reply: Outcome | NoAnswer) -> None:
        """The answer travels back, also to a client that no longer waits for it."""
        self._door.scheduler.after(self._door.trip_us(), self._came_back, reply)

    def _came_back(self, reply: Outcome | NoAnswer) -> None:
        if self._go_on is not None:
            self.reply = reply
            self._over(None)

    def _over(self, _: object) -> None:
        go_on, self._go_on = self._go_on, None
        if go_on is not None:
            go_on(None)


def _outcome(reply: Reply, result: Result) -> Outcome:
    """The outcome of an applied command, as the HTTP API reports it."""
    return Outcome("ok" if result.ok else "fail", result.value, reply.index, reply.term, result.error)


def _read(reply: Reply, result: Result, node: str, incarnation: int) -> Outcome:
    """The outcome of a read without a log entry."""
    return Outcome("ok", result.value, reply.index, reply.term, node=node, inc=incarnation)
