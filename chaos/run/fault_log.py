"""The fault log: records the faults of a nemesis, and their effects, as the harness's events.

    span = log.begin(fault, nodes, leader)     before anything is done: from now on the fault touches these nodes
    log.injected(span, "pause n1")             it is in force
    log.healed(span, Effect(...))              it is over, and this was its effect

Every world keeps the same log, so all report and excuse a fault in the same way. A fault without a visible effect makes
a run vacuous, unless another fault prevented the effect: a cut link to a node that is down has no frame to hold back.
Such a fault is reported as moot, with the name of the other fault. A fault that the end of the safety phase cut short
is moot too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from raft_chaos.chaos.faults.strike import Effect
from raft_chaos.chaos.schedule.data import Fault
from raft_chaos.invariants.events import HARNESS, ChangeAnswered, FaultHealed, FaultInjected, HarnessEvent


@dataclass
class Span:
    """The time (µs; `to_us` None: still on) and the nodes that a fault touches. `leader` is the one when it fired."""

    fault: Fault
    nodes: tuple[str, ...]
    leader: str | None
    from_us: int
    to_us: int | None = None

    def meets(self, other: Span) -> bool:
        """Whether the two touch the same node at the same time."""
        return (
            not set(self.nodes).isdisjoint(other.nodes)
            and (self.to_us is None or other.from_us <= self.to_us)
            and (other.to_us is None or self.from_us <= other.to_us)
        )


class FaultLog:
    """The faults of one run. Takes the time from `now_us`, and passes the harness's events to `report`."""

    def __init__(self, nodes: Sequence[str], now_us: Callable[[], int], report: Callable[[HarnessEvent], None]) -> None:
        self._nodes = list(nodes)
        self._now_us = now_us
        self._report = report
        self._spans: list[Span] = []
        self._isolated: dict[str, str] = {}  # fault id -> the leader that it isolates
        self._touched: set[str] = set()
        self._ended: dict[str, str] = {}  # node -> the fault that ended it for good
        self.current: dict[str, str] = {}
        """For each fault in force: its id -> what it does."""
        self.begun = 0
        """How many faults have been in force so far."""

    # ---- records --------------------------------------------------------------------------------------------------

    def begin(self, fault: Fault, nodes: Sequence[str], leader: str | None) -> Span:
        """The fault is about to hit these nodes; its span lasts until `healed`."""
        span = Span(fault, tuple(nodes), leader, self._now_us())
        self._spans.append(span)
        return span

    def change_answered(self, node: str, index: int) -> None:
        """A node says that a change of the members is done."""
        self._report(ChangeAnswered(node=HARNESS, inc=1, t_us=self._now_us(), subject=node, index=index))

    def injected(
        self, span: Span, detail: str, targets: Sequence[str] | None = None, links: Sequence[tuple[str, str]] = ()
    ) -> None:
        """The fault is in force. `targets` are the nodes that it really hit, if not all nodes of its span; `links` are
        those that it cuts or holds, if it hits these alone."""
        fault, action = span.fault, span.fault.action
        hit = span.nodes if targets is None else tuple(targets)
        if action.leaves_behind:
            self._touched.update(hit)
        if (isolated := action.isolated(span.leader)) is not None:
            self._isolated[fault.id] = isolated
        self.current[fault.id] = detail
        self.begun += 1
        self._report(
            FaultInjected(
                node=HARNESS,
                inc=1,
                t_us=self._now_us(),
                fault=fault.id,
                type=action.kind(),
                targets=hit,
                detail=detail,
                leader=span.leader,
                links=tuple(links),
            )
        )

    def ended(self, span: Span, nodes: Sequence[str]) -> None:
        """The fault has damaged these nodes for good: they need not come back, and no later fault can hit them."""
        for node in nodes:
            self._ended.setdefault(node, span.fault.id)

    def healed(self, span: Span, seen: Effect, *, is_over: bool) -> None:
        """The fault is over. Another fault, or the end of the safety phase (it `is_over`), excuses one without
        effect."""
        fault = span.fault
        span.to_us = self._now_us()
        self._isolated.pop(fault.id, None)
        self.current.pop(fault.id, None)
        self._report(
            FaultHealed(
                node=HARNESS,
                inc=1,
                t_us=span.to_us,
                fault=fault.id,
                type=fault.action.kind(),
                effective=seen.effective,
                effect=seen.effect,
                moot=""
                if seen.effective
                else seen.excuse or self._others(span) or (_cut_short(span) if is_over else ""),
            )
        )

    def _others(self, span: Span) -> str:
        """The other faults that touched one of the span's nodes at the same time, or ended it before."""
        met = [other.fault.id for other in self._spans if other is not span and other.meets(span)]
        met += [self._ended[node] for node in span.nodes if node in self._ended]
        return " ".join(fault for fault in dict.fromkeys(met) if fault != span.fault.id)

    # ---- queries --------------------------------------------------------------------------------------------------

    @property
    def touched(self) -> list[str]:
        """The nodes that were killed, paused or cut off so far, in the order of the cluster's nodes, but for those that
        were damaged for good."""
        return [node for node in self._nodes if node in self._touched and node not in self._ended]

    @property
    def damaged(self) -> list[str]:
        """The nodes that were damaged for good so far."""
        return list(self._ended)

    def isolates(self, node: str) -> bool:
        """Whether a fault in force isolates the node as the leader: it then leads nobody, whatever it reports."""
        return node in self._isolated.values()


def _cut_short(span: Span) -> str:
    """The excuse of a fault that the end cut short: an anchored fault may fire too late to have a visible effect."""
    assert span.to_us is not None
    return "end of the safety phase" if span.to_us - span.from_us < span.fault.duration_us else ""
