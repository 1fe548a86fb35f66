"""The files of the kinds of faults, in the order in which the kinds are listed. A new file adds one name here."""

from __future__ import annotations

from types import ModuleType

from raft_chaos.chaos.faults import (
    at_rest,
    clock,
    corrupt,
    crash_loop,
    disk,
    disk_error,
    kill_in_sync,
    membership,
    network,
    partition,
    pause,
    process,
    rolling_restart,
    starve,
    stop,
    transfer,
    wipe,
)

FAMILIES: list[ModuleType] = [
    *(process, pause, disk, disk_error, at_rest, partition, network, corrupt, clock, wipe),
    *(stop, starve, rolling_restart, crash_loop, transfer, membership, kill_in_sync),
]
