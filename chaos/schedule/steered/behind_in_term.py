"""The node with the longest log is behind in its term, and a majority needs it (a steered episode)."""

from __future__ import annotations

from raft_chaos.chaos.faults.names import FAR, LEADER, NEAR, PIVOT
from raft_chaos.chaos.faults.pause import Pause
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.schedule.steered.plot import Plot, Steered, after, at_next, then


def _build(plot: Plot) -> None:
    """The leader is cut off, with entries that nobody else gets. The far nodes pause, so that one of the others is the
    first whose timer runs out, and wake up to its question. As soon as it stands, in the next term, the far nodes do
    not hear it any more: nobody is elected. The old leader restarts, in its old term, and is back with those that have
    entered the next one. They are a smallest majority, and only the old leader can be elected: its log is the longest.

    It must learn the term. Whoever is asked, and says nothing to a candidate of an old term, hides it.
    """
    away = plot.split([[LEADER], [PIVOT, NEAR, FAR]], plot.lasting(2.8, 3.2))
    plot.step(Pause(then(away, FAR)), plot.lasting(1.1, 1.4), after(away))
    groups = [then(away, LEADER), then(away, PIVOT, NEAR), then(away, FAR)]
    back_us = plot.lasting(0.4, 0.8)
    stood = plot.split(groups, back_us + plot.lasting(0.1, 0.3), at_next("vote_granted", away))
    plot.step(Kill(then(away, LEADER), [plot.lasting(0, 0.2)]), 0, after(stood, plot.lasting(0, 0.2)))
    plot.needs_all(away, after(stood, back_us))


EPISODE = Steered(
    name="behind_in_term",
    about="A candidate of a new term loses; then a majority needs the node with the longest log, still in the old one",
    source="etcd #8243",
    kinds=("kill", "partition", "pause"),
    timeouts=3,
    build=_build,
    features=("pre_vote",),
    stands=True,
)
