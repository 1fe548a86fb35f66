"""Makes the events about a node's messages; a host reports them, since the core knows no numbers of messages."""

from __future__ import annotations

from raft_chaos.invariants.events import MessageReceived, MessageSent
from raft_chaos.raft.state.messages import (
    AppendEntries,
    AppendEntriesReply,
    InstallSnapshot,
    InstallSnapshotReply,
    Message,
    PreVoteReply,
    TimeoutNow,
)


def message_sent(node: str, inc: int, t_us: int, to: str, number: int, message: Message) -> MessageSent:
    """The message is about to leave."""
    if type(message) is not AppendEntries:
        prev, size = 0, 0
        if type(message) is InstallSnapshot:
            prev, size = message.last_included_index, len(message.data)
        return MessageSent(
            node=node,
            inc=inc,
            t_us=t_us,
            to=to,
            number=number,
            type=type(message).__name__,
            prev_log_index=prev,
            size=size,
        )
    size = 0
    for entry in message.entries:  # a heartbeat has none, and most others have one
        size += len(entry.command)
    prev = message.prev_log_index
    return MessageSent(
        node=node, inc=inc, t_us=t_us, to=to, number=number, type="AppendEntries", prev_log_index=prev, size=size
    )


def message_received(
    node: str, inc: int, t_us: int, sender: str, sender_inc: int, number: int, message: Message
) -> MessageReceived:
    """The message arrived, and has had no effect yet."""
    term = match_index = rejected_index = 0
    if type(message) is AppendEntriesReply:
        if message.success:
            term, match_index = message.term, message.match_index
        elif message.rejected_index:  # otherwise it refuses a message of an earlier term, whatever the logs hold
            term, rejected_index = message.term, message.rejected_index
    elif type(message) is InstallSnapshotReply and message.done:
        term, match_index = message.term, message.last_included_index
    elif type(message) is TimeoutNow or (type(message) is PreVoteReply and message.granted):
        term = message.term
    return MessageReceived(
        node=node,
        inc=inc,
        t_us=t_us,
        sender=sender,
        sender_inc=sender_inc,
        number=number,
        type=type(message).__name__,
        term=term,
        match_index=match_index,
        rejected_index=rejected_index,
    )
