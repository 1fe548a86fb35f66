"""Faults that follow others: they fire since another one strikes, or hit the nodes that had a role when it struck."""

from __future__ import annotations

from collections.abc import Iterable

from raft_chaos.chaos.faults.names import fault_of
from raft_chaos.chaos.schedule.data import Fault


def follows(fault: Fault) -> list[str]:
    """The ids of the faults that it follows."""
    others = (fault.when.since, *map(fault_of, fault.action.names))
    return [other for other in dict.fromkeys(others) if other]


def without_orphans(faults: Iterable[Fault]) -> list[Fault]:
    """The faults, except those that follow one which is not among them, or comes later."""
    kept: dict[str, Fault] = {}
    for fault in faults:
        if all(other in kept for other in follows(fault)):
            kept[fault.id] = fault
    return list(kept.values())
