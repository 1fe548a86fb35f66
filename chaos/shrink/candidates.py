"""Candidates for a smaller schedule: each function yields the candidates for one part, the smallest first.

Whether a candidate still fails is tried elsewhere (`schedules`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import combinations

import msgspec
from msgspec.structs import replace

from raft_chaos.chaos.faults.catalogue import LIVE_KINDS
from raft_chaos.chaos.schedule.check import check_damaged
from raft_chaos.chaos.schedule.data import Fault, Operation, Schedule, ScheduleError, SimModel, When
from raft_chaos.chaos.schedule.follow import without_orphans
from raft_chaos.raft.state.features import Features

PLAIN_MODEL = SimModel(latency_min_us=1_000, latency_max_us=1_000, sync_min_us=1_000, sync_max_us=1_000)
FEWEST_NODES = 3


def header_candidates(schedule: Schedule) -> Iterator[Schedule]:
    """Without required events, swarm and liveness time, and with a network and disk of constant latency."""
    header = schedule.header
    bare = replace(header, required=[], swarm={}, liveness_for_us=0)
    if header.branches:
        unbranched = replace(bare, branches=msgspec.UNSET)
        yield replace(schedule, header=replace(unbranched, model=PLAIN_MODEL))
        yield replace(schedule, header=unbranched)
    yield replace(schedule, header=replace(bare, model=PLAIN_MODEL))
    yield replace(schedule, header=bare)


def without_features(schedule: Schedule) -> Iterator[Schedule]:
    """With nodes of plain Raft, then without one of their features, as far as no other one needs it; and without the
    faults that need it."""
    names = schedule.header.features.names
    for kept in dict.fromkeys(((), *(tuple(name for name in names if name != gone) for gone in names))):
        if len(kept) < len(names):
            with suppress(ValueError):
                features = Features.of(kept)
                faults = without_orphans(fault for fault in schedule.faults if fault.action.exists_with(features))
                yield replace(schedule, header=replace(schedule.header, features=features), faults=faults)


def unrepeated(schedule: Schedule) -> Iterator[Schedule]:
    """In which no command arrives again, and in which no client begins a new session by itself."""
    if any(operation.again for operation in schedule.operations):
        yield replace(schedule, operations=[replace(operation, again=0) for operation in schedule.operations])
    if any(operation.anew for operation in schedule.operations):
        yield replace(schedule, operations=[replace(operation, anew=False) for operation in schedule.operations])


def live_fault_candidates(schedule: Schedule) -> Iterator[Schedule]:
    """Only with faults that also exist in `live`."""
    faults = [fault for fault in schedule.faults if fault.action.kind() in LIVE_KINDS]
    if len(faults) < len(schedule.faults):
        yield replace(schedule, faults=faults)


def node_candidates(schedule: Schedule) -> Iterator[Schedule]:
    """With fewer nodes: first without as many as possible at once, down to `FEWEST_NODES`."""
    names = schedule.header.nodes
    for many in range(len(names) - FEWEST_NODES, 0, -1):
        for gone in combinations(names, many):
            left = [name for name in names if name not in gone]
            faults = [
                replace(fault, action=action)
                for fault in schedule.faults
                if (action := fault.action.without(gone)) is not None
            ]
            try:
                check_damaged(faults, left)
            except ScheduleError:
                continue  # of these nodes, so many lose their data that no quorum is left
            operations = [operation for operation in schedule.operations if operation.node not in gone]
            yield Schedule(replace(schedule.header, nodes=left), faults, operations)


def client_candidates(schedule: Schedule) -> Iterator[Schedule]:
    """With a single client, then without one of the clients."""
    names = schedule.header.clients
    for kept in [*([name] for name in names), *([n for n in names if n != name] for name in reversed(names))]:
        if 0 < len(kept) < len(names):
            operations = [operation for operation in schedule.operations if operation.client in kept]
            yield replace(schedule, header=replace(schedule.header, clients=kept), operations=operations)


def fault_candidates(fault: Fault) -> Iterator[Fault]:
    """The same fault with a smaller effect, or for a shorter time."""
    for action in fault.action.smaller():
        yield replace(fault, action=action, duration_us=action.lasts_us(fault.duration_us))
    for part in (4, 2):
        shorter_us = _rounded(fault.duration_us // part)
        if fault.duration_us >= 4_000 and fault.action.lasts_us(shorter_us) == shorter_us:
            yield replace(fault, duration_us=shorter_us)


def when_candidates(when: When) -> Iterator[When]:
    """The anchor event without the fault that it follows, an earlier one, or a shorter delay after it.

    Fixed times move together (`shifted_earlier`).
    """
    if when.on is not None and when.since:
        yield replace(when, since="")
    if when.at_us is None:
        for nth in dict.fromkeys((1, when.nth // 2, when.nth - 1)):
            if 0 < nth < when.nth:
                yield replace(when, nth=nth)
        for after_us in dict.fromkeys((0, _rounded(when.after_us // 2))):
            if after_us < when.after_us:
                yield replace(when, after_us=after_us)


def shifted_earlier(schedule: Schedule, by_us: int) -> Schedule | None:
    """The whole schedule moved earlier by `by_us`; None if its faults already begin at time 0."""
    header = schedule.header
    by_us = min(by_us, header.safety_from_us)
    if by_us <= 0:
        return None

    def fault(one: Fault) -> Fault:
        at_us = one.when.at_us
        return one if at_us is None else replace(one, when=replace(one.when, at_us=max(0, at_us - by_us)))

    def operation(one: Operation) -> Operation:
        return replace(one, at_us=max(0, one.at_us - by_us))

    return Schedule(
        replace(header, safety_from_us=header.safety_from_us - by_us, safety_until_us=header.safety_until_us - by_us),
        [fault(one) for one in schedule.faults],
        [operation(one) for one in schedule.operations],
    )


def _rounded(us: int) -> int:
    """Rounded down to whole milliseconds, unless that gives 0."""
    return us - us % 1_000 if us >= 1_000 else us
