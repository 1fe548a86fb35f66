"""A follower is owed entries that its leader cannot read back (a steered episode)."""

from __future__ import annotations

from raft_chaos.chaos.faults.disk_error import DiskError
from raft_chaos.chaos.faults.names import LEADER, OTHERS, PIVOT
from raft_chaos.chaos.faults.partition import Partition
from raft_chaos.chaos.schedule.steered.plot import SOON_US, Plot, Steered, after, then


def _build(plot: Plot) -> None:
    """A follower is cut off for so long that the entries which it lacks are in nobody's memory any more. When it is
    back, disks cannot be read: each leader that tries must end, and may not send what it still has instead."""
    away_us = plot.lasting(4.5, 5.5)
    away = plot.step(Partition("one", {PIVOT: [LEADER, OTHERS], LEADER: [PIVOT], OTHERS: [PIVOT]}), away_us)
    error = DiskError(then(away, LEADER, OTHERS), "read_back", "EIO", once=plot.rng.random() < 0.5)
    plot.step(error, plot.lasting(1, 1.5), after(away, away_us - SOON_US))


EPISODE = Steered(
    name="unreadable_entries",
    about="A follower that was cut off needs old entries, and no disk can be read",
    source="openraft #1795",
    kinds=("disk_error", "partition"),
    timeouts=7,
    build=_build,
    features=("cache_bytes",),
    not_with=("snapshot_every",),  # a snapshot takes the place of the old entries
)
