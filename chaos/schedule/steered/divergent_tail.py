"""Long logs that contradict each other, as in Figure 7 of the paper (a steered episode)."""

from __future__ import annotations

from raft_chaos.chaos.faults.names import LEADER
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.schedule.steered.plot import Plot, Steered, after, at_next


def _build(plot: Plot) -> None:
    """Two leaders in turn are cut off for so long that their clients come back with more commands. Both return at the
    same time, and the leader dies while it still looks for the place where their logs begin to differ."""
    away_us = plot.lasting(8, 11)
    first = plot.isolate_leader(away_us)
    plot.isolate_leader(away_us - 3 * plot.unit, at_next("leader_elected", first, plot.lasting(0.2, 1)))
    plot.step(Kill([LEADER], [plot.lasting(1, 3)]), 0, after(first, away_us + plot.lasting(0, 0.3)))


EPISODE = Steered(
    name="divergent_tail",
    about="Two leaders in turn are cut off and collect long tails; both return, and the leader that cuts these dies",
    source="Raft, Figure 7",
    kinds=("kill", "partition"),
    timeouts=12,
    build=_build,
)
