"""The node that led before leads again, with a log that was cut back meanwhile (a steered episode)."""

from __future__ import annotations

from raft_chaos.chaos.faults.disk import SlowSync
from raft_chaos.chaos.faults.names import FAR, LEADER, NEAR, OTHERS, PIVOT
from raft_chaos.chaos.faults.pause import Pause
from raft_chaos.chaos.schedule.steered.one_victim import meet_in_victim
from raft_chaos.chaos.schedule.steered.plot import Plot, Steered, after, at_next, then


def _build(plot: Plot) -> None:
    """The leader is cut off with a minority, and collects entries that never commit. The rest sleeps meanwhile, and
    elects another one just before both are together again, so that its log is the shorter one. As soon as the old
    leader has cut its log, all others pause: its timer runs out first, and the others wake up to its request for votes.

    Whatever it still knows from its first time as leader is wrong: match indices, and how much of its log is durable.
    """
    minority, rest = ([LEADER], [PIVOT, NEAR, FAR]) if plot.even else ([LEADER, NEAR], [PIVOT, FAR])
    away_us = plot.lasting(2.5, 4)
    away = plot.split([minority, rest], away_us)
    plot.step(Pause(then(away, *rest)), away_us - plot.lasting(0.3, 0.6), after(away))
    again = plot.step(
        Pause(then(away, OTHERS)), plot.lasting(1.1, 1.4), at_next("log_truncated", away, plot.rng.randint(0, 5_000))
    )
    least_us = plot.lasting(0.25, 0.35)
    plot.step(SlowSync(then(away, LEADER), least_us, least_us * 3 // 2), plot.lasting(3, 4), after(again))
    meet_in_victim(plot, at_next("leader_elected", again), plot.lasting(0.2, 0.35), LEADER)


EPISODE = Steered(
    name="leads_again",
    about="A leader is cut off and loses its tail to another; it leads again, and dies as the victim of two quorums",
    source="rabbitmq/ra #637; akka-raft #58",
    kinds=("kill", "partition", "pause", "slow_sync"),
    timeouts=12,
    build=_build,
)
