"""When a node acts, how much it sends at once, and which optional parts of Raft it has."""

from __future__ import annotations

import msgspec

from raft_chaos.raft.state.features import NONE, Features
from raft_chaos.raft.state.messages import MAX_ENTRIES


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
        for limit in ("max_entries_per_message", "max_bytes_per_message", "max_entries_in_flight"):
            if getattr(self, limit) < 1:
                raise ValueError(f"{limit} must be at least 1, or nothing is ever sent: got {getattr(self, limit)}")
        if self.max_entries_per_message > MAX_ENTRIES:
            raise ValueError(
                f"max_entries_per_message must be at most {MAX_ENTRIES}, or the receiver refuses the message: "
                f"got {self.max_entries_per_message}"
            )
