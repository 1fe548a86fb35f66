"""Faults from the very start, before there is a leader or an entry (a steered episode)."""

from __future__ import annotations

from raft_chaos.chaos.faults.names import LEADER, VOTER
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.schedule.data import When
from raft_chaos.chaos.schedule.steered.plot import Plot, Steered


def _build(plot: Plot) -> None:
    """The first voters restart with a term and a vote, and an empty log. So does the first leader, perhaps before its
    first entry is on a majority."""
    for nth in range(1, plot.rng.randint(2, 4)):
        plot.step(Kill([VOTER], [plot.lasting(0, 0.5)]), 0, When(on="vote_granted", nth=nth))
    plot.step(Kill([LEADER], [plot.lasting(0, 1)]), 0, When(on="leader_elected", after_us=plot.rng.randint(0, 5_000)))


EPISODE = Steered(
    name="first_election",
    about="The run has no warmup: the first voters and the first leader restart, with a term and an empty log",
    source="Raft, section 5.2; sofa-jraft #1241",
    kinds=("kill",),
    timeouts=0,
    build=_build,
)
