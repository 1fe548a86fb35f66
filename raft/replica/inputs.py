"""The inputs of a replica, as data: one type for each of its input methods.

A run of a node is its start and its turns: the inputs that it took, and one `advance` after them. `apply` gives an
input to a replica. Times are those of the node's own clock, in µs.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from raft_chaos.raft.replica.command import Read
from raft_chaos.raft.replica.replica import Replica
from raft_chaos.raft.state.messages import Message


class Received(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="r"):
    """The message (sender, sender_inc, number) arrived."""

    sender: str
    sender_inc: int
    number: int
    message: Message
    now_us: int


class Ticked(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="t"):
    """Its timer fired."""

    now_us: int


class Persisted(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="p"):
    """The write whose last record is `lsn` is durable."""

    lsn: int
    now_us: int


class Submitted(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="s"):
    """A client submitted a command (`raft.replica.command.Command`, encoded), or a change of the members
    (`raft.state.configuration.Change`, encoded)."""

    command: bytes
    now_us: int


class ReadAsked(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="q"):
    """A client asked for a read without a log entry."""

    read: Read
    now_us: int


class TransferAsked(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="l"):
    """Somebody asked for a transfer of the leadership to `target`; None: to whoever is most up to date."""

    target: str | None
    now_us: int


Input: TypeAlias = Received | Ticked | Persisted | Submitted | ReadAsked | TransferAsked


def apply(replica: Replica, given: Input, token: Any = None) -> bool:
    """Gives the input to the replica; the answer to a client will carry `token`. False: whoever asked was refused."""
    match given:
        case Received(sender, _, _, message, now_us):
            replica.receive(sender, message, now_us)
        case Ticked(now_us):
            replica.tick(now_us)
        case Persisted(lsn, now_us):
            replica.persisted(lsn, now_us)
        case Submitted(command, now_us):
            return replica.submit(token, command, now_us)
        case ReadAsked(read, now_us):
            return replica.read(token, read, now_us)
        case TransferAsked(target, now_us):
            return replica.transfer(target, now_us)
    return True
