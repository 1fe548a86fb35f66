"""The messages between nodes (Figure 2), the log entry, and the records of the write-ahead log.

All are msgspec structs in array form: the fastest and smallest of the codecs that were measured. Their ranges are
checked when bytes are decoded, and not when an object is made: only bytes come from elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, TypeAlias

import msgspec

from raft_chaos.raft.state.configuration import Configuration

MAX_NUMBER = 2**63 - 1
Number: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=MAX_NUMBER)]
"""A term, an index, or what counts messages: a node may add 1 to it and still encode it."""

MAX_ENTRIES = 20_000
MAX_COMMAND_BYTES = 2 * 1024 * 1024
MAX_CHUNK_BYTES = 4 * 1024 * 1024
MAX_SNAPSHOT_BYTES = 1 << 29
"""What one message may hold: a few bytes on the wire become an object of a hundred, and whatever a node accepts it must
be able to send on in one frame."""


class Entry(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A log entry: the term in which a leader received it, and the command for the state machine.

    An empty command is the no-op at the start of a term (§8). One may also be a configuration (`state.configuration`).
    """

    term: Number
    command: Annotated[bytes, msgspec.Meta(max_length=MAX_COMMAND_BYTES)]


# ---- RPCs; each request and each reply is a one-way message -------------------------------------------------------


class RequestVote(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="rv"):
    """A candidate asks for a vote (§5.2); the last entry says how up to date its log is (§5.4.1).

    With `transfer` its leader has told it to stand, so voters heed it although they hear that leader (thesis, §3.10).
    """

    term: Number
    last_log_index: Number
    last_log_term: Number
    transfer: bool = False


class RequestVoteReply(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="rvr"):
    term: Number
    vote_granted: bool


class PreVote(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="pv"):
    """Would the receiver vote for the sender in `term`, which the sender has not entered? (Ongaro's thesis, §9.6)"""

    term: Number
    last_log_index: Number
    last_log_term: Number


class PreVoteReply(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="pvr"):
    """If granted, `term` is that of the request; otherwise the sender's own."""

    term: Number
    granted: bool


class TimeoutNow(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="tn"):
    """The leader of `term` hands over: the receiver, which has all of its log, is to stand for election at once
    (thesis, §3.10)."""

    term: Number


class AppendEntries(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="ae"):
    """The leader's entries that follow (prev_log_index, prev_log_term); without entries it is a heartbeat (§5.3).

    `stream` counts how often the leader has moved this follower's next_index back (`state.progress`), and `round` how
    many rounds of heartbeats it has sent to confirm reads (`core.reads`).
    """

    term: Number
    prev_log_index: Number
    prev_log_term: Number
    leader_commit: Number
    entries: Annotated[list[Entry], msgspec.Meta(max_length=MAX_ENTRIES)]
    stream: Number = 0
    round: Number = 0


class AppendEntriesReply(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="aer"):
    """`success`: entries up to `match_index` are durable here and equal the leader's.

    Otherwise `rejected_index` repeats the prev_log_index that did not match, and `conflict_index` and `conflict_term`
    say where to continue (§5.3, accelerated backtracking): the term of the conflicting entry and the first index of
    that term in this log, or term 0 and the first missing index. `stream` repeats that of the rejected request.
    `round` repeats that of the request, whether it was rejected or not.
    """

    term: Number
    success: bool
    match_index: Number
    rejected_index: Number = 0
    conflict_index: Number = 0
    conflict_term: Number = 0
    stream: Number = 0
    round: Number = 0


class InstallSnapshot(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="is"):
    """A part of the leader's snapshot, for a follower that needs entries which the leader has no more (§7, Figure 13).

    The snapshot replaces the entries up to `last_included_index`, whose prefix has this `digest`. Its data has `size`
    bytes and the CRC-32 `checksum`; `data` are those from `offset` on. One with all the same numbers is the same
    snapshot, whoever sends it, so a follower can go on with the parts of an earlier leader.

    `configuration` is the latest one that the snapshot replaces, and `configuration_index` the index of its entry; None
    if it replaces none (§6).
    """

    term: Number
    last_included_index: Number
    last_included_term: Number
    digest: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{16}$")]
    size: Annotated[int, msgspec.Meta(ge=0, le=MAX_SNAPSHOT_BYTES)]
    checksum: Number
    offset: Number
    data: Annotated[bytes, msgspec.Meta(max_length=MAX_CHUNK_BYTES)]
    round: Number = 0
    configuration: Configuration | None = None
    configuration_index: Number = 0


class InstallSnapshotReply(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="isr"):
    """`done`: all up to `last_included_index` is durable here and equals the leader's. Otherwise the follower has the
    first `offset` bytes of that snapshot, and the leader continues there."""

    term: Number
    last_included_index: Number
    offset: Number
    done: bool
    round: Number = 0


Message: TypeAlias = (
    RequestVote
    | RequestVoteReply
    | PreVote
    | PreVoteReply
    | TimeoutNow
    | AppendEntries
    | AppendEntriesReply
    | InstallSnapshot
    | InstallSnapshotReply
)


# ---- what must become durable; the write-ahead log holds these in order -------------------------------------------


class HardState(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="h"):
    """currentTerm and votedFor (Figure 2, persistent state), always written together."""

    term: int
    voted_for: str | None


class Append(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="a"):
    """The entry at `index` (counted from 1)."""

    index: int
    entry: Entry


class Truncate(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="t"):
    """Entries `from_index` and later are deleted."""

    from_index: int


class Snapshot(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="s"):
    """The state machine's state after the entry (index, term), as `data`, in place of the entries up to it (§7).

    `digest` is the log's at `index`, so that the digests of later entries still cover the whole log. `configuration` is
    the latest one among these entries, and `configuration_index` its index; None if there is none (§6).
    """

    index: int
    term: int
    digest: str
    data: bytes
    configuration: Configuration | None = None
    configuration_index: int = 0


class SaveSnapshot(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="ss"):
    """The snapshot, and all else of the persistent state: together they replace the whole log, at once (§7)."""

    snapshot: Snapshot
    hard_state: HardState
    entries: list[Entry]


class Committed(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="c"):
    """Entries up to `index` are committed. Only a hint: a node that starts may apply these at once, and without it
    learns the same from its leader."""

    index: int


Record: TypeAlias = HardState | Append | Truncate | SaveSnapshot | Committed


class LogBase(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="b"):
    """The log file begins after the entry (index, term), to which `digest` belongs: a snapshot replaces what was
    before. Only the first record of a file is one."""

    index: int
    term: int
    digest: str


FileRecord: TypeAlias = HardState | Append | Truncate | LogBase | Committed
"""A record as the log file holds it: in place of `SaveSnapshot`, a new file begins with a `LogBase`."""


class Recovered(msgspec.Struct, frozen=True):
    """The state that a node finds on its disk when it starts; `entries` are those behind the snapshot, if any. Those up
    to `commit_index` are committed, if it is not 0; it never lies beyond the last."""

    hard_state: HardState = HardState(0, None)
    entries: Sequence[Entry] = []
    snapshot: Snapshot | None = None
    commit_index: int = 0
