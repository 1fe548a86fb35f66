"""Candidates for a schedule that is tried by runs in real time. A run takes seconds, so few candidates must gain much.

Each function yields those of one part, the ones that gain most, or that are cheapest to try, first. The candidates for
single faults, nodes and clients are those of `candidates`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from msgspec.structs import replace

from raft_chaos.chaos.schedule.data import Fault, Operation, Schedule
from raft_chaos.chaos.shrink.candidates import FEWEST_NODES, node_candidates

MARGINS_US = (300_000, 1_500_000)
"""How long after the violation a shorter schedule ends."""
SHORT_US = 1_500_000
"""A schedule that is as short as this ends soon enough: to start the nodes takes as long."""
LASTING_US = 500_000
"""A fault counts as in force for this long after its end: nodes that were cut off or killed need it to recover."""
LEAST_MOVE_US = 100_000
EIGHTHS = (1, 2, 4, 6)
"""The other ends that are tried, in eighths of the whole."""


def bare(schedule: Schedule) -> Schedule:
    """Without what no run in real time heeds: the required events, which only show that a run is not vacuous, and the
    options of the swarm."""
    return tidy(replace(schedule, header=replace(schedule.header, required=[], swarm={})))


def tidy(schedule: Schedule) -> Schedule:
    """Without clients that have nothing to do, except one."""
    at_work = dict.fromkeys(operation.client for operation in schedule.operations)
    names = [name for name in schedule.header.clients if name in at_work] or schedule.header.clients[:1]
    return replace(schedule, header=replace(schedule.header, clients=names))


def length_us(schedule: Schedule) -> int:
    """The time from the beginning to the end of the operations."""
    return schedule.header.safety_until_us + schedule.header.liveness_for_us


def sooner_ended(schedule: Schedule, shown_us: int) -> Iterator[Schedule]:
    """That end earlier: soon after the violation, which showed at `shown_us`, or at a part of the time."""
    whole_us = length_us(schedule)
    if whole_us <= SHORT_US:
        return
    ends_us = [shown_us + margin for margin in MARGINS_US] + [whole_us * part // 8 for part in EIGHTHS]
    for end_us in sorted(dict.fromkeys(ends_us)):
        if 0 < end_us < whole_us:
            yield ended_at(schedule, end_us)
    if schedule.header.liveness_for_us:
        yield ended_at(schedule, schedule.header.safety_until_us)


def ended_at(schedule: Schedule, end_us: int) -> Schedule:
    """Without what begins later. What is under way then is healed, and the final reads follow."""
    header = schedule.header
    until_us = min(header.safety_until_us, end_us)
    header = replace(
        header,
        safety_from_us=min(header.safety_from_us, until_us),
        safety_until_us=until_us,
        liveness_for_us=min(header.liveness_for_us, end_us - until_us),
    )
    faults = [fault for fault in schedule.faults if fault.when.at_us is None or fault.when.at_us < until_us]
    return tidy(Schedule(header, faults, [one for one in _finals_at(end_us, schedule) if one.at_us <= end_us]))


def _finals_at(end_us: int, schedule: Schedule) -> list[Operation]:
    """The operations, with the final reads due at this time at the latest."""
    return [replace(one, at_us=min(one.at_us, end_us)) if one.final else one for one in schedule.operations]


def without_final_reads(schedule: Schedule) -> Iterator[Schedule]:
    left = [operation for operation in schedule.operations if not operation.final]
    if len(left) < len(schedule.operations):
        yield tidy(replace(schedule, operations=left))


def sooner_begun(schedule: Schedule) -> Iterator[Schedule]:
    """That begin earlier: what is before the first fault is then overdue at once; without faults, before the first
    operation."""
    times = [fault.when.at_us for fault in schedule.faults if fault.when.at_us is not None]
    times += [operation.at_us for operation in schedule.operations if not operation.final] if not times else []
    lead_us = min(times, default=0)
    for by_us in (lead_us, lead_us // 2, lead_us // 4):
        if by_us >= LEAST_MOVE_US:
            yield _earlier(schedule, by_us)


def _earlier(schedule: Schedule, by_us: int) -> Schedule:
    header = schedule.header

    def fault(one: Fault) -> Fault:
        at_us = one.when.at_us
        return one if at_us is None else replace(one, when=replace(one.when, at_us=at_us - by_us))

    def operation(one: Operation) -> Operation:
        return replace(one, at_us=max(0, one.at_us - by_us))

    until_us = max(0, header.safety_until_us - by_us)
    from_us = min(until_us, max(0, header.safety_from_us - by_us))
    return Schedule(
        replace(header, safety_from_us=from_us, safety_until_us=until_us),
        [fault(one) for one in schedule.faults],
        [operation(one) for one in schedule.operations],
    )


def fewer_faults(schedule: Schedule, from_us: int, until_us: int) -> Iterator[Schedule]:
    """Without faults, with those in force while the violation came about, with those of one kind alone, and without
    those of one kind. Anchored faults have no time, and stay."""
    kinds = list(dict.fromkeys(fault.action.kind() for fault in schedule.faults))
    tests: list[Callable[[Fault], bool]] = [
        lambda fault: False,
        lambda fault: _is_in_force(fault, from_us, until_us),
        *(partial(_is_of, kind) for kind in kinds),
        *(partial(_is_not_of, kind) for kind in kinds),
    ]
    for kept in tests:
        faults = [fault for fault in schedule.faults if kept(fault)]
        if len(faults) < len(schedule.faults):
            yield replace(schedule, faults=faults)


def _is_in_force(fault: Fault, from_us: int, until_us: int) -> bool:
    at_us = fault.when.at_us
    return at_us is None or (at_us <= until_us and at_us + fault.duration_us + LASTING_US >= from_us)


def _is_of(kind: str, fault: Fault) -> bool:
    return fault.action.kind() == kind


def _is_not_of(kind: str, fault: Fault) -> bool:
    return fault.action.kind() != kind


def of_the_witness(schedule: Schedule, names: set[str], keys: set[str]) -> Iterator[Schedule]:
    """With the operations of the witness (`names`, on `keys`) alone, of its keys and clients, of its keys, and of its
    clients."""
    clients = {name.rpartition("/")[0] for name in names}
    tests: list[Callable[[Operation], bool]] = [
        lambda operation: operation.id in names,
        lambda operation: operation.key in keys and operation.client in clients,
        lambda operation: operation.key in keys,
        lambda operation: operation.client in clients,
    ]
    for kept in tests:
        operations = [operation for operation in schedule.operations if kept(operation)]
        if 0 < len(operations) < len(schedule.operations):
            yield tidy(replace(schedule, operations=operations))


def smallest_cluster(schedule: Schedule) -> Iterator[Schedule]:
    """With the first nodes alone, as few as tolerate a failure."""
    smallest = [one for one in node_candidates(schedule) if len(one.header.nodes) == FEWEST_NODES]
    if smallest:
        yield tidy(smallest[-1])


def one_node_less(schedule: Schedule) -> Iterator[Schedule]:
    """Without one of the nodes, the last one first: in many systems the first one is special."""
    nodes = schedule.header.nodes
    smaller = [one for one in node_candidates(schedule) if len(one.header.nodes) == len(nodes) - 1]
    yield from map(tidy, reversed(smaller))
