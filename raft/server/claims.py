"""What a peer may claim. A peer that claims more is disconnected, with one log line; no claim ends or damages the node.

Everything that comes from outside is checked once, as early as it can be:

    network.incoming      the handshake: protocol, cluster, name, proof; sizes, times, numbers of connections
    state.messages        types, ranges (0 to 2^63 - 1) and sizes of all fields, when a message is decoded
    network.codec         one message that contradicts itself: terms that decrease, an entry from a later term
    server.claims         a message that contradicts this node, or brings a command that nobody can apply, or members
                          that it does not know: `check_message`
    server.http_door      who may send HTTP requests, how many connections, and how long they may take
    server.http_requests  each request and each of its fields

A peer can still lie within what is possible: it can acknowledge what it did not store, or vote twice. Raft assumes that
peers do not lie. The handshake's proof keeps out everybody else.
"""

from __future__ import annotations

from collections.abc import Sequence

from raft_chaos.invariants.events import MALFORMED
from raft_chaos.raft.core import Core
from raft_chaos.raft.network.codec import FrameError
from raft_chaos.raft.replica.command import decode_command
from raft_chaos.raft.replica.saved_state import SnapshotError, check_saved
from raft_chaos.raft.state.configuration import encode_configuration, unknown_members
from raft_chaos.raft.state.configuration_mark import is_configuration
from raft_chaos.raft.state.messages import (
    AppendEntries,
    AppendEntriesReply,
    InstallSnapshot,
    InstallSnapshotReply,
    Message,
)

MAX_TERM_STEP = 1 << 32
"""A term ends with an election timeout, so a correct peer is never this far ahead. Without this limit, a single message
with the largest term would leave no term for another election."""


def check_message(message: Message, core: Core, *, judged: bool) -> None:
    """Raises FrameError if the message cannot come from a correct peer, given what this node knows.

    A node that is `judged` by its events takes entries in place of committed ones: to refuse them would hide from the
    judge what a mistake in the algorithm does.
    """
    if message.term > core.current_term + MAX_TERM_STEP:
        raise FrameError(f"term {message.term}; this node is in term {core.current_term}")
    if message.term < core.current_term:
        return  # late: the core takes nothing from it
    if type(message) is AppendEntries and message.entries:
        if not judged:
            _check_committed(message, core)
        _check_commands(message)
        _check_members([entry.command for entry in message.entries], core)
    elif type(message) is AppendEntriesReply:
        _check_round(message, core)
        if message.success:
            _check_acknowledged(message.term, message.match_index, core)
    elif type(message) is InstallSnapshotReply:
        _check_round(message, core)
        if message.done:
            _check_acknowledged(message.term, message.last_included_index, core)
    elif type(message) is InstallSnapshot and (data := core.completed_by(message)) is not None:
        try:
            check_saved(data)
        except SnapshotError as error:
            raise FrameError(f"entry {message.last_included_index}: {error}") from None
        if message.configuration is not None:
            _check_members([encode_configuration(message.configuration)], core)


def _check_round(message: AppendEntriesReply | InstallSnapshotReply, core: Core) -> None:
    """A leader began all rounds that a follower can answer in its term."""
    if message.term == core.current_term and core.role == "leader" and message.round > core.round:
        raise FrameError(f"an answer to round {message.round}; this leader has begun {core.round}")


def _check_acknowledged(term: int, index: int, core: Core) -> None:
    """A leader sent all that a follower can acknowledge in its term."""
    if term == core.current_term and core.role == "leader" and index > core.log.last_index:
        raise FrameError(f"an acknowledgement of entry {index}; this leader's last entry is {core.log.last_index}")


def _check_committed(message: AppendEntries, core: Core) -> None:
    """No leader of this term or later replaces a committed entry (Leader Completeness, §5.4.3)."""
    first = message.prev_log_index + 1
    committed = message.entries[: core.commit_index + 1 - first] if first <= core.commit_index else ()
    for index, entry in enumerate(committed, first):
        if index < core.log.base_index:
            continue  # a snapshot replaces it, and the node will not look at it
        if entry.term != core.log.term_at(index):
            raise FrameError(
                f"entry {index} of term {entry.term}; this node has committed one of term {core.log.term_at(index)}"
            )


def _check_members(commands: Sequence[bytes], core: Core) -> None:
    """The members of a cluster are nodes that this one was told of, or else it could not send them anything."""
    try:
        unknown = unknown_members(commands, (core.node, *core.others))
    except ValueError as error:
        raise FrameError(str(error)) from None
    if unknown:
        raise FrameError(f"a configuration with {unknown[0]}, of which this node was not told")


def _check_commands(message: AppendEntries) -> None:
    """New entries must be commands that can be applied."""
    index = message.prev_log_index + 1
    try:
        for entry in message.entries:
            if entry.command and not is_configuration(entry.command):
                decode_command(entry.command)
            index += 1
    except MALFORMED as error:
        raise FrameError(f"entry {index}: the command cannot be decoded: {error}") from None
