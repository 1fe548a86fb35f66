"""No client asks for anything while entries of an earlier term are uncommitted (a steered episode)."""

from __future__ import annotations

from random import Random

from raft_chaos.chaos.faults.names import LEADER
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.schedule.steered.plot import Plot, Steered


def _build(plot: Plot) -> None:
    """The leader dies with what the last commands left in the logs. The next one must commit these entries without a
    client's help, with an entry of its own term (§8)."""
    plot.step(Kill([LEADER], [plot.lasting(1, 4)]), 0)


EPISODE = Steered(
    name="quiet",
    about="The leader dies just after the last command, and for a while no client asks for anything",
    source="Raft, section 8; RaftOS #30",
    kinds=("kill",),
    timeouts=8,
    build=_build,
)


def window(rng: Random, unit: int, from_us: int, until_us: int) -> tuple[int, int]:
    """The quiet time within these two: when it begins, and when it ends."""
    lasts_us = EPISODE.timeouts * unit
    begins_us = rng.randint(from_us, max(from_us, until_us - lasts_us))
    return begins_us, min(until_us, begins_us + lasts_us)
