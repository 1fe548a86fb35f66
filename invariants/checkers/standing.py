"""Standing states: the times in which no fault begins or ends, and no node starts, stops, pauses or resumes.

Progress is owed only while nothing changes, since each change may cost an election. The harness's events come in their
own order, so this view is right whatever the nodes report, and whenever.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

from raft_chaos.invariants.checkers.base import Handlers
from raft_chaos.invariants.events import (
    FaultHealed,
    FaultInjected,
    NodeExited,
    NodeKilled,
    NodeLaunched,
    NodePaused,
    NodeResumed,
)
from raft_chaos.invariants.pace import Pace

LEAVES_NO_LATE_FRAME = frozenset(
    (
        *("kill", "stop", "rolling_restart", "crash_loop", "kill_in_sync", "pause", "starve", "transfer"),
        *("partition", "clog", "reset", "corrupt", "slow_sync", "clock", "strobe", "membership"),
    )
)
"""The kinds of faults after whose end no frame is late, as each of ours says itself (`Action.late_frames`; a test
compares the two). Only looked up. Of all others, such as those of a later version, it is taken that some are."""


@dataclass(frozen=True)
class Standing:
    """From `from_us` to `to_us`, of the `nodes` of the cluster those in `up` run, and `faults` are in force.

    The last fault that may have left late frames behind ended at `late_us`. `check_quorum` and `pre_vote`: the nodes
    have these (`Pace`).
    """

    from_us: int
    to_us: int
    nodes: tuple[str, ...]
    up: tuple[str, ...]
    faults: tuple[FaultInjected, ...]
    late_us: int = 0
    check_quorum: bool = False
    pre_vote: bool = False

    @cached_property
    def quorum(self) -> tuple[str, ...]:
        """A majority in which all hear each other and one node, the first, hears nobody else; empty if there is none.
        With CheckQuorum each of them may hear others. With PreVote alone none of them may.

        A fault cuts the links that it names. One that names none disturbs its targets, and a quorum has none of these.
        """
        for node in self.up:
            heard = (node, *(other for other in self.up if other != node and self._hears(node, other)))
            if self._is_majority(len(heard)) and self._is_whole(heard) and not self._may_stick(heard):
                return heard
        if not self.check_quorum:
            return ()
        return self._whole_among(tuple(node for node in self.up if node not in self._disturbed))

    def _whole_among(self, nodes: tuple[str, ...]) -> tuple[str, ...]:
        """A majority of these nodes in which all hear each other; empty if there is none.

        Of two that do not hear each other one has to go. At most half of all nodes can, so 25 nodes take at most 2^12
        tries.
        """
        if not self._is_majority(len(nodes)):
            return ()
        apart = (two for two in combinations(nodes, 2) if not self._hears(*two) or not self._hears(*two[::-1]))
        two = next(apart, ())
        if not two:
            return nodes
        rest = (self._whole_among(tuple(node for node in nodes if node != gone)) for gone in two)
        return next(filter(None, rest), ())

    def _may_stick(self, quorum: Sequence[str]) -> bool:
        """Whether a member may follow an outsider for ever, and no other member makes it leave that one."""
        if self.check_quorum or not self.pre_vote:
            return False
        outside = [node for node in self.up if node not in quorum]
        return any(self._hears(member, node) for member in quorum for node in outside)

    def _is_whole(self, nodes: Sequence[str]) -> bool:
        return self._disturbed.isdisjoint(nodes) and all(self._hears(a, b) for a in nodes for b in nodes)

    @cached_property
    def intruders(self) -> tuple[str, ...]:
        """The nodes outside of the quorum that some of it hear."""
        outside = (node for node in self.up if node not in self.quorum)
        return tuple(node for node in outside if any(self._hears(member, node) for member in self.quorum))

    @cached_property
    def electable(self) -> tuple[str, ...]:
        """The nodes that exchange messages with a majority, counting themselves. Nobody else can commit anything."""
        return tuple(
            node
            for node in self.up
            if self._is_majority(sum(self._hears(node, other) and self._hears(other, node) for other in self.up))
        )

    @cached_property
    def is_alone(self) -> bool:
        """Whether the first node of the quorum hears nobody outside of it."""
        return not any(self._hears(self.quorum[0], node) for node in self.up if node not in self.quorum)

    def undisturbed_receivers(self, sender: str) -> tuple[str, ...]:
        """The other nodes that hear this one, if no fault is on it, on them, or on the links to them."""
        if sender not in self.up or sender in self._disturbed:
            return ()
        others = (node for node in self.up if node != sender and node not in self._disturbed)
        return tuple(node for node in others if self._hears(node, sender))

    @cached_property
    def _disturbed(self) -> frozenset[str]:
        return frozenset(node for fault in self.faults if not fault.links for node in fault.targets)

    @cached_property
    def _cut(self) -> frozenset[tuple[str, str]]:
        return frozenset(link for fault in self.faults for link in fault.links)

    def _hears(self, node: str, sender: str) -> bool:
        return (sender, node) not in self._cut

    def _is_majority(self, count: int) -> bool:
        return count > len(self.nodes) // 2


class StandingStates:
    """All standing states until the liveness phase, in the order of time."""

    def __init__(self, pace: Pace | None = None) -> None:
        self._has = (False, False) if pace is None else (pace.check_quorum, pace.pre_vote)
        self.ended: list[Standing] = []
        self._void: set[str] = set()  # the faults without their full effect; used only for membership tests
        self._up: dict[str, bool] = {}  # each node of the cluster, and whether it runs
        self._faults: dict[str, FaultInjected] = {}
        self._since_us = 0
        self._late_us = 0

    def handlers(self) -> Handlers:
        """All but the phases, at which the owner calls `changes`."""
        return {
            FaultInjected: self._on_injected,
            FaultHealed: self._on_healed,
            NodeLaunched: self._on_up,
            NodeResumed: self._on_up,
            NodeKilled: self._on_down,
            NodePaused: self._on_down,
            NodeExited: self._on_down,
        }

    def changes(self, now_us: int) -> None:
        """A state ends, and another begins."""
        if now_us > self._since_us:
            up = tuple(node for node, runs in self._up.items() if runs)
            faults = tuple(self._faults.values())
            nodes = tuple(self._up)
            self.ended.append(Standing(self._since_us, now_us, nodes, up, faults, self._late_us, *self._has))
        self._since_us = now_us

    def is_certain(self, state: Standing) -> bool:
        """Whether all its faults had their full effect. Otherwise nobody knows which links were open."""
        return not any(fault.fault in self._void for fault in state.faults)

    def _on_injected(self, event: FaultInjected) -> None:
        self.changes(event.t_us)
        self._faults[event.fault] = event

    def _on_healed(self, event: FaultHealed) -> None:
        self.changes(event.t_us)
        if event.type == "membership" and not event.effective:
            return  # nobody knows whether the nodes that it removed are members again
        self._faults.pop(event.fault, None)
        if event.type not in LEAVES_NO_LATE_FRAME:
            self._late_us = event.t_us
        if not event.effective:
            self._void.add(event.fault)

    def _on_up(self, event: NodeLaunched | NodeResumed) -> None:
        self.changes(event.t_us)
        self._up[event.subject] = True

    def _on_down(self, event: NodeKilled | NodePaused | NodeExited) -> None:
        self.changes(event.t_us)
        self._up[event.subject] = False
