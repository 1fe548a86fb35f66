"""What a kill left in the cache of the operating system is lost with the power (a steered episode)."""

from __future__ import annotations

from raft_chaos.chaos.faults.crash_loop import SOON_US, STEPS, CrashLoop
from raft_chaos.chaos.faults.disk import SlowSync
from raft_chaos.chaos.faults.names import LEADER, OTHERS
from raft_chaos.chaos.schedule.steered.plot import Plot, Steered, after

TIMES = 3


def _build(plot: Plot) -> None:
    """While syncs are slow the leader, or all others, are killed with a write under way, which stays in the cache. They
    start again at once, and lose power once they are up, or in their start.

    A node that counts what it recovers as durable, and has not synced it, has then forgotten what it said.
    """
    slow = plot.step(
        SlowSync([LEADER, OTHERS], round(0.1 * plot.unit), round(0.15 * plot.unit)), round(2.5 * TIMES * plot.unit)
    )
    for turn in range(TIMES):
        in_start = [STEPS + 1] if plot.rng.random() < 0.7 else [plot.rng.randint(0, STEPS)]
        soon = [plot.rng.randint(*SOON_US)] if plot.rng.random() < 0.5 else []
        loop = CrashLoop([LEADER if turn % 2 else OTHERS], 0, in_start, soon, first_keeps_cache=True)
        plot.step(loop, 0, after(slow, round((1 + 2.5 * turn) * plot.unit)))


EPISODE = Steered(
    name="lost_cache",
    about="A node is killed with a write under way, reads it from the cache of the operating system, and loses power",
    source="Pillai et al., OSDI 2014",
    kinds=("crash_loop", "slow_sync"),
    timeouts=9,
    build=_build,
)
