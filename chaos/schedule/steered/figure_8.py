"""An entry of an earlier term reaches a majority and is overwritten: Figure 8 of the paper (a steered episode)."""

from __future__ import annotations

from raft_chaos.chaos.faults.names import FAR, LEADER, NEAR, PIVOT
from raft_chaos.chaos.schedule.steered.plot import Plot, Steered, at_next, then


def _build(plot: Plot) -> None:
    """(a) The leader's entries reach only a minority. (b) The rest elects another leader, which is cut off at once with
    an entry of its own. (c) The minority is back, and one of it leads again. (d) As soon as that leader commits
    anything it is cut off with the minority, and the leader of (b) is back: only it can win now.

    A correct leader of (c) commits nothing before an entry of its own term is on a majority, and then (d) has nobody to
    elect who lacks it.
    """
    together_us, settled_us = plot.lasting(2.5, 3.5), plot.lasting(3, 4)
    minority, rest = ([LEADER], [PIVOT, NEAR, FAR]) if plot.even else ([LEADER, NEAR], [PIVOT, FAR])
    first = plot.split([minority, rest], together_us)
    second = plot.isolate_leader(together_us + settled_us, at_next("leader_elected", first))
    plot.split(
        [then(first, *minority), then(first, *rest)],
        together_us + settled_us,
        at_next("leader_committed", second, plot.rng.randint(0, 100)),
    )


EPISODE = Steered(
    name="figure_8",
    about="An entry of an earlier term reaches a majority, and a leader without it is elected",
    source="Raft, Figure 8",
    kinds=("partition",),
    timeouts=12,
    build=_build,
    one_entry_a_message=True,
)
