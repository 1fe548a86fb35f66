"""When a node acts, how much it sends at once, and which optional parts of Raft it has."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from raft_chaos.raft.state.features import NONE, Features
from raft_chaos.raft.state.messages import MAX_CHUNK_BYTES, MAX_ENTRIES

MOST_TINY, BYTES_PER_ENTRY, LEAST_WHOLE, WHOLE_EACH = 200, 16, 5, 3
"""A `snapshot_every` up to the first is tiny, and so are the parts then: so many bytes for each of its entries.
But each third number, from the least whole one on, has whole snapshots: a node meets other situations where one message
is enough to install one."""
MOST_DRIFT = 1.25
"""How many times as fast as another one a node's clock may run, for reads by a lease to be linearizable: the "clock
drift bound" of the thesis, §6.4.1, which leaves it to the implementation. A quartz drifts by less than 0.01 %; this
covers the tenth by which faults of clocks drift (`chaos.schedule.leases`)."""


class Timing(msgspec.Struct, frozen=True):
    """When a node acts, in µs, how much it sends at once, and its features. Each election timeout is a new draw
    (§5.2)."""

    election_timeout_min_us: int = 1_500_000
    election_timeout_max_us: int = 3_000_000
    heartbeat_us: int = 300_000
    max_entries_per_message: int = 2_000
    max_bytes_per_message: int = 1_000_000
    max_entries_in_flight: int = 20_000
    features: Features = NONE
    chunk_bytes: int = 1_000_000
    """How much of a snapshot one message holds (§7)."""
    max_waiting: int = 10_000
    max_waiting_bytes: int = 64 * 1024 * 1024
    """How many submissions and reads may wait at a leader, and how many bytes of commands: a leader that cannot commit
    refuses what is more at once, and does not grow."""
    max_bytes_in_flight: int = 16_000_000
    """How many bytes of commands may be on their way to one follower, give or take a message."""

    @property
    def lease_us(self) -> int:
        """How long a leader's lease lasts, by its own clock, from when its heartbeat was sent."""
        return int(self.election_timeout_min_us / MOST_DRIFT)

    def with_features(self, features: Features) -> Timing:
        """The same for nodes that have these features. A tiny `snapshot_every` mostly comes with tiny parts of
        snapshots, so that a small state has several, too."""
        every = features.snapshot_every
        is_whole = every >= LEAST_WHOLE and every % WHOLE_EACH == 0
        has_tiny_parts = 0 < every <= MOST_TINY and not is_whole
        chunk_bytes = every * BYTES_PER_ENTRY if has_tiny_parts else self.chunk_bytes
        return replace(
            self,
            features=features,
            chunk_bytes=chunk_bytes,
            max_bytes_in_flight=features.max_bytes_in_flight or self.max_bytes_in_flight,
            max_waiting=features.max_waiting or self.max_waiting,
        )

    def __post_init__(self) -> None:
        if not 0 < self.election_timeout_min_us <= self.election_timeout_max_us:
            raise ValueError(
                "election timeouts must be positive and in order: "
                f"got {self.election_timeout_min_us} to {self.election_timeout_max_us} µs"
            )
        if not 0 < self.heartbeat_us < self.election_timeout_min_us:
            raise ValueError(
                f"the heartbeat interval ({self.heartbeat_us} µs) must be positive and "
                f"shorter than the least election timeout ({self.election_timeout_min_us} µs)"
            )
        for limit in (
            "max_entries_per_message",
            "max_bytes_per_message",
            "max_entries_in_flight",
            "max_bytes_in_flight",
            "chunk_bytes",
        ):
            if getattr(self, limit) < 1:
                raise ValueError(f"{limit} must be at least 1, or nothing is ever sent: got {getattr(self, limit)}")
        for limit in ("max_waiting", "max_waiting_bytes"):
            if getattr(self, limit) < 1:
                raise ValueError(f"{limit} must be at least 1, or no client is ever served: got {getattr(self, limit)}")
        if self.chunk_bytes > MAX_CHUNK_BYTES:
            raise ValueError(
                f"chunk_bytes must be at most {MAX_CHUNK_BYTES}, or the receiver refuses the message: "
                f"got {self.chunk_bytes}"
            )
        if self.max_entries_per_message > MAX_ENTRIES:
            raise ValueError(
                f"max_entries_per_message must be at most {MAX_ENTRIES}, or the receiver refuses the message: "
                f"got {self.max_entries_per_message}"
            )
