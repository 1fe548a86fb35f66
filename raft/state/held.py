"""The actions that wait until a record is durable, as data that can be shown, copied and compared.

`Pending` holds these actions, each under the number of the record that it waits for; the core carries them out. (etcd's
raft library does the same: its messages to storage carry the responses to send once the write is done.)
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from raft_chaos.invariants.events import CommitAdvanced, Event, SnapshotInstalled
from raft_chaos.raft.state.messages import Message


class SendMessage(msgspec.Struct, frozen=True, gc=False):
    """A message that depends on the record: on a term, a vote or entries."""

    to: str
    message: Message


class ReportEvent(msgspec.Struct, frozen=True, gc=False):
    """An event that states that the record is durable."""

    event: Event


class ReleaseCommit(msgspec.Struct, frozen=True, gc=False):
    """A new commit index: the node reports the event, and may apply entries up to `event.index`.

    An installed snapshot is one, too (§7): its state takes the place of the entries that it replaces.
    """

    event: CommitAdvanced | SnapshotInstalled


class CountOwnVote(msgspec.Struct, frozen=True, gc=False):
    """The candidate's vote for itself in `term`."""

    term: int


Held: TypeAlias = SendMessage | ReportEvent | ReleaseCommit | CountOwnVote
