"""The fault log: what a nemesis has begun, and what was seen of it, as the harness's events.

    span = log.begin(fault, nodes, leader)     before anything is done: from now on the fault touches these nodes
    log.injected(span, "pause n1")             it is in force
    log.healed(span, Effect(...))              it is over, and this was seen of it

Every world keeps the same log, so the same fault is told in the same way and excused for the same reasons. A fault
whose effect was not seen makes a run vacuous, unless another fault left it nothing to do: a link cut to a node that is
down carries no frame to hold back. Such a fault is reported as moot, with the name of the other; so is one that the end
of the safety phase cut short.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from raft_chaos.chaos.faults.strike import Effect
from raft_chaos.chaos.schedule.data import Fault
from raft_chaos.invariants.events import HARNESS, FaultHealed, FaultInjected, HarnessEvent


@dataclass
class Span:
    """From when to when (µs; None: still) a fault touches which nodes. `leader` is the one when it fired, if known."""

    fault: Fault
    nodes: tuple[str, ...]
    leader: str | None
    from_us: int
    to_us: int | None = None

    def meets(self, other: Span) -> bool:
        """Whether the two touch one node at one time."""
        return (
            not set(self.nodes).isdisjoint(other.nodes)
            and (self.to_us is None or other.from_us <= self.to_us)
            and (other.to_us is None or self.from_us <= other.to_us)
        )


class FaultLog:
    """The faults of one run. Tells time by `now_us`, and hands the harness's events to `report`."""

    def __init__(self, nodes: Sequence[str], now_us: Callable[[], int], report: Callable[[HarnessEvent], None]) -> None:
        self._nodes = list(nodes)
        self._now_us = now_us
        self._report = report
        self._spans: list[Span] = []
        self._isolated: dict[str, str] = {}  # fault id -> the leader that it isolates
        self._touched: set[str] = set()
        self.current: dict[str, str] = {}
        """Fault id -> what it does, for those in force."""

    # ---- what is written down -------------------------------------------------------------------------------------

    def begin(self, fault: Fault, nodes: Sequence[str], leader: str | None) -> Span:
        """The fault is about to hit these nodes; its span lasts until `healed`."""
        span = Span(fault, tuple(nodes), leader, self._now_us())
        self._spans.append(span)
        return span

    def injected(self, span: Span, detail: str, targets: Sequence[str] | None = None) -> None:
        """The fault is in force. `targets` are the nodes that it really hit, if not all those of its span."""
        fault, action = span.fault, span.fault.action
        hit = span.nodes if targets is None else tuple(targets)
        if action.leaves_behind:
            self._touched.update(hit)
        if (isolated := action.isolated(span.leader)) is not None:
            self._isolated[fault.id] = isolated
        self.current[fault.id] = detail
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
            )
        )

    def healed(self, span: Span, seen: Effect) -> None:
        """The fault is over. Without effect, it is excused by another fault or by the end of the safety phase."""
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
                moot="" if seen.effective else seen.excuse or self._others(span) or _cut_short(span),
            )
        )

    def _others(self, span: Span) -> str:
        """The faults that touched one of its nodes at the same time."""
        return " ".join(other.fault.id for other in self._spans if other is not span and other.meets(span))

    # ---- what is asked --------------------------------------------------------------------------------------------

    @property
    def touched(self) -> list[str]:
        """The nodes that were killed, paused or cut off so far, in the order of the cluster's nodes."""
        return [node for node in self._nodes if node in self._touched]

    def isolates(self, node: str) -> bool:
        """Whether a fault in force isolates the node as the leader: it then leads nobody, whatever it reports."""
        return node in self._isolated.values()


def _cut_short(span: Span) -> str:
    """An anchored fault may fire so late that it is healed before anybody can have noticed it."""
    assert span.to_us is not None
    return "end of the safety phase" if span.to_us - span.from_us < span.fault.duration_us else ""
