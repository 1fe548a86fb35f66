"""A leader tells a node to stand for election, and that arrives in a later term (a steered episode)."""

from __future__ import annotations

from raft_chaos.chaos.faults.names import LEADER, OTHERS, PIVOT
from raft_chaos.chaos.faults.partition import Clog
from raft_chaos.chaos.faults.transfer import Transfer
from raft_chaos.chaos.schedule.steered.plot import SOON_US, Plot, Steered, after, then


def _build(plot: Plot) -> None:
    """Nothing of what the leader sends arrives. It is asked to hand over to a node that has all of its log, and tells
    that one to stand. The others do not hear the leader, and elect one. Then its word arrives, and is void: the node
    follows another leader, of a later term.

    The transfer is asked for again when nothing is held any more, so that it succeeds.
    """
    held = plot.step(Clog({OTHERS: [LEADER]}), plot.lasting(1.4, 2))
    plot.step(Transfer(then(held, PIVOT)), plot.lasting(6.3, 6.6), after(held, SOON_US))


EPISODE = Steered(
    name="held_transfer",
    about="A leader hands over, but its word to stand for election arrives only when another node leads",
    source="thesis, section 3.10",
    kinds=("clog", "transfer"),
    timeouts=7,
    build=_build,
)
