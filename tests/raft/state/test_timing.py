"""Timing that cannot work is refused."""

from __future__ import annotations

import pytest

from raft_chaos.raft.state.features import Features
from raft_chaos.raft.state.timing import Timing


@pytest.mark.parametrize(
    ("bad", "named"),
    [
        ({"election_timeout_min_us": 0}, "election timeouts"),
        ({"election_timeout_min_us": 3, "election_timeout_max_us": 2, "heartbeat_us": 1}, "election timeouts"),
        ({"heartbeat_us": 0}, "heartbeat"),
        ({"heartbeat_us": 1_500_000}, "heartbeat"),
    ],
)
def test_timing_that_cannot_work_is_refused(bad: dict[str, int], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Timing(**bad)


@pytest.mark.parametrize(
    ("every", "chunk_bytes"),
    [(0, 1_000_000), (3, 48), (5, 80), (6, 1_000_000), (20, 320), (200, 3_200), (198, 1_000_000), (201, 1_000_000)],
)
def test_tiny_snapshots_have_tiny_parts_but_each_third_is_sent_whole(every: int, chunk_bytes: int) -> None:
    assert Timing().with_features(Features(snapshot_every=every)).chunk_bytes == chunk_bytes
