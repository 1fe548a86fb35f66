"""The leader dies, and the follower that has its newest entry is cut off (a steered episode)."""

from __future__ import annotations

from raft_chaos.chaos.faults.disk import SlowSync
from raft_chaos.chaos.faults.names import FAR, HOLDER, LEADER, NEAR, NEWEST, OTHERS
from raft_chaos.chaos.faults.partition import Partition
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.schedule.steered.plot import SOON_US, Plot, Steered, after, then


def _build(plot: Plot) -> None:
    """Only one follower hears the leader. The leader dies, and the node that has the newest entry is cut off; those
    that lack it elect a leader, perhaps with the old one, which is back at once without what it had not synced. Then
    the holder returns with entries that have no place any more."""
    heard_us, least_us = plot.lasting(0.4, 0.8), plot.lasting(0.25, 0.35)
    unheard = plot.step(Partition("one_way", {NEAR: [LEADER], FAR: [LEADER]}), heard_us)
    plot.step(SlowSync(then(unheard, LEADER), least_us, least_us * 3 // 2), heard_us, after(unheard))
    role = HOLDER if plot.rng.random() < 0.5 else NEWEST
    alone = Partition("one", {role: [LEADER, OTHERS], LEADER: [role], OTHERS: [role]})
    cut = plot.step(alone, plot.lasting(3, 4), after(unheard, heard_us - SOON_US))
    plot.step(Kill(then(unheard, LEADER), [plot.lasting(0, 1.5) if plot.rng.random() < 0.5 else 0]), 0, after(cut))


EPISODE = Steered(
    name="lost_holder",
    about="Only one follower hears the leader, which dies; then the node that has the newest entry is cut off",
    source="openraft #2118, #1125",
    kinds=("kill", "partition", "slow_sync"),
    timeouts=6,
    build=_build,
)
