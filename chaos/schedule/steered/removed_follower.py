"""A leader removes the only other voter, and falls before that one hears of it (a steered episode)."""

from __future__ import annotations

from raft_chaos.chaos.faults.membership import Membership
from raft_chaos.chaos.faults.names import FAR, LEADER, NEAR, PIVOT
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.schedule.steered.plot import SOON_US, Plot, Steered, after, then


def _build(plot: Plot) -> None:
    """All but the leader and one other leave. The leader is cut off from that one, is asked to remove it, and is killed
    once the joint entry is on its disk. Both come back.

    Only the leader can win, since it votes for no log without that entry. And it needs a majority of the old voters,
    too: it must ask the one that it removes (§6), or nobody is ever elected. One voter at a time, it needs nobody.
    """
    left = plot.step(Membership([NEAR, FAR]), plot.lasting(4, 4.5))
    leader, other = then(left, LEADER), then(left, PIVOT)
    cut = plot.split([leader, other], plot.lasting(0.6, 0.7), after(left, plot.lasting(1.4, 1.8)))
    plot.step(Membership(other), plot.lasting(0.3, 0.4), after(cut, SOON_US))
    plot.step(Kill(leader, [plot.lasting(0, 0.2)]), 0, after(cut, plot.lasting(0.25, 0.4)))


EPISODE = Steered(
    name="removed_follower",
    about="A leader of two removes the other one, and falls: joint consensus needs the vote of the one that it removes",
    source="Raft, section 6",
    kinds=("kill", "membership", "partition"),
    timeouts=5,
    build=_build,
    features=("membership",),
)
