"""What a core hands to its host: all that has become due, and in it what to make durable."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from raft_chaos.invariants.events import Event
from raft_chaos.raft.state.messages import Entry, Message, Record, Snapshot
from raft_chaos.raft.state.reads import ReadEnd


class Write(msgspec.Struct, frozen=True):
    """Records to make durable as one unit; `lsn` is the number of the last of them."""

    lsn: int
    records: list[Record]


class Ready(msgspec.Struct, gc=False):
    """What the host must do now, in the order that `core.core` gives. `committed` are (index, entry) in order, to be
    taken once and before the next input; a snapshot stands for all entries up to its index. `made` are events of now
    that wait for a write: a later Ready reports them."""

    events: list[Event]
    messages: list[tuple[str, Message]]
    write: Write | None
    committed: Iterable[tuple[int, Entry | Snapshot]]
    deadline_us: int
    made: list[Event]
    reads: Sequence[ReadEnd] = ()
