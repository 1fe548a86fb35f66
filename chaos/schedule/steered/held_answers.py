"""A leader that was replaced gets answers from the time before (a steered episode).

Clients ask all nodes for the value of a register by ReadIndex meanwhile, and others write it (`probes`).
"""

from __future__ import annotations

from raft_chaos.chaos.faults.names import LEADER, OTHERS
from raft_chaos.chaos.faults.partition import Clog
from raft_chaos.chaos.schedule.steered.plot import SOON_US, Plot, Steered, after

BEFORE = 0.15
"""The leader is heard for so long while the answers to it are held, in longest election timeouts: a read begins its
round then, and the others answer."""
HELD = (2.6, 3.2)


def _build(plot: Plot) -> None:
    """The answers to the leader are held, and then it is cut off. The others elect one, which commits writes. The old
    leader does not know, and takes reads. Then the answers arrive, and nothing else does: they say that it led when it
    asked, and nothing about the reads that came later.
    """
    held_us, before_us = plot.lasting(*HELD), round(BEFORE * plot.unit)
    held = plot.step(Clog({LEADER: [OTHERS]}), held_us)
    plot.isolate_leader(held_us - before_us - SOON_US, after(held, before_us))


EPISODE = Steered(
    name="held_answers",
    about="A leader is cut off until another one has committed; then old answers to it arrive, and nothing else",
    source="thesis, section 6.4",
    kinds=("clog", "partition"),
    timeouts=4,
    build=_build,
    not_with=("check_quorum",),
)

PROBED = (0.0, HELD[1])
"""When clients read and write, after the episode has begun, in longest election timeouts."""
