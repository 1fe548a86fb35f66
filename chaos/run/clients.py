"""The workload: concurrent clients, the same in every world.

A client carries out its operations one after the other, each not before its time. It asks the node that it takes for
the leader, follows redirects, and asks the next node when nobody took the command; none of that can have had an effect.
Once a node may have taken it, only an answer makes the outcome known: where the target recognises a repeated command
(client and serial, §8) it is sent again until the operation's time is up, and then it is `info`.

How a command reaches a node, and what comes back, is the world's own: its `Door`.
"""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, Protocol

from raft_chaos.chaos.run.client_records import OPERATION_TIMEOUT_S, RETRY_S, ClientRecord, History, Outcome
from raft_chaos.chaos.run.tasks import Tasks
from raft_chaos.chaos.schedule.data import Operation

OPERATION_TIMEOUT_US = round(OPERATION_TIMEOUT_S * 1e6)
RETRY_US = round(RETRY_S * 1e6)


@dataclass(frozen=True)
class NoAnswer:
    """What came back instead of an answer, and in `error` why ("": nothing new is known). `ask_next` is where the
    leader is, if a node named it."""

    may_have_happened: bool
    error: str
    ask_next: str = ""


class Door(Protocol):
    """How one client reaches the nodes. An address is whatever the door makes of it."""

    knows_repeats: bool
    """Whether the target recognises a command that it has seen before."""

    def addresses(self) -> list[str]:
        """Of all nodes that have ever been up, in the order of the nodes."""
        ...

    def command(self, operation: Operation, session: str, serial: int) -> Any:
        """The operation as it is sent."""
        ...

    def ask(self, address: str, command: Any, within_us: int) -> Awaitable[Outcome | NoAnswer]:
        """Sends it, and waits for what comes back at most so long."""
        ...


class Client:
    """One client: the one at `place` among `clients`. One operation is open at a time."""

    def __init__(
        self, *, name: str, place: int, clients: int, door: Door, history: History, tasks: Tasks, now_us: Any
    ) -> None:
        self.name = name
        self._record = ClientRecord(name=name, place=place, clients=clients, history=history, now_us=now_us)
        self._door = door
        self._tasks = tasks
        self.believed = ""
        """The address that it asks first, where it last found the leader; "": it has asked none yet."""

    async def run(self, operations: list[Operation], until_us: int) -> None:
        """Carries out the operations, and begins none after `until_us`: a client that has waited for answers in vain
        for long leaves the rest undone."""
        for operation in operations:
            if max(self._tasks.now_us, operation.at_us) > until_us:
                return
            await self._tasks.sleep_until(operation.at_us)
            await self.perform(operation)

    async def perform(self, operation: Operation, *, final: bool = False) -> None:
        """One operation, from its invocation to whatever is known of its end."""
        self._record.invoked(operation, final=final)
        self._record.ended(operation, await self._outcome(operation), final=final)

    async def _outcome(self, operation: Operation) -> Outcome:
        command = self._door.command(operation, self._record.session, self._record.next_serial())
        ends_us = self._tasks.now_us + OPERATION_TIMEOUT_US
        may_have_happened, error = False, "no node took it"
        while (left_us := ends_us - self._tasks.now_us) > 0:
            self.believed = self.believed or self._after("")
            if not self.believed:
                await self._wait(ends_us)
                continue
            reply = await self._door.ask(self.believed, command, left_us)
            if isinstance(reply, Outcome):
                return reply
            error = reply.error or error
            may_have_happened = may_have_happened or reply.may_have_happened
            if may_have_happened and not self._door.knows_repeats:
                break
            if self._tasks.now_us >= ends_us:
                break  # a node that said nothing may only be slow: the next operation asks it again
            self.believed = reply.ask_next or self._after(self.believed)
            if not reply.ask_next:
                await self._wait(ends_us)
        return Outcome("info" if may_have_happened else "fail", error=error)

    async def _wait(self, ends_us: int) -> None:
        """A little, before it asks again."""
        await self._tasks.sleep_until(min(self._tasks.now_us + RETRY_US, ends_us))

    def _after(self, address: str) -> str:
        """The address after that one; "" while no node has ever been up."""
        addresses = self._door.addresses()
        if not addresses:
            return ""
        if address in addresses:
            return addresses[(addresses.index(address) + 1) % len(addresses)]
        return addresses[self._record.process % len(addresses)]
