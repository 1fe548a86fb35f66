"""When a node did not act in time: it was paused or starved, or its clock was wrong, as the harness reported."""

from __future__ import annotations

from collections import defaultdict

from raft_chaos.invariants.checkers.base import Handlers
from raft_chaos.invariants.events import (
    FaultHealed,
    FaultInjected,
    NodeExited,
    NodeKilled,
    NodePaused,
    NodeResumed,
    PhaseStarted,
)

FOREVER_US = 1 << 62
CLOCK_FAULTS = ("clock", "strobe")


class Times:
    """For each node, the times from the beginning of something to its end; one without an end goes on for ever."""

    def __init__(self) -> None:
        self._times: defaultdict[str, list[list[int]]] = defaultdict(list)
        self._open: dict[str, list[list[int]]] = {}

    def begin(self, what: str, nodes: tuple[str, ...], t_us: int) -> None:
        for node in nodes:
            time = [t_us, FOREVER_US]
            self._times[node].append(time)
            self._open.setdefault(what, []).append(time)

    def end(self, what: str, t_us: int) -> None:
        for time in self._open.pop(what, ()):
            time[1] = t_us

    def meet(self, node: str, from_us: int, to_us: int) -> bool:
        """Whether one of them touches the time from `from_us` to `to_us`, both included."""
        return any(began_us <= to_us and from_us <= ended_us for began_us, ended_us in self._times.get(node, ()))

    def ever(self, node: str) -> bool:
        """Whether there is one at all."""
        return node in self._times


class Disturbed:
    """The times in which a node was paused or starved, and those in which its clock jumped or ran at a wrong speed."""

    def __init__(self) -> None:
        self.held = Times()
        self.clock = Times()

    def handlers(self) -> Handlers:
        return {
            FaultInjected: self._on_injected,
            FaultHealed: self._on_healed,
            NodePaused: self._on_paused,
            NodeResumed: self._on_pause_ended,
            NodeKilled: self._on_pause_ended,
            NodeExited: self._on_pause_ended,
        }

    def _on_injected(self, event: FaultInjected) -> None:
        if event.type in CLOCK_FAULTS:
            self.clock.begin(event.fault, event.targets, event.t_us)
        elif event.type == "starve":
            self.held.begin(event.fault, event.targets, event.t_us)

    def _on_healed(self, event: FaultHealed) -> None:
        self.clock.end(event.fault, event.t_us)
        self.held.end(event.fault, event.t_us)

    def _on_paused(self, event: NodePaused) -> None:
        self.held.begin(_pause_of(event), (event.subject,), event.t_us)

    def _on_pause_ended(self, event: NodeResumed | NodeKilled | NodeExited) -> None:
        self.held.end(_pause_of(event), event.t_us)


class RightClocks(Disturbed):
    """Which times a node counted rightly. In real time, where the harness reports a wrong clock late, those of a node
    whose clock was never wrong, once all faults are healed."""

    def __init__(self) -> None:
        super().__init__()
        self.is_virtual = False
        self._is_healed = False

    def handlers(self) -> Handlers:
        return {**super().handlers(), PhaseStarted: self._on_phase}

    def _on_phase(self, event: PhaseStarted) -> None:
        self.is_virtual |= event.within_us > 0
        self._is_healed |= event.phase == "liveness"

    def is_known(self, node: str) -> bool:
        """Whether it is known when the node's clock was right."""
        return self.is_virtual or (self._is_healed and not self.clock.ever(node))

    def counted(self, node: str, from_us: int, to_us: int) -> bool:
        """Whether the node's clock was right from one time to the other."""
        return self.is_known(node) and not self.clock.meet(node, from_us, to_us)


def _pause_of(event: NodePaused | NodeResumed | NodeKilled | NodeExited) -> str:
    return f"the pause of {event.subject}"
