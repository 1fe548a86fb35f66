"""Fits a schedule to what a target can do: it asks for nothing that the target does not declare.

Everything is drawn first, as for a target that can do all; then each fault and operation is kept, weakened, or left out
on its own. So what a target lacks moves none of the rest, and a seed means the same for every target.

    a kind of fault      stays if the target and its network can do what it asks for; of a degraded network, the parts
    an anchor            leaders are numbered by their terms, votes and commits are events: else the fault is left out
    "leader"             a target that does not say who leads gets one drawn node instead
    other roles          a fault that names one, or follows another fault, is left out with what it asks for
    a late duplicate     stays if the target recognises commands that it has seen before
    a kind of read       stays if the target serves reads without a log entry; else it is a read like all others
    an operation         becomes the nearest one that the target has: an append a put on a register of its client
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from raft_chaos.chaos.faults.abilities import Abilities, Ability, in_order
from raft_chaos.chaos.schedule.data import LAG_US, AnchorEvent, Fault, Operation, RequiredEvent, Schedule
from raft_chaos.chaos.schedule.follow import follows, without_orphans
from raft_chaos.chaos.schedule.streams import stream

ASKED_BY_ANCHOR: dict[AnchorEvent, Ability] = {
    "leader_elected": "term",
    "leader_committed": "events",
    "vote_granted": "events",
    "log_truncated": "events",
    "voter_added": "events",
}
ASKED_BY_REQUIRED: dict[RequiredEvent, tuple[Ability, ...]] = {
    "leader_killed": ("kill", "leader"),
    "leader_isolated": ("cut", "leader"),
}


def fitted(schedule: Schedule, can: Abilities) -> Schedule:
    """The part of the schedule that a target with these abilities can undergo."""
    header = schedule.header
    required = [event for event in header.required if can.issuperset(ASKED_BY_REQUIRED[event])]
    drawn = [_fault(fault, can, header.seed, header.nodes) for fault in schedule.faults]
    operations = [_operation(operation, can) for operation in schedule.operations]
    if "repeats" not in can:
        operations = [one and msgspec.structs.replace(one, again=0, anew=False) for one in operations]
    if "reads" not in can:
        operations = [one and _plain(one) for one in operations]
    return Schedule(
        header=msgspec.structs.replace(header, required=required),
        faults=without_orphans(fault for fault in drawn if fault is not None),
        operations=[operation for operation in operations if operation is not None],
    )


def lacking(schedule: Schedule, can: Abilities) -> list[str]:
    """What a schedule asks for and a target with these abilities does not have, a sentence for each entry's kind."""
    return list(dict.fromkeys(_lacking(schedule, can)))


def too_slow(schedule: Schedule, election_timeout_us_min: int) -> str:
    """Why a correct cluster may elect no leader on this schedule's simulated network, and would be judged violated;
    "" if it can."""
    model, branches = schedule.header.model, schedule.header.branches
    lag_us = LAG_US[1] if branches and any(branch.depth > 1 for branch in branches) else 0
    round_us = 2 * (model.latency_max_us + lag_us + model.sync_max_us)
    if round_us < election_timeout_us_min:
        return ""
    return (
        f"model: a vote takes up to {round_us} µs there and back with both writes, and the least election timeout is "
        f"{election_timeout_us_min} µs, so perhaps no leader is elected (§5.6); make latency_max_us and sync_max_us "
        "smaller, or the election timeout longer"
    )


def _lacking(schedule: Schedule, can: Abilities) -> Iterator[str]:
    for fault in schedule.faults:
        if fault.when.on is not None and ASKED_BY_ANCHOR[fault.when.on] not in can:
            yield f"fault {fault.id} waits for {fault.when.on}, which asks for {ASKED_BY_ANCHOR[fault.when.on]!r}"
        if missing := in_order(fault.action.asked() - can):
            yield f"fault {fault.id}, a {fault.action.kind()}, asks for {', '.join(map(repr, missing))}"
    if "repeats" not in can and (again := next((one for one in schedule.operations if one.again), None)):
        yield f"operation {again.id} sends a command again, which asks for 'repeats'"
    if "repeats" not in can and (anew := next((one for one in schedule.operations if one.anew), None)):
        yield f"operation {anew.id} begins a new session, which asks for 'repeats'"
    if "reads" not in can and (read := next((one for one in schedule.operations if one.consistency), None)):
        yield f"operation {read.id} is a {read.consistency} read, which asks for 'reads'"
    for function in sorted({operation.f for operation in schedule.operations}):
        if function not in can:
            first = next(operation.id for operation in schedule.operations if operation.f == function)
            yield f"operation {first} asks for {function!r}"


def _fault(fault: Fault, can: Abilities, seed: int, nodes: Sequence[str]) -> Fault | None:
    if fault.when.on is not None and ASKED_BY_ANCHOR[fault.when.on] not in can:
        return None
    action = fault.action.weakened(can)
    if action is None:
        return None
    if "leader" not in can and "leader" in action.asked() and not follows(fault):
        action = action.placed(stream(seed, f"faults/placed/{fault.id}").choice(nodes), nodes)
    if not can.issuperset(action.asked()):
        return None
    return msgspec.structs.replace(fault, action=action)


def _operation(operation: Operation, can: Abilities) -> Operation | None:
    """The nearest operation that the target has; None if it has none."""
    if operation.f in can:
        if operation.f == "get" and "append" not in can and operation.key.startswith("list/"):
            return msgspec.structs.replace(operation, key=_register(operation))
        return operation
    if operation.f in ("append", "cas", "delete") and "put" in can:
        # Values are unique, so every write shows which one it was.
        value = operation.value if operation.value is not None else operation.id.replace("/", "-")
        return msgspec.structs.replace(operation, f="put", key=_register(operation), value=value, expected=None)
    if operation.f == "put" and "append" in can:
        return msgspec.structs.replace(operation, f="append", key=f"list/{operation.key}")
    return None


def _plain(operation: Operation) -> Operation:
    """The read as one like all others, which goes to the leader."""
    if operation.consistency is None:
        return operation
    return msgspec.structs.replace(operation, consistency=None, node=None)


def _register(operation: Operation) -> str:
    """A register instead of the list or mixed key: the writer's own, which nobody else writes."""
    return f"reg/{operation.client}/0" if operation.key.startswith("list/") else operation.key
