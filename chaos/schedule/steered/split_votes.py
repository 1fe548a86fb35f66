"""Two candidates of one term, each with voters that never hear of the other (a steered episode)."""

from __future__ import annotations

from raft_chaos.chaos.faults.names import DISSENTER, FAR, LEADER, NEAR, PIVOT
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.schedule.steered.plot import Plot, Steered, after, at_next, then


def _build(plot: Plot) -> None:
    """The leader is gone. At the first vote, which a candidate gives itself, the nodes fall into two groups, so another
    candidate stands in the same term. If the old leader is cut off, nobody wins. If it only restarts, one candidate may
    win, and those who voted for the other one must follow the winner in the term of their own vote."""
    apart_us = plot.lasting(0.6, 1)
    if plot.rng.random() < 0.5:
        gone = plot.isolate_leader(plot.lasting(2.5, 3.5))
        halves = [then(gone, PIVOT, NEAR), then(gone, FAR)]
    else:
        gone = plot.step(Kill([LEADER], [0]), 0)
        halves = [then(gone, PIVOT, NEAR), then(gone, FAR, LEADER)]
    split = plot.split(halves, apart_us, at_next("vote_granted", gone))
    again = plot.split(halves, plot.lasting(1.1, 1.4), after(split, apart_us + plot.lasting(0.1, 0.6)))
    plot.step(Kill([DISSENTER], [0]), 0, at_next("leader_elected", again))


EPISODE = Steered(
    name="split_votes",
    about="Two candidates stand in one term, each heard by half of the voters, twice in a row",
    source="Raft, section 5.2; noraft #24, d-engine #340",
    kinds=("kill", "partition"),
    timeouts=6,
    build=_build,
)
