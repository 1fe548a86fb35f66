"""Describes a schedule in words, before a run begins."""

from __future__ import annotations

from raft_chaos.chaos.faults.catalogue import KINDS
from raft_chaos.chaos.faults.names import tally
from raft_chaos.chaos.schedule.data import Schedule
from raft_chaos.chaos.schedule.steered.catalogue import episode_of


def drawn(schedule: Schedule) -> list[str]:
    """A line or more for each kind of fault, one for all faults, and one for the operations."""
    lines = _swarm(schedule.header.swarm)
    for kind in KINDS.values():
        of_kind = [(fault.action, fault.duration_us) for fault in schedule.faults if isinstance(fault.action, kind)]
        if of_kind:
            lines += kind.summary(of_kind, schedule.header.nodes)
    if anchored := sum(fault.when.on is not None for fault in schedule.faults):
        lines.append(f"faults: {len(schedule.faults)}, {anchored} of them anchored to elections and votes")
    first_steps = (fault.id for fault in schedule.faults if fault.id.endswith("-1"))
    if episodes := tally(filter(None, map(episode_of, first_steps))):
        lines.append(f"steered episodes: {episodes}")
    functions = tally(operation.f for operation in schedule.operations)
    lines.append(f"operations: {len(schedule.operations)} by {len(schedule.header.clients)} clients ({functions})")
    if final := sum(operation.final for operation in schedule.operations):
        lines.append(f"final reads: {final} of them, each at one node alone, once all is healed")
    return lines


def _swarm(options: dict[str, float | int | str]) -> list[str]:
    """The options that the seed drew for the whole run, and those that it left out."""
    if not options:
        return []
    on = [
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in options.items()
        if value
    ]
    off = [name for name, value in options.items() if not value]
    return [f"swarm: {', '.join(on)}", *([f"swarm, off: {', '.join(off)}"] if off else [])]
