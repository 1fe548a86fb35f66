"""Reads by a lease in a schedule (thesis, §6.4.1): where there may be some, which reads are, and the probes.

A lease goes by clocks. So there is none in a schedule whose faults of clocks make one node's run more than `MOST_DRIFT`
times as fast as another's, or make one jump: then a stale read would be no mistake of the node. `check` refuses such a
schedule. Nothing else that a fault does to a node matters to its lease: to pause one, for one, does not stop its clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter

from msgspec.structs import replace

from raft_chaos.chaos.faults.clock import Clock, Strobe
from raft_chaos.chaos.schedule.data import Fault, Operation
from raft_chaos.chaos.schedule.steered.catalogue import episode_of
from raft_chaos.chaos.schedule.steered.old_lease import PROBED
from raft_chaos.chaos.schedule.workload import client_streams
from raft_chaos.raft.state.timing import MOST_DRIFT

SHARE = 0.6
"""The share of the reads by ReadIndex that become reads by a lease, in a seed whose nodes have leases."""
WRITERS, WRITE_EVERY_US, READ_EVERY_US = 3, 15_000, 10_000
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


def probes(faults: Iterable[Fault], nodes: Sequence[str], unit: int) -> list[Operation]:
    """The reads and writes of the episodes of old leases (`steered.old_lease`) among these faults: a client beside each
    node reads there, again and again, what others write at whoever leads. Nothing is drawn."""
    windows: list[tuple[int, int]] = []
    for fault in faults:
        episode = episode_of(fault.id)
        if episode in PROBED and fault.when.at_us is not None:
            from_us, until_us = (fault.when.at_us + round(part * unit) for part in PROBED[episode])
            windows.append((from_us, until_us))
    made: list[Operation] = []
    writes = [at_us for from_us, until_us in windows for at_us in range(from_us, until_us, WRITE_EVERY_US)]
    reads = [at_us for from_us, until_us in windows for at_us in range(from_us, until_us, READ_EVERY_US)]
    for place in range(WRITERS):
        client, key = f"probe-w{place}", f"reg/probe-w{place}/0"
        for number, at_us in enumerate(writes):
            # A read leads it from its own node to the leader of that one, which may be another than the old one.
            first, name, value = f"{client}/{2 * number}", f"{client}/{2 * number + 1}", f"{client}-{number}"
            node = nodes[place % len(nodes)]
            made.append(
                Operation(id=first, client=client, at_us=at_us, f="get", key=key, node=node, consistency="read_index")
            )
            made.append(Operation(id=name, client=client, at_us=at_us, f="put", key=key, value=value))
    for node in nodes:
        client = f"probe-{node}"
        for number, at_us in enumerate(reads):
            name, key = f"{client}/{number}", f"reg/probe-w{number % WRITERS}/0"
            made.append(
                Operation(id=name, client=client, at_us=at_us, f="get", key=key, node=node, consistency="lease")
            )
    return sorted(made, key=attrgetter("at_us"))


def probers(nodes: Sequence[str]) -> list[str]:
    """The clients of `probes`."""
    return [*(f"probe-w{place}" for place in range(WRITERS)), *(f"probe-{node}" for node in nodes)]
