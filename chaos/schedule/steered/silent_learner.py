"""A learner that has caught up hears nothing for a while, and is promoted as soon as it answers (a steered episode)."""

from __future__ import annotations

from raft_chaos.chaos.faults.membership import Membership
from raft_chaos.chaos.faults.names import FAR, LEADER, NEAR, PIVOT
from raft_chaos.chaos.faults.network import Network
from raft_chaos.chaos.faults.partition import Partition
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.schedule.steered.plot import SOON_US, Plot, Steered, after, then


def _build(plot: Plot) -> None:
    """Nodes leave, and come back as learners. One of them is down, and all are promoted together or in this order, so
    those that follow it wait for their votes. They catch up, and are cut off. The one that was down is back first, so
    the harness goes on asking for the votes of the others, until they answer again: over slow links, so that they have
    answered long before they have what they missed.
    """
    left = plot.step(Membership([PIVOT, FAR]), plot.lasting(0.9, 1.1))
    first, others = then(left, PIVOT), then(left, FAR)
    plot.step(Kill(first, [plot.lasting(2.4, 2.6)]), 0, after(left, plot.lasting(0.6, 0.8)))
    rest = then(left, LEADER, PIVOT, NEAR)
    cut_us = plot.lasting(1.9, 2.1)
    alone = Partition("halves", {**dict.fromkeys(others, rest), **dict.fromkeys(rest, others)})
    cut = plot.step(alone, cut_us, after(left, plot.lasting(2, 2.2)))
    slow = Network(others, round(0.1 * plot.unit), round(0.14 * plot.unit))
    plot.step(slow, plot.lasting(2, 2.5), after(cut, cut_us - SOON_US))


EPISODE = Steered(
    name="silent_learner",
    about="A learner that had caught up hears nothing for a while, and is to get its vote as soon as it answers again",
    source="RedisRaft #125; thesis, section 4.2.1",
    kinds=("kill", "membership", "network", "partition"),
    timeouts=7,
    build=_build,
    features=("membership",),
)
