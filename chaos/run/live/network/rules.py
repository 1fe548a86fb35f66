"""The faults that are in force on the links, put together into one rule a link.

Several faults may hit one link at a time: any cut cuts it, delays add up, and frames are lost, doubled or overtaken
with the larger probability. Healing one leaves the others as they are.
"""

from __future__ import annotations

from raft_chaos.chaos.faults.actions import Network
from raft_chaos.chaos.run.live.network.frame_proxy import Link, LinkCounters, LinkRule, ProxyClient


class LinkFaults:
    """Which fault does what to which directed link (sender, receiver)."""

    def __init__(self, proxy: ProxyClient) -> None:
        self._proxy = proxy
        self._links = sorted(proxy.addresses())
        self._faults: dict[str, dict[Link, LinkRule]] = {}

    def cut(self, fault: str, links: list[Link]) -> None:
        """Frames on these links are held back for good. In force when this returns."""
        self._set(fault, dict.fromkeys(links, LinkRule(cut=True)))

    def degrade(self, fault: str, nodes: list[str], action: Network) -> list[Link]:
        """Frames into and out of `nodes` suffer as `action` says; returns those links."""
        links = [link for link in self._links if link[0] in nodes or link[1] in nodes]
        rule = LinkRule(
            delay_min_us=action.delay_min_us,
            delay_max_us=action.delay_max_us,
            loss=action.loss,
            duplicate=action.duplicate,
            reorder=action.reorder,
        )
        self._set(fault, dict.fromkeys(links, rule))
        return links

    def heal(self, fault: str) -> None:
        self._set(fault, None)

    def counters(self) -> dict[Link, LinkCounters]:
        """What has happened to the frames of each link since the run began."""
        return self._proxy.counters()

    def _set(self, fault: str, rules: dict[Link, LinkRule] | None) -> None:
        if rules is None:
            self._faults.pop(fault, None)
        else:
            self._faults[fault] = rules
        combined: dict[Link, LinkRule] = {}
        for rules_of_one in self._faults.values():
            for link, rule in rules_of_one.items():
                combined[link] = _both(combined[link], rule) if link in combined else rule
        self._proxy.set_rules(combined)


def _both(a: LinkRule, b: LinkRule) -> LinkRule:
    return LinkRule(
        cut=a.cut or b.cut,
        delay_min_us=a.delay_min_us + b.delay_min_us,
        delay_max_us=a.delay_max_us + b.delay_max_us,
        loss=max(a.loss, b.loss),
        duplicate=max(a.duplicate, b.duplicate),
        reorder=max(a.reorder, b.reorder),
    )
