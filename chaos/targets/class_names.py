"""Finds the Python class of a target by the name that a user gives, and checks that it is one."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from raft_chaos.chaos.faults.abilities import ABILITIES, OF_NETWORK, OF_NETWORKS, OF_QUEUES, OPERATIONS
from raft_chaos.chaos.targets.protocol import TargetError
from raft_chaos.chaos.targets.template import nearest

OF_NODES = [ability for ability in ABILITIES if ability not in OF_NETWORKS]
GROUP = "raft_chaos.targets"
"""The entry points with which an installed package offers targets."""


def load(name: str) -> type[Any]:
    """The class of "module:Class", or of an entry point. Raises TargetError."""
    module, colon, attribute = name.partition(":")
    if not colon:
        from importlib.metadata import entry_points

        offered = {point.name: point for point in entry_points(group=GROUP)}
        if name not in offered:
            raise TargetError(f"there is no target {name!r}; {nearest(name, offered)}")
        return _checked(name, offered[name].load())
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)  # last, so that nothing of the user's hides what is installed
    try:
        return _checked(name, getattr(importlib.import_module(module), attribute))
    except (ImportError, AttributeError) as error:
        raise TargetError(f"{name}: cannot be imported: {error}") from None


def _checked(name: str, found: Any) -> type[Any]:
    """The class, if it has what a target must have. Raises TargetError."""
    if not isinstance(found, type):
        raise TargetError(f"{name}: expected a class, got {found!r}")
    for method in ("start", "invoke"):
        if not callable(getattr(found, method, None)):
            raise TargetError(f"{name}: it has no method {method!r}; see the manual on targets in Python")
    can = getattr(found, "can", None)
    if not can or isinstance(can, str):
        raise TargetError(f"{name}: can: expected a set of abilities, such as {{'get', 'put'}}, got {can!r}")
    for ability in can:
        if ability not in ABILITIES or ability in OF_NETWORKS:
            raise TargetError(f"{name}: can: {ability!r}: {nearest(ability, OF_NODES)}")
        if ability == "clock":
            raise TargetError(f"{name}: can: 'clock': the harness can skew the clocks of our own Raft's nodes only")
        if ability == "transfer":
            raise TargetError(f"{name}: can: 'transfer': the harness can ask our own Raft's leaders to hand over only")
        if ability in ("leader", "term") and not any(callable(getattr(found, by, None)) for by in ("status", "events")):
            raise TargetError(f"{name}: it declares {ability!r}, and has no method 'status' or 'events'")
    if not set(can) & {*OPERATIONS, *OF_QUEUES}:
        raise TargetError(f"{name}: can: expected operations; without {', '.join(OPERATIONS)} a run shows nothing")
    if len(set(can) & {*OF_QUEUES}) == 1:
        raise TargetError(f"{name}: can: enqueue and dequeue need each other; else nobody sees what is in the queue")
    if (network := getattr(found, "network", "tcp")) not in OF_NETWORK:
        raise TargetError(f"{name}: network: {network!r}: {nearest(network, OF_NETWORK)}")
    if "lossy_disk" in can and "kill" not in can:
        raise TargetError(f"{name}: can: 'lossy_disk' needs 'kill': a disk only loses something at a kill")
    return found
