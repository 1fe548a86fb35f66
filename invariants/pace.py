"""How our own Raft acts in time: what `efficiency` and `election_timer` must know beside the events."""

from __future__ import annotations

import msgspec


class Pace(msgspec.Struct, frozen=True):
    """A leader sends a heartbeat every `heartbeat_us`, and at most `entries_per_message` entries in one message.
    `clients` give it new ones, each one at a time, of at most `entry_bytes` bytes (0 in a file of an earlier version).
    Election timeouts are drawn from `election_timeout_us`: the shortest and the longest; (0, 0) if they are not known.
    With `check_quorum` a leader without a majority steps down (Ongaro's thesis, §6.2); with
    `pre_vote` a node asks before it stands for election (§9.6). `first_voters` are the nodes that vote at first, if not
    all do (§6). A node takes a snapshot after `snapshot_every` entries; 0: never.
    A leader sends a follower no more entries while `bytes_in_flight` bytes of commands are on their way to it; 0 in a
    file of an earlier version. At most `waiting` commands and reads may wait at a leader for their answers; 0 unless
    the run has such a bound.
    The state machine remembers `max_sessions` sessions of clients; 0: more than any run has, or clients begin several
    of one name, which a history does not tell apart.
    """

    heartbeat_us: int
    entries_per_message: int
    clients: int
    election_timeout_us: tuple[int, int] = (0, 0)
    entry_bytes: int = 0
    check_quorum: bool = False
    pre_vote: bool = False
    first_voters: tuple[str, ...] = ()
    snapshot_every: int = 0
    bytes_in_flight: int = 0
    waiting: int = 0
    max_sessions: int = 0
