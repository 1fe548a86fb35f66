"""Two quorums that meet in one victim, which forgets in between (a steered episode)."""

from __future__ import annotations

from raft_chaos.chaos.faults.disk import SlowSync
from raft_chaos.chaos.faults.names import FAR, LEADER, NEAR, PIVOT
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.schedule.data import When
from raft_chaos.chaos.schedule.steered.plot import SOON_US, Plot, Steered, after, then


def meet_in_victim(plot: Plot, begin: When | None, writing_us: int, victim: str) -> None:
    """A smallest majority writes, while the victim's syncs are slow. Then the victim alone dies and loses what it had
    not synced, and the only other nodes that it hears from then on are those that did not hear the writes.

    An entry that was acknowledged before the victim had it on disk is on no node of the second majority. If the number
    of nodes is even, two majorities share two nodes: leader and pivot both die.
    """
    first = plot.split([[LEADER, PIVOT, NEAR], [FAR]], writing_us, begin)
    least_us = plot.lasting(0.25, 0.35)
    victims = [LEADER, PIVOT] if plot.even else [victim]
    plot.step(SlowSync(then(first, *victims), least_us, least_us * 3 // 2), writing_us, after(first))
    rest = [role for role in (LEADER, PIVOT, NEAR) if role not in victims]
    second = plot.split(
        [then(first, *rest), then(first, *victims, FAR)], plot.lasting(3, 4), after(first, writing_us - SOON_US)
    )
    plot.step(Kill(then(first, *victims), [0 for _ in victims]), 0, after(second))


def _build(plot: Plot) -> None:
    meet_in_victim(plot, None, plot.lasting(0.7, 1.6), LEADER if plot.rng.random() < 0.6 else PIVOT)


EPISODE = Steered(
    name="one_victim",
    about="Two quorums meet in one node, whose syncs are slow while it writes with the first, and which then dies",
    source="Jepsen: NATS 2.12.1, nats-server #7567; openraft #2118",
    kinds=("kill", "partition", "slow_sync"),
    timeouts=6,
    build=_build,
)
