"""A follower dies while a leader's snapshot is on its way to its disk (a steered episode)."""

from __future__ import annotations

from raft_chaos.chaos.faults.disk import SlowSync
from raft_chaos.chaos.faults.names import PIVOT
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.schedule.steered.plot import Plot, Steered, after, then


def _build(plot: Plot) -> None:
    """A follower is down for so long that its leader has a snapshot in place of what it lacks. When it is back its
    syncs are slow, and it dies before the snapshot is durable. Soon it is back again, under the same leader.

    Nodes that take no snapshots go through it too: then it loses entries that it did not acknowledge.
    """
    away_us = plot.lasting(3, 5)
    down = plot.step(Kill([PIVOT], [away_us]), 0)
    least_us = plot.lasting(0.7, 1)
    slow = plot.step(SlowSync(then(down, PIVOT), least_us, least_us * 3 // 2), 2 * plot.unit, after(down, away_us))
    plot.step(Kill(then(down, PIVOT), [plot.lasting(0, 0.1)]), 0, after(slow, plot.lasting(0.25, 0.7)))


EPISODE = Steered(
    name="snapshot_lost",
    about="A follower that lags behind the log is back with slow syncs, and dies while the leader's snapshot is not "
    "durable",
    source="Raft, section 7",
    kinds=("kill", "slow_sync"),
    timeouts=9,
    build=_build,
)
