"""Messages that are held over two elections (a steered episode)."""

from __future__ import annotations

from raft_chaos.chaos.faults.names import LEADER, OTHERS, PIVOT
from raft_chaos.chaos.faults.partition import Clog
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.schedule.steered.plot import Plot, Steered, after, at_next


def _build(plot: Plot) -> None:
    """Nothing of what one node sends arrives until two more leaders are elected; then all of it does, in terms that
    are over: appends of the old leader, or votes and acknowledgements of a follower."""
    holds = Clog({OTHERS: [LEADER]}) if plot.rng.random() < 0.6 else Clog({LEADER: [PIVOT], OTHERS: [PIVOT]})
    held = plot.step(holds, plot.lasting(5, 8))
    if PIVOT in holds.names:
        plot.step(Kill([LEADER], [plot.lasting(1, 2)]), 0, after(held, plot.lasting(0.1, 1)))
    plot.step(Kill([LEADER], [plot.lasting(1, 2)]), 0, at_next("leader_elected", held, plot.lasting(0.1, 1)))


EPISODE = Steered(
    name="held_over",
    about="What one node sends is held over two elections, and then arrives at once",
    source="Raft, section 5.1; akka-raft #66, Xraft #33",
    kinds=("clog", "kill"),
    timeouts=8,
    build=_build,
)
