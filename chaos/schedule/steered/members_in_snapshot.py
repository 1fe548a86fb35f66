"""Nodes start from snapshots that alone say who the members are (a steered episode)."""

from __future__ import annotations

from raft_chaos.chaos.faults.membership import Membership
from raft_chaos.chaos.faults.names import LEADER, PIVOT
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.schedule.steered.plot import Plot, Steered, after, then


def _build(plot: Plot) -> None:
    """A node leaves and comes back. When snapshots have taken the place of the entries that say so, that node and the
    leader fall, and start: with the members of their snapshots, and not with those of the beginning (§7)."""
    left = plot.step(Membership([PIVOT]), plot.lasting(0.6, 1))
    nodes = then(left, LEADER, PIVOT)
    plot.step(Kill(nodes, [plot.lasting(0, 0.5) for _ in nodes]), 0, after(left, plot.lasting(7, 9)))


EPISODE = Steered(
    name="members_in_snapshot",
    about="Two nodes fall when only their snapshots say who the members are",
    source="hashicorp/raft; Raft, section 7",
    kinds=("kill", "membership"),
    timeouts=10,
    build=_build,
    features=("membership", "snapshot_every"),
)
