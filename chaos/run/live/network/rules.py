"""What happens on a link: the rule of a directed link, and the faults in force merged into one. Delays add up, the
largest probability counts.
"""

from __future__ import annotations

from raft_chaos.chaos.faults.links import Degraded, LinkState


class LinkRule(Degraded, frozen=True):
    """What happens on one directed link. While it is `cut`, nothing crosses it; a clogged link holds everything, and
    lets go of it at the end. `bytes_per_s` is how fast it is at most; 0: as fast as the machine.
    With the probability `corrupt` bits of what crosses it flip.

    Each network says what it cuts: frames and packets are dropped, a stream of bytes waits.
    """

    cut: bool = False
    clogged: bool = False
    bytes_per_s: int = 0
    corrupt: float = 0.0

    @property
    def holds(self) -> bool:
        """Whether nothing crosses the link now."""
        return self.cut or self.clogged


def rule_of(state: LinkState) -> LinkRule:
    """The rule for this state."""
    degraded = state.degraded
    return LinkRule(
        cut=state.cut,
        clogged=state.clogged,
        delay_min_us=sum(one.delay_min_us for one in degraded),
        delay_max_us=sum(one.delay_max_us for one in degraded),
        loss=max((one.loss for one in degraded), default=0.0),
        duplicate=max((one.duplicate for one in degraded), default=0.0),
        reorder=max((one.reorder for one in degraded), default=0.0),
        delay_mean_us=sum(one.delay_mean_us for one in degraded),
        bytes_per_s=state.bytes_per_s,
        corrupt=state.corrupt,
    )
