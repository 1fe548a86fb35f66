"""A node leads again, and a follower has entries that have no place in its log any more (a steered episode)."""

from __future__ import annotations

from raft_chaos.chaos.faults.names import FAR, LEADER, NEAR, PIVOT
from raft_chaos.chaos.faults.pause import Pause
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.schedule.steered.plot import SOON_US, Plot, Steered, after, at_next, then


def _build(plot: Plot) -> None:
    """The leader and one follower are cut off: the follower acknowledges entries that never commit, and another node
    leads. When all hear each other again, that follower is down. As soon as the old leader has cut its log, the others
    pause, so that it leads again. Then the follower is back.

    A leader that still believes what it heard in its first time counts the follower for other entries, or takes each of
    its rejections for an outdated one. With less than five nodes, the two are a majority, or the others are none.
    """
    away_us = plot.lasting(2.5, 4)
    away = plot.split([[LEADER, PIVOT], [NEAR, FAR]], away_us)
    down = plot.step(Kill(then(away, PIVOT), [plot.lasting(3.5, 5)]), 0, after(away, away_us - SOON_US))
    cut = at_next("log_truncated", down, plot.rng.randint(0, 5_000))
    plot.step(Pause(then(away, NEAR, FAR)), plot.lasting(1.1, 1.4), cut)


EPISODE = Steered(
    name="lost_since",
    about="A leader and a follower are cut off with entries that never commit; both return, the follower only when the "
    "same node leads again",
    source="akka-raft #58, copycat #29",
    kinds=("kill", "partition", "pause"),
    timeouts=11,
    build=_build,
)
