"""What a replica hands to its host: the core's `Ready`, after the committed entries were applied, and the answers."""

from __future__ import annotations

from typing import Any

import msgspec

from raft_chaos.invariants.events import Event
from raft_chaos.raft.replica.result import Result
from raft_chaos.raft.state.messages import Message
from raft_chaos.raft.state.ready import Write


class Reply(msgspec.Struct, frozen=True):
    """The end of one submission. `result` None: leadership was lost before it was committed, so the outcome is unknown.

    `index` and `term` name the log entry that decided it: for a repeated command (§8), its first entry. A read without
    an entry of its own (`is_read`) names the last one that the node had applied, and 0, 0 if it is refused: it has no
    effect, so the client may ask again.
    """

    token: Any
    index: int
    term: int
    result: Result | None
    is_read: bool = False


class Output(msgspec.Struct, gc=False):
    """What the host must do, in this order: report, send, start writing, answer clients, wait until the deadline.

    It is the core's `Ready`, after the committed entries were applied: `events` report that too. `made` are events of
    now that wait for a write: a later output reports them.
    """

    events: list[Event]
    messages: list[tuple[str, Message]]
    write: Write | None
    deadline_us: int
    replies: list[Reply]
    made: list[Event] = []
