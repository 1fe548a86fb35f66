"""The door of a target: how a client sends an operation to a node, and what can come back.

A `Door` belongs to one client. Only the door interprets an address; a client only passes it on. Each world has its own
doors: in real time a target's, in virtual time the scheduler's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from raft_chaos.chaos.schedule.data import Operation
from raft_chaos.invariants.history import OpType, Value
from raft_chaos.raft.replica.machine import EXPIRED

REFUSED = "refused for its value"
"""How the error of an operation begins that the target carried out, and refused for the value that it found."""


@dataclass(frozen=True)
class Outcome:
    """How an operation ended. An answer to a read without a log entry also says which incarnation gave it."""

    type: OpType
    value: Value = None
    index: int | None = None
    term: int | None = None
    error: str | None = None
    node: str | None = None
    inc: int | None = None


def is_expired(outcome: Outcome) -> bool:
    """Whether the command was not applied, since the target may have forgotten its session (§8): what is sent in this
    session from now on is refused, too."""
    return outcome.type == "fail" and outcome.index is not None and (outcome.error or "").startswith(EXPIRED)


@dataclass(frozen=True)
class NoAnswer:
    """A request without an answer. `error` says why ("": no new reason is known); `ask_next` is the address of the
    leader, if a node named it."""

    may_have_happened: bool
    error: str
    ask_next: str = ""


@runtime_checkable
class Hears(Protocol):
    """A door that keeps the last answer as it came, shortened, for whoever looks for a mistake in a description."""

    heard: str


class Door(Protocol):
    """How one client reaches the nodes."""

    knows_repeats: bool
    """Whether the target recognises a command that it has seen before."""

    def addresses(self) -> list[str]:
        """The addresses of all nodes that have ever been up, in the order of the nodes."""
        ...

    def address_of(self, node: str) -> str:
        """The address of this node; "" if it has never been up."""
        ...

    def command(self, operation: Operation, session: str, serial: int, since: int = 0) -> Any:
        """The operation as it is sent. `since` is the index of a log entry before the session, if its client knows one:
        a door that has no such sessions leaves it out."""
        ...

    def ask(self, address: str, command: Any, within_us: int) -> Awaitable[Outcome | NoAnswer]:
        """Sends the command, and waits at most `within_us` for the answer."""
        ...


def known(address: str, urls: Mapping[str, str]) -> str:
    """The address that a node redirects to, if it is that of a node of this run; otherwise "", for any other node.

    Nothing else is asked: a node in a network namespace names a port of its own loopback, and the same port of this
    machine's loopback may be a stranger's.
    """
    return address if address in urls.values() else ""
