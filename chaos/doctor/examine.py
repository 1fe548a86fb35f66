"""All checks of a target, in the order in which one depends on the other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from raft_chaos.chaos.doctor.bench import Bench, bench
from raft_chaos.chaos.doctor.control import CONVICTED, control
from raft_chaos.chaos.doctor.faults import KILL, faults, leadership
from raft_chaos.chaos.doctor.finding import CannotGoOnError, Finding
from raft_chaos.chaos.doctor.log_lines import log_lines
from raft_chaos.chaos.doctor.one_cluster import WHAT as ONE_SYSTEM
from raft_chaos.chaos.doctor.one_cluster import one_cluster
from raft_chaos.chaos.doctor.operations import ALL as ALL_OPERATIONS
from raft_chaos.chaos.doctor.operations import operations
from raft_chaos.chaos.doctor.wipe import wipe
from raft_chaos.chaos.processes.shortage import setup_error
from raft_chaos.chaos.targets.protocol import Target

VALUES = (*ALL_OPERATIONS, ONE_SYSTEM, KILL)
"""What must be right, or the history is wrong whatever the control does with it."""


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

    def told(finding: Finding) -> None:
        if finding.outcome == "wrong":
            cluster.wrong.append(finding.what)
        found(finding)

    found(Finding("start", "ok", f"{len(cluster.nodes)} nodes answered within {time.monotonic() - began:.1f} s"))
    try:
        async for finding in operations(cluster):
            told(finding)
        if (one := await one_cluster(cluster)) is not None:
            told(one)
        told(await leadership(cluster))
        async for finding in faults(cluster):
            told(finding)
        if (lines := await log_lines(cluster)) is not None:
            told(lines)
        told(cluster.skipped(CONVICTED, *VALUES) or control(cluster.history, cluster.can))
        if (wiped := await wipe(cluster)) is not None:
            told(wiped)
    except CannotGoOnError as error:
        told(error.finding)
        found(Finding("everything else", "skipped", f"it rests on {error.finding.what!r}, which is wrong"))
