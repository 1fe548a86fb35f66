"""The messages of Raft, as nodes report them by type, and handlers for some types of them.

Most events of a run are messages, and most messages are heartbeats and their answers. So a checker says which types it
is about, and is not called for the others.
"""

from __future__ import annotations

from collections.abc import Callable

from raft_chaos.invariants.checkers.base import Handlers
from raft_chaos.invariants.events import MessageReceived, MessageSent

APPEND, SNAPSHOT = "AppendEntries", "InstallSnapshot"
FROM_LEADERS = (APPEND, SNAPSHOT)
"""A leader's requests (§5.3, §7). All of them are contact, and a part of a snapshot resets a timer like any other."""
REPLIES = ACCEPTED, INSTALLED = ("AppendEntriesReply", "InstallSnapshotReply")
"""The answers to them."""
ABOUT_LEADING = ("RequestVote", "RequestVoteReply", "PreVote", "PreVoteReply", "TimeoutNow")
"""Who is to lead (§5.2; thesis, §9.6, §3.10)."""


def when_sent(handler: Callable[[MessageSent], None], *types: str) -> Handlers:
    """A handler for messages of these types that leave their sender."""
    return {(MessageSent, one): handler for one in types}


def when_received(handler: Callable[[MessageReceived], None], *types: str) -> Handlers:
    """A handler for messages of these types that arrive."""
    return {(MessageReceived, one): handler for one in types}
