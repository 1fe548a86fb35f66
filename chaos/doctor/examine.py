"""All checks of a target, in the order in which one depends on the other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from raft_chaos.chaos.doctor.bench import Bench, bench
from raft_chaos.chaos.doctor.control import control
from raft_chaos.chaos.doctor.faults import faults, leadership
from raft_chaos.chaos.doctor.finding import CannotGoOnError, Finding
from raft_chaos.chaos.doctor.log_lines import log_lines
from raft_chaos.chaos.doctor.one_cluster import one_cluster
from raft_chaos.chaos.doctor.operations import operations
from raft_chaos.chaos.doctor.wipe import wipe
from raft_chaos.chaos.processes.shortage import setup_error
from raft_chaos.chaos.targets.protocol import Target


async def examine(target: Target, size: int, found: Callable[[Finding], None]) -> None:
    """Examines a cluster of `size` nodes; calls `found` with each finding as soon as there is one."""
    try:
        async with bench(target, size) as cluster:
            await _all(cluster, found)
    except Exception as error:
        if (refused := setup_error(error)) is not None:
            found(Finding("start", "wrong", str(refused), "look at command, at [ready], and at what the node prints"))
            return
        raise


async def _all(cluster: Bench, found: Callable[[Finding], None]) -> None:
    began = time.monotonic()
    await asyncio.gather(*(cluster.cluster.start(node) for node in cluster.nodes))
    cluster.cluster.began()
    found(Finding("start", "ok", f"{len(cluster.nodes)} nodes answered within {time.monotonic() - began:.1f} s"))
    try:
        async for finding in operations(cluster):
            found(finding)
        if (one := await one_cluster(cluster)) is not None:
            found(one)
        found(await leadership(cluster))
        async for finding in faults(cluster):
            found(finding)
        if (lines := await log_lines(cluster)) is not None:
            found(lines)
        found(control(cluster.history, cluster.can))
        if (wiped := await wipe(cluster)) is not None:
            found(wiped)
    except CannotGoOnError as error:
        found(error.finding)
