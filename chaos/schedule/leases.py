"""Reads by a lease in a schedule (thesis, §6.4.1): where there may be some, and which reads are.

A lease goes by clocks. So there is none in a schedule whose faults of clocks make one node's run more than `MOST_DRIFT`
times as fast as another's, or make one jump: then a stale read would be no mistake of the node. `check` refuses such a
schedule. Nothing else that a fault does to a node matters to its lease: to pause one, for one, does not stop its clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from raft_chaos.chaos.faults.clock import Clock, Strobe
from raft_chaos.chaos.schedule.data import Fault, Operation
from raft_chaos.chaos.schedule.workload import client_streams
from raft_chaos.raft.state.timing import MOST_DRIFT

SHARE = 0.6
"""The share of the reads by ReadIndex that become reads by a lease, in a seed whose nodes have leases."""
MILLION = 1_000_000


def breaking(faults: Iterable[Fault]) -> str:
    """The id of a fault that breaks what leases rest on; "" if none does."""
    fastest = slowest = 0
    for fault in faults:
        action = fault.action
        if isinstance(action, Strobe) or (isinstance(action, Clock) and action.jump_us):
            return fault.id
        if isinstance(action, Clock):
            fastest, slowest = max(fastest, action.rate_ppm), min(slowest, action.rate_ppm)
            if MILLION + fastest > MOST_DRIFT * (MILLION + slowest):
                return fault.id
    return ""


def with_leases(seed: int, operations: Sequence[Operation]) -> list[Operation]:
    """The same operations; most of the reads by ReadIndex are reads by a lease. Each client draws from a stream of its
    own, for each of its operations."""
    clients = client_streams(seed, "workload/lease", operations)
    drawn = [(operation, clients[operation.client].random() < SHARE) for operation in operations]
    return [
        replace(operation, consistency="lease") if by_lease and operation.consistency == "read_index" else operation
        for operation, by_lease in drawn
    ]
