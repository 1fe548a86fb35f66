"""One node hears the old leader and the rest, which do not hear each other (a steered episode)."""

from __future__ import annotations

from raft_chaos.chaos.faults.names import FAR, LEADER, NEAR
from raft_chaos.chaos.schedule.steered.plot import Plot, Steered


def _build(plot: Plot) -> None:
    """The leader and everybody but the pivot do not hear each other. The rest elects another leader, and the old one
    learns of it from the pivot alone; when it stands again, its higher term reaches the new one the same way."""
    plot.split([[LEADER], [NEAR, FAR]], plot.lasting(5, 9), shape="bridge")


EPISODE = Steered(
    name="old_bridge",
    about="One node hears both the old leader and the rest, which elects another leader",
    source="Cloudflare's outage of November 2020 (etcd); OmniPaxos, section 2",
    kinds=("partition",),
    timeouts=8,
    build=_build,
)
