"""What a run was exposed to: for each kind of fault how often it came, whether it had an effect, and what it met.

A fault without an effect tests nothing, and one that meets no election tests little of a consensus protocol. Counts
make both visible, over a run or over many.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence

import msgspec

from raft_chaos.invariants.events import AnyEvent, FaultHealed, FaultInjected


class Exposure(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of fault. `in_election` counts the faults during which a node stood for election, `nodes` the nodes that
    were hit, all faults together."""

    kind: str
    planned: int = 0
    injected: int = 0
    effective: int = 0
    in_election: int = 0
    nodes: int = 0

    def __add__(self, other: Exposure) -> Exposure:
        return Exposure(
            kind=self.kind,
            planned=self.planned + other.planned,
            injected=self.injected + other.injected,
            effective=self.effective + other.effective,
            in_election=self.in_election + other.in_election,
            nodes=self.nodes + other.nodes,
        )


def added(*several: Iterable[Exposure]) -> list[Exposure]:
    """The sums by kind, in the order of their names."""
    sums: dict[str, Exposure] = {}
    for exposures in several:
        for one in exposures:
            sums[one.kind] = sums[one.kind] + one if one.kind in sums else one
    return [sums[kind] for kind in sorted(sums)]


def exposure(planned: Iterable[str], harness: Iterable[AnyEvent], elections_us: Sequence[int]) -> list[Exposure]:
    """The exposure of one run, by kind. `planned` has the kind of each fault of the schedule, `elections_us` the times
    at which nodes stood for election."""
    injected: dict[str, FaultInjected] = {}
    healed: dict[str, FaultHealed] = {}
    for event in harness:
        if isinstance(event, FaultInjected):
            injected[event.fault] = event
        elif isinstance(event, FaultHealed):
            healed[event.fault] = event
    times = sorted(elections_us)
    fired = [_of_fault(fault, healed.get(fault.fault), times) for fault in injected.values()]
    return added((Exposure(kind=kind, planned=1) for kind in planned), fired)


def _of_fault(fault: FaultInjected, healed: FaultHealed | None, elections_us: Sequence[int]) -> Exposure:
    place = bisect_left(elections_us, fault.t_us)
    next_us = elections_us[place] if place < len(elections_us) else None
    return Exposure(
        kind=fault.type,
        injected=1,
        effective=int(healed is not None and healed.effective),
        in_election=int(next_us is not None and (healed is None or next_us <= healed.t_us)),
        nodes=len(fault.targets),
    )
