"""Whether a cluster lives on without the nodes that are damaged for good, while its members change.

Less than a quorum of a run's nodes is ever damaged. But members leave as well, and of those that are left too few may
still run: then nobody can elect, commit or bring anybody back, and the run could tell nothing.
An administrator removes nobody from a cluster that this would stop, and so do the faults.
"""

from __future__ import annotations

from collections.abc import Sequence

from raft_chaos.chaos.faults.strike import Layer, Strike

LEAVING: Layer[bool] = Layer("leaving", any)
"""The nodes that a change of the members is removing, or has removed and will bring back."""


def lives_on(at: Strike, *, damaged: Sequence[str] = (), leaving: Sequence[str] = ()) -> bool:
    """Whether a quorum still runs once these nodes, too, are damaged or leave.

    Who is leaving may be gone already, or never go, so it counts for nothing. Who is damaged may be a member for ever.
    """
    gone = {*at.damaged, *damaged}
    lost = [node for node in at.voters if node in gone]
    stay = [node for node in at.voters if node not in gone and node not in leaving and not at.merged(LEAVING, node)]
    return len(stay) > len(lost)
