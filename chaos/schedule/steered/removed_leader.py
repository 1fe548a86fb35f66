"""A leader removes itself from a cluster of two, and falls before the other one hears of it (a steered episode)."""

from __future__ import annotations

from raft_chaos.chaos.faults.membership import Membership
from raft_chaos.chaos.faults.names import FAR, LEADER, NEAR, PIVOT
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.schedule.steered.plot import SOON_US, Plot, Steered, after, then


def _build(plot: Plot) -> None:
    """All but the leader and one other leave. The leader is cut off from that one, is asked to remove itself, and is
    killed once the entry is on its disk. Both come back.

    Only the leader has the entry, and whoever has it votes for nobody without it. So it must stand itself, although
    its own configuration has no vote for it (thesis, section 4.2.2), or nobody is ever elected. Where members change by
    joint consensus it still votes in its configuration, and wins anyway.
    """
    left = plot.step(Membership([NEAR, FAR]), plot.lasting(4, 4.5))
    leader, other = then(left, LEADER), then(left, PIVOT)
    cut = plot.split([leader, other], plot.lasting(0.6, 0.7), after(left, plot.lasting(1.4, 1.8)))
    plot.step(Membership(leader), plot.lasting(0.3, 0.4), after(cut, SOON_US))
    plot.step(Kill(leader, [plot.lasting(0, 0.2)]), 0, after(cut, plot.lasting(0.25, 0.4)))


EPISODE = Steered(
    name="removed_leader",
    about="A leader of two removes itself, and falls before the other one hears of it: only the removed one can win",
    source="openraft #2091; thesis, section 4.2.2",
    kinds=("kill", "membership", "partition"),
    timeouts=5,
    build=_build,
    features=("membership",),
)
