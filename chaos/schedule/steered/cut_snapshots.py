"""Nodes lose power in the middle of a snapshot, again and again (a steered episode)."""

from __future__ import annotations

from raft_chaos.chaos.faults.kill_in_sync import KillInSync
from raft_chaos.chaos.faults.names import FAR, LEADER, NEAR, PIVOT
from raft_chaos.chaos.schedule.steered.plot import Plot, Steered, after

TIMES = 3


def _build(plot: Plot) -> None:
    """In each round the leader, the pivot and the others are killed when they make their next snapshot durable, after
    drawn numbers of operations, and lose some of the names. They start again at once, and elect a leader for the next
    round."""
    first = ""
    for turn in range(TIMES):
        when = after(first, round(turn * 2.5 * plot.unit)) if first else None
        for nodes in ([LEADER], [PIVOT], [NEAR, FAR]):
            step = plot.step(KillInSync.of(plot.rng, nodes, 0), 0, when)
            first = first or step


EPISODE = Steered(
    name="cut_snapshots",
    about="All nodes lose power between two operations on the disk of a snapshot, and some of the names",
    source="Pillai et al., OSDI 2014",
    kinds=("kill_in_sync",),
    timeouts=8,
    build=_build,
    features=("snapshot_every",),
)
