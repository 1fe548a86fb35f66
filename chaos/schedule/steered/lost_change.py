"""A leader that is cut off begins a change of the members, and comes back to others that never heard of it (a steered
episode)."""

from __future__ import annotations

from raft_chaos.chaos.faults.membership import Membership
from raft_chaos.chaos.faults.names import PIVOT
from raft_chaos.chaos.schedule.steered.plot import SOON_US, Plot, Steered, after, then


def _build(plot: Plot) -> None:
    """The leader is asked to remove a node just after it was cut off, while all others still name it. It is away for so
    long that its successor has more entries, or a snapshot in their place.

    The change goes, in whichever way the log goes that it was in.
    """
    cut = plot.isolate_leader(plot.lasting(5, 6))
    plot.step(Membership(then(cut, PIVOT)), plot.lasting(0.25, 0.4), after(cut, SOON_US))


EPISODE = Steered(
    name="lost_change",
    about="A leader that is cut off removes a member in vain; a longer log or a snapshot replaces its own",
    source="openraft #1808; Raft, section 6",
    kinds=("membership", "partition"),
    timeouts=6,
    build=_build,
    features=("membership",),
)
