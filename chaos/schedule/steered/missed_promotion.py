"""A node that does not know yet that it may vote is needed for a majority (a steered episode)."""

from __future__ import annotations

from raft_chaos.chaos.faults.membership import Membership
from raft_chaos.chaos.faults.names import LEADER, OTHERS, PIVOT
from raft_chaos.chaos.faults.network import Network
from raft_chaos.chaos.faults.partition import Partition
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.schedule.steered.plot import SOON_US, Plot, Steered, after, at_next, then

SLOW = (0.1, 0.14)
"""How long frames from and to the node take, in longest election timeouts: it still catches up, and the entry that
promotes it is on its way for so long that the cut comes before it."""


def _build(plot: Plot) -> None:
    """A node leaves for less than an election timeout, so it stands for none, and comes back as a learner. As soon as
    its leader has appended that it votes again, it hears nobody: the others commit that without it. Then the leader
    restarts, and each node of a smallest majority is needed, the promoted one among them.

    It may vote, although its log does not say so: it must (§6; thesis, §4.1), or nobody is elected.
    """
    left = plot.step(Membership([PIVOT]), plot.lasting(0.25, 0.35))
    least, most = SLOW
    plot.step(Network(then(left, PIVOT), round(least * plot.unit), round(most * plot.unit)), 3 * plot.unit, after(left))
    (node,), others = then(left, PIVOT), then(left, LEADER, OTHERS)
    alone = Partition("one", {node: others, **{other: [node] for other in others}})
    without_it_us = plot.lasting(0.3, 0.45)
    missed = plot.step(alone, without_it_us + plot.lasting(0.1, 0.2), at_next("voter_added", left))
    stands = plot.needs_all(left, after(missed, without_it_us))
    plot.step(Kill(then(left, LEADER), [plot.lasting(0, 0.1)]), 0, after(stands, SOON_US))


EPISODE = Steered(
    name="missed_promotion",
    about="A learner does not hear that it was made a voter; then a majority needs its vote",
    source="etcd #10998",
    kinds=("kill", "membership", "network", "partition"),
    timeouts=2,
    build=_build,
    features=("membership",),
    stands=True,
)
