"""A leader hands over, and what it says last does not arrive (a steered episode)."""

from __future__ import annotations

from raft_chaos.chaos.faults.names import LEADER, PIVOT
from raft_chaos.chaos.faults.partition import Partition
from raft_chaos.chaos.faults.transfer import Transfer
from raft_chaos.chaos.schedule.steered.plot import SOON_US, Plot, Steered, after, then


def _build(plot: Plot) -> None:
    """The target has all of the leader's log when the link to it is cut, for less than an election timeout. So the
    leader tells it to stand, it does not hear that, and everybody goes on to follow this leader."""
    cut = plot.step(Partition("one_way", {PIVOT: [LEADER]}), plot.lasting(0.35, 0.45))
    plot.step(Transfer(then(cut, PIVOT)), plot.lasting(2, 2.5), after(cut, SOON_US))


EPISODE = Steered(
    name="lost_transfer",
    about="The leader hands over, but its word to stand for election is lost; it leads on",
    source="thesis, section 3.10; openraft #2088",
    kinds=("partition", "transfer"),
    timeouts=4,
    build=_build,
)
