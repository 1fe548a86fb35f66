"""Merges the faults in force on a link into one rule for the proxy: delays add up, the largest probability counts."""

from __future__ import annotations

from raft_chaos.chaos.faults.links import LinkState
from raft_chaos.chaos.run.live.network.frame_link import LinkRule


def rule_of(state: LinkState) -> LinkRule:
    """The rule for this state. The proxy cannot clog a link; no fault that clogs is ever in force in real time."""
    degraded = state.degraded
    return LinkRule(
        cut=state.cut,
        delay_min_us=sum(one.delay_min_us for one in degraded),
        delay_max_us=sum(one.delay_max_us for one in degraded),
        loss=max((one.loss for one in degraded), default=0.0),
        duplicate=max((one.duplicate for one in degraded), default=0.0),
        reorder=max((one.reorder for one in degraded), default=0.0),
        delay_mean_us=sum(one.delay_mean_us for one in degraded),
    )
