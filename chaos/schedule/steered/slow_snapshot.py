"""A follower gets a snapshot so slowly that its leader has many new entries by then (a steered episode)."""

from __future__ import annotations

from raft_chaos.chaos.faults.disk import SlowSync
from raft_chaos.chaos.faults.names import PIVOT
from raft_chaos.chaos.faults.network import Network
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.schedule.steered.plot import SOON_US, Plot, Steered, after, then


def _build(plot: Plot) -> None:
    """A follower is down for so long that its leader has a snapshot in place of what it lacks. When it is back, its
    links and its disk are slow, but not so slow that it takes its leader for dead.

    The leader must keep the entries behind that snapshot, or the follower needs another one when it has this one, and
    then another one.
    """
    away_us, lasts_us = plot.lasting(2.5, 3), plot.lasting(5, 6)
    down = plot.step(Kill([PIVOT], [away_us]), 0)
    slow, back = then(down, PIVOT), after(down, away_us - SOON_US)
    plot.step(Network(slow, round(0.35 * plot.unit), round(0.4 * plot.unit)), lasts_us, back)
    plot.step(SlowSync(slow, round(1.2 * plot.unit), round(1.5 * plot.unit)), lasts_us, back)


EPISODE = Steered(
    name="slow_snapshot",
    about="A follower that lags behind the log gets a snapshot over slow links and onto a slow disk, while many new "
    "entries come",
    source="Raft, section 7",
    kinds=("kill", "network", "slow_sync"),
    timeouts=9,
    build=_build,
    features=("snapshot_every",),
)
