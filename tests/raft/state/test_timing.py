"""Timing that cannot work is refused."""

from __future__ import annotations

import pytest

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
