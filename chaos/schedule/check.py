"""Checks the entries of a schedule beyond their types: people also write and shorten schedules by hand."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from itertools import chain

from raft_chaos.chaos.faults import limits
from raft_chaos.chaos.faults.action import nodes_of
from raft_chaos.chaos.faults.names import PLACEHOLDERS, fault_of, role_of
from raft_chaos.chaos.schedule.data import Fault, Header, Operation, Schedule, ScheduleError
from raft_chaos.chaos.schedule.follow import follows
from raft_chaos.chaos.schedule.leases import breaking
from raft_chaos.raft.state.timing import MOST_DRIFT

MOST_DEPTH = 100


def check_schedule(schedule: Schedule) -> None:
    """Raises ScheduleError for an invalid schedule. For schedules that `load` did not read."""
    check_header(schedule.header)
    entries: list[Fault | Operation] = [*schedule.faults, *schedule.operations]
    taken: dict[str, None] = {}
    for entry in entries:
        try:
            if entry.id in taken:
                raise ScheduleError("is taken by an earlier entry; expected an id of its own")
            if isinstance(entry, Fault):
                check_fault(entry, schedule.header, taken)
            else:
                check_operation(entry, schedule.header)
            taken[entry.id] = None
        except ScheduleError as error:
            raise ScheduleError(f"{entry.id}: {error}", entry.id) from None
    check_damaged(schedule.faults, schedule.header.nodes)
    check_leases(schedule.faults, schedule.operations)


def check_damaged(faults: Iterable[Fault], nodes: Sequence[str]) -> None:
    """Raises ScheduleError if the faults damage so many nodes for good that no quorum is left."""
    damaging = [fault for fault in faults if fault.action.ends_nodes]
    hit = {name for fault in damaging for name in nodes_of(fault.action)}
    if 2 * (len(nodes) - len(hit)) <= len(nodes):
        raise ScheduleError(
            f"faults damage {' '.join(sorted(hit))} for good, and no quorum of {len(nodes)} nodes is left; expected at "
            f"most {(len(nodes) - 1) // 2} damaged nodes in a schedule",
            damaging[-1].id,
        )


def check_leases(faults: Sequence[Fault], operations: Iterable[Operation]) -> None:
    """Raises ScheduleError if there are reads by a lease, and a fault of clocks that makes stale ones right."""
    by_lease = next((operation.id for operation in operations if operation.consistency == "lease"), "")
    if by_lease and (fault := breaking(faults)):
        raise ScheduleError(
            f"operation {by_lease} reads by a lease, and fault {fault} makes clocks jump, or drift by more than leases "
            f"allow (one may run {MOST_DRIFT:g} times as fast as another); leave out one of them",
            fault,
        )


def check_header(header: Header) -> None:
    for field, names in (("nodes", header.nodes), ("clients", header.clients)):
        if not names or len(set(names)) != len(names):
            raise ScheduleError(f"{field}: expected at least one name, each only once, got {names}")
        if odd := [name for name in names if not re.fullmatch(r"[A-Za-z0-9_-]+", name)]:
            # A node's name is also that of its folder.
            raise ScheduleError(f"{field}: {odd[0]!r} is not a valid name; expected letters, digits, - and _")
    if reserved := [name for name in header.nodes if name in PLACEHOLDERS]:
        raise ScheduleError(f"nodes: {reserved[0]!r} stands for whoever has that part, and cannot be a node's name")
    if not 0 <= header.safety_from_us <= header.safety_until_us or header.liveness_for_us < 0:
        raise ScheduleError(
            "expected 0 <= safety_from_us <= safety_until_us and 0 <= liveness_for_us, "
            f"got {header.safety_from_us}, {header.safety_until_us} and {header.liveness_for_us}"
        )
    model = header.model
    branches = header.branches if isinstance(header.branches, list) else []
    for problem in (
        *chain.from_iterable(
            (
                *limits.not_negative("branches.at_us", one.at_us),
                *limits.within("branches.depth", one.depth, 0, MOST_DEPTH),
            )
            for one in branches
        ),
        *limits.ascending("branches.at_us", [one.at_us for one in branches]),
        *limits.ordered("model.latency_min_us and model.latency_max_us", model.latency_min_us, model.latency_max_us),
        *limits.ordered("model.sync_min_us and model.sync_max_us", model.sync_min_us, model.sync_max_us),
    ):
        raise ScheduleError(problem)


def check_fault(fault: Fault, header: Header, earlier: Collection[str]) -> None:
    """`earlier` are the ids of the faults to which it may refer."""
    when, action = fault.when, fault.action
    if (when.at_us is None) == (when.on is None and not when.since):
        raise ScheduleError("when: expected either at_us, or on or since")
    for other in follows(fault):
        if other not in earlier:
            raise ScheduleError(f"it follows {other!r}, and no earlier fault has this id")
    if when.nth < 1:
        raise ScheduleError(f"when.nth: expected 1 or more, got {when.nth}")
    for problem in (
        *limits.not_negative("when.at_us", when.at_us or 0),
        *limits.not_negative("when.after_us", when.after_us),
        *limits.not_negative("duration_us", fault.duration_us),
    ):
        raise ScheduleError(problem)
    roles = action.placeholders(at_vote=when.on == "vote_granted")
    roles += [name for name in action.names if fault_of(name) and role_of(name) in action.placeholders(at_vote=True)]
    for problem in action.check([*header.nodes, *roles]):
        raise ScheduleError(problem)
    if not action.exists_with(header.features):
        raise ScheduleError(
            f"a {action.kind()} needs nodes with the feature {action.feature}; expected it in the header's features"
        )
    if fault.duration_us and action.at_once:
        raise ScheduleError(f"duration_us: expected 0, a {action.kind()} is over at once, got {fault.duration_us}")


def check_operation(operation: Operation, header: Header) -> None:
    if operation.client not in header.clients:
        raise ScheduleError(f"client: {operation.client!r} is unknown; expected one of {', '.join(header.clients)}")
    if not re.fullmatch(re.escape(operation.client) + r"/\d+", operation.id):
        raise ScheduleError(f"id: expected {operation.client}/ and a number, got {operation.id!r}")
    if operation.node is not None and operation.node not in header.nodes:
        raise ScheduleError(f"node: {operation.node!r} is unknown; expected one of {', '.join(header.nodes)}")
    for problem in limits.not_negative("at_us", operation.at_us):
        raise ScheduleError(problem)
    if operation.again < 0:
        raise ScheduleError(f"again: expected 0 or more, got {operation.again}")
    if not operation.key:
        raise ScheduleError("key: expected at least one character")
    if operation.consistency is not None and operation.f != "get":
        raise ScheduleError(f"consistency: expected a get, got a {operation.f}")
    if operation.final and operation.f != "get":
        raise ScheduleError(f"final: expected a get, got a {operation.f}")
    writes = operation.f in ("put", "append", "cas", "enqueue")
    if isinstance(operation.value, str) != writes or isinstance(operation.value, list):
        raise ScheduleError(
            f"value: expected {'a string' if writes else 'none'} for {operation.f}, got {operation.value!r}"
        )
    if isinstance(operation.expected, list) or (operation.expected is not None and operation.f != "cas"):
        raise ScheduleError(f"expected: a string or nothing for cas, nothing for others, got {operation.expected!r}")
