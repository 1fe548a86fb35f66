"""stable_leadership: once all is healed and all nodes follow one leader, its term stays until that hands over.

If all nodes that are up follow one leader in one term, none has a later term, so only a node whose timer runs out can
depose it. Each heartbeat resets the timers, long before the shortest election timeout. That counts from four election
timeouts after healing on: before, a timer may be about to run out at a node that has not heard from the leader since,
and late messages may be on their way. In plain Raft a node that rejoins with a later term deposes a healthy leader, but
such a node does not follow that leader, so not all do.

A node that stands too soon is convicted by `election_timer` as well. Only this invariant convicts a leader that gives
up without a reason: then all timers run out as they must (`quorum_check_ignores_heartbeats`).

The phase `services` begins with nothing else owed, and asks for a transfer of the leadership (thesis, §3.10): what
happens from then on is not judged. A TimeoutNow from before the healing, which makes a node stand without a timer, has
arrived by then like any other late message.

Judged in virtual time alone. In 300 seeds of the right core (swarm, 3 to 7 nodes) all nodes followed one leader 1.2
timeouts and 3 new terms after healing at the latest, and none changed its term from the four timeouts on.
"""

from __future__ import annotations

from raft_chaos.invariants.checkers.base import Checker, Handlers
from raft_chaos.invariants.checkers.leaderships import FOREVER_US, Leaderships
from raft_chaos.invariants.events import NodeExited, NodeKilled, NodeLaunched, PhaseStarted, RoleChanged, Started
from raft_chaos.invariants.verdict import Verdict

SETTLES_SHARE = 10
"""The part of recovery's bound, which is 40 of the longest election timeouts, after which all has settled: four."""


class StableLeadership(Checker):
    """In the liveness phase, once all nodes that are up follow one leader, no node enters a later term."""

    invariant = "stable_leadership"
    goes_by_time = True
    rule = "Servers that receive heartbeats of a leader in time begin no election (§5.2)."
    nothing_judged = "not all nodes came to follow one leader"
    only_if_judged = True

    def __init__(self, leaderships: Leaderships) -> None:
        super().__init__()
        self._leaderships = leaderships
        self._liveness: PhaseStarted | None = None
        self._until_us = FOREVER_US
        self._up: dict[str, bool] = {}

    def handlers(self) -> Handlers:
        return {
            PhaseStarted: self._on_phase,
            NodeLaunched: self._on_node,
            NodeKilled: self._on_node,
            NodeExited: self._on_node,
        }

    def _on_phase(self, event: PhaseStarted) -> None:
        if event.phase == "liveness" and event.within_us:
            self._liveness = event
        elif event.phase == "services":
            self._until_us = event.t_us

    def _on_node(self, event: NodeLaunched | NodeKilled | NodeExited) -> None:
        self._up[event.subject] = isinstance(event, NodeLaunched)

    def verdict(self) -> Verdict:
        self.judged, self.violations, self.violation_count = 0, [], 0
        if self._liveness is not None:
            self._judge(self._liveness, self._liveness.t_us + self._liveness.within_us // SETTLES_SHARE)
        return super().verdict()

    def _judge(self, phase: PhaseStarted, settled_us: int) -> None:
        nodes = [node for node, up in self._up.items() if up]
        roles = [event for node in nodes for event in self._leaderships.roles[node]]
        reports = [event for event in roles if event.t_us < self._until_us]
        now: dict[str, RoleChanged | Started] = {}
        kept: RoleChanged | None = None
        for event in sorted(reports, key=lambda event: event.t_us):
            if kept is None and event.t_us > settled_us:
                kept = _followed_by_all(now, len(nodes))
            if kept is not None and kept.leader not in nodes:
                return  # it ended by itself, and another one is needed
            if kept is not None and event.term > kept.term:
                self.judged = 1
                self.violate(
                    f"{event.node} entered term {event.term} although all nodes followed {kept.leader}, the leader of "
                    f"term {kept.term}, and no fault was left",
                    phase,
                    kept,
                    event,
                )
                return
            now[event.node] = event
        self.judged = int(kept is not None or _followed_by_all(now, len(nodes)) is not None)


def _followed_by_all(now: dict[str, RoleChanged | Started], count: int) -> RoleChanged | None:
    """What a node reported of the leader that all follow in one term; None if they do not."""
    reported = [event for event in now.values() if isinstance(event, RoleChanged) and event.leader is not None]
    if len(reported) < count or len({(event.term, event.leader) for event in reported}) != 1:
        return None
    return reported[0]
