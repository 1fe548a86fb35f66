"""The workload: concurrent clients, the same in every world.

A client carries out its operations one after the other, each at its time or later. It asks the node that it takes for
the leader, follows redirects, and asks the next node when a node did not take the command; none of these attempts can
have had an effect. Once a node may have taken the command, only an answer makes the outcome known. A target that
recognises repeated commands (client and serial, §8) gets the command again until the operation's time is up: a node
that does not answer soon may be cut off, so the next one is asked. Without an answer the outcome is then `info`.

Where the target has forgotten the client's session, the operation fails, and the client begins a new one. Commands of
the earlier one may still arrive again.

In some runs a command that was answered arrives again, as a late duplicate by the network (`Operation.again`), and
clients begin new sessions under the same name, while the nodes remember the old ones (`Operation.anew`).

An operation that names its node is asked of this node alone, once and with little patience. It is a read, which has no
effect: without an answer it has certainly failed.

So has every read that needs no log entry (`consistency`); one that goes through the log is a command like any other. A
read by ReadIndex or by a lease that names a node begins there, and follows redirects: so a client also comes to a
leader that was cut off, and from there to its successor.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from raft_chaos.chaos.run.client_records import (
    OPERATION_TIMEOUT_S,
    PATIENCE_S,
    PINNED_TIMEOUT_S,
    RETRY_S,
    ClientRecord,
    History,
)
from raft_chaos.chaos.run.tasks import Tasks
from raft_chaos.chaos.schedule.data import Operation
from raft_chaos.chaos.targets.door import Door, Outcome, is_expired
from raft_chaos.invariants.events import HARNESS, AnsweredAgain

OPERATION_TIMEOUT_US = round(OPERATION_TIMEOUT_S * 1e6)
PINNED_TIMEOUT_US = round(PINNED_TIMEOUT_S * 1e6)
PATIENCE_US = round(PATIENCE_S * 1e6)
RETRY_US = round(RETRY_S * 1e6)
REMEMBERED = 4
"""So many commands a client keeps: a late duplicate is one of the last few."""


class _Answered(NamedTuple):
    """An operation with its command as it was sent, and its answer. A log entry decided it, also where it failed."""

    op: str
    command: Any
    outcome: Outcome


class Client:
    """One client: the one at `place` among `clients`. One operation is open at a time."""

    def __init__(
        self,
        *,
        name: str,
        place: int,
        clients: int,
        door: Door,
        history: History,
        tasks: Tasks,
        now_us: Any,
        report: Callable[[AnsweredAgain], None] = lambda event: None,
    ) -> None:
        self.name = name
        self._now_us = now_us
        self._report = report
        self._answered: deque[_Answered] = deque(maxlen=REMEMBERED)
        self._record = ClientRecord(name=name, place=place, clients=clients, history=history, now_us=now_us)
        self._door = door
        self._tasks = tasks
        self.believed = ""
        """The address that it asks first: where it last found the leader; "" before its first request."""

    async def run(self, operations: list[Operation], until_us: int) -> None:
        """Carries out the operations, and begins none after `until_us`: a client that waited too long for answers
        skips the rest."""
        for operation in operations:
            if max(self._tasks.now_us, operation.at_us) > until_us:
                return
            await self._tasks.sleep_until(operation.at_us)
            await self.perform(operation)

    async def perform(self, operation: Operation) -> Outcome:
        """One operation, from its invocation to its outcome."""
        if operation.again and self._door.knows_repeats:
            await self._again(operation.again)
        if operation.anew:
            self._record.begins_anew()
        self._record.invoked(operation)
        if operation.node is not None and operation.consistency in ("read_index", "lease"):
            self.asks_next(operation.node)
            outcome = await self._outcome(operation)
        else:
            outcome = await (
                self._outcome(operation) if operation.node is None else self._at(operation.node, operation)
            )
        self._record.ended(operation, outcome)
        if outcome.type == "info":
            self._answered.clear()  # a new session
        return outcome

    def asks_next(self, node: str) -> None:
        """The next operation begins at this node."""
        self.believed = self._door.address_of(node)

    async def _at(self, node: str, operation: Operation) -> Outcome:
        """The outcome of a read at one node."""
        command = self._door.command(operation, self._record.session, self._record.next_serial())
        address = self._door.address_of(node)
        if not address:
            return Outcome("fail", error="the node has never been up")
        reply = await self._door.ask(address, command, PINNED_TIMEOUT_US)
        return reply if isinstance(reply, Outcome) else Outcome("fail", error=reply.error)

    async def _again(self, ago: int) -> None:
        """The command of `ago` answers ago arrives once more where the leader was, as if the network had kept a copy.

        It is no operation of the history: the client had its answer. The second answer is reported.
        """
        if not ago <= len(self._answered) or not self.believed:
            return
        first = self._answered[-ago]
        reply = await self._door.ask(self.believed, first.command, PINNED_TIMEOUT_US)
        if isinstance(reply, Outcome):
            self._report(
                AnsweredAgain(
                    node=HARNESS,
                    inc=1,
                    t_us=self._now_us(),
                    client=self.name,
                    op=first.op,
                    first_refused=first.outcome.type != "ok",
                    refused=reply.type != "ok",
                    first_value=first.outcome.value,
                    first_index=first.outcome.index,
                    value=reply.value,
                    index=reply.index,
                    error=reply.error,
                )
            )

    async def _outcome(self, operation: Operation) -> Outcome:
        command = self._door.command(operation, self._record.session, self._record.next_serial(), self._record.since)
        ends_us = self._tasks.now_us + OPERATION_TIMEOUT_US
        may_have_happened, error = False, "no node took it"
        patience_us = PATIENCE_US if self._door.knows_repeats else OPERATION_TIMEOUT_US
        while (left_us := ends_us - self._tasks.now_us) > 0:
            self.believed = self.believed or self._after("")
            if not self.believed:
                await self._wait(ends_us)
                continue
            reply = await self._door.ask(self.believed, command, min(left_us, patience_us))
            if isinstance(reply, Outcome):
                if is_expired(reply):
                    return self._expired(reply, may_have_happened)
                if operation.consistency is None and (reply.type == "ok" or reply.index is not None):
                    self._answered.append(_Answered(operation.id, command, reply))
                return reply
            error = reply.error or error
            may_have_happened = may_have_happened or (reply.may_have_happened and operation.consistency is None)
            if may_have_happened and not self._door.knows_repeats:
                break
            if self._tasks.now_us >= ends_us:
                break  # a node that did not answer may only be slow: the next operation asks it again
            self.believed = reply.ask_next or self._after(self.believed)
            if not reply.ask_next:
                await self._wait(ends_us)
        return Outcome("info" if may_have_happened else "fail", error=error)

    def _expired(self, reply: Outcome, may_have_happened: bool) -> Outcome:
        """The outcome of an operation whose session has expired. This copy of its command was not applied, and no later
        one will be. But an earlier copy may have been, before the session was forgotten."""
        assert reply.index is not None
        self._record.expired(reply.index)
        return Outcome("info" if may_have_happened else "fail", error=reply.error)

    async def _wait(self, ends_us: int) -> None:
        """Waits a little before the next attempt."""
        await self._tasks.sleep_until(min(self._tasks.now_us + RETRY_US, ends_us))

    def _after(self, address: str) -> str:
        """The address after this one; "" if no node has been up yet."""
        addresses = self._door.addresses()
        if not addresses:
            return ""
        if address in addresses:
            return addresses[(addresses.index(address) + 1) % len(addresses)]
        return addresses[self._record.process % len(addresses)]
