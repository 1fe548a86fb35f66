"""Vacuity: what a run lacks so that its verdict would mean something. A vacuous run is unknown, never valid.

It is a pure function of the contents of a run directory, so a saved run gets the same result as at its end. The nodes'
events come as a tally, the harness's events one by one.
"""

from __future__ import annotations

from collections.abc import Sequence

from raft_chaos.chaos.judgement.tally import Tally
from raft_chaos.chaos.schedule.data import Header, Schedule
from raft_chaos.chaos.targets.door import REFUSED
from raft_chaos.invariants.checkers.leaderships import FOREVER_US
from raft_chaos.invariants.events import (
    AnyEvent,
    FaultHealed,
    FaultInjected,
    NodeKilled,
    NodeLaunched,
    PhaseStarted,
    RunEnded,
)
from raft_chaos.invariants.history import Op

COMPLETED = "completed"
"""The reason in the `RunEnded` of a complete run."""
FAILED_FAST = "ended at the first violation"
"""The beginning of the reason in the `RunEnded` of a run that `--fail-fast` ended."""
HARNESS_FAILED = "the harness failed"
"""The beginning of the reason in the `RunEnded` of a run in which the harness itself failed."""
NEVER_BEGAN = "the run never began"
"""The beginning of the reason in the `RunEnded` of a run whose target could not be started."""

TOO_MUCH = "ended at a bound of the harness"
"""The beginning of the reason in the `RunEnded` of a run that made the harness do too much; then comes which bound."""

INTERRUPTED = "interrupted by"
"""The beginning of the reason in the `RunEnded` of a run that a signal ended; the signal's name follows."""


def vacuity(schedule: Schedule, harness: Sequence[AnyEvent], tally: Tally | None, history: Sequence[Op]) -> list[str]:
    """What the run lacks, a sentence each; empty for a run that counts.

    `tally` is None for a target that reports no events: then no change of terms is required.
    """
    missing = [*_ended(harness), *_effects(harness), *_required(schedule, harness)]
    if tally is not None:
        missing += _term_changes(harness, tally) + _unreported(harness, tally)
    return missing + _clean_operations(schedule, harness, history)


def clean_operations(schedule: Schedule, harness: Sequence[AnyEvent], history: Sequence[Op]) -> tuple[int, int]:
    """(planned, served) operations of the phases without faults.

    A client that waited for answers during faults is behind its plan, and carries out overdue operations once they are
    over. So `served` counts the operations that began in a phase without faults, whenever they were due.

    Reads that are asked of one node alone are in neither number: a follower may be right to answer none.
    """
    header = schedule.header
    of_clients = [operation for operation in schedule.operations if operation.node is None]
    planned = sum(is_clean(header, operation.at_us) for operation in of_clients)
    zero_us = next((event.t_us for event in harness if isinstance(event, PhaseStarted)), 0)
    of_schedule = {operation.id for operation in of_clients}
    began_clean = {op.op for op in history if op.type == "invoke" and is_clean(header, op.t_us - zero_us)}
    served = {op.op for op in history if was_served(op)}
    return planned, len(served & began_clean & of_schedule)


def clean_operations_required(planned: int) -> int:
    """How many must be served. It follows from the schedule alone, so a slow target cannot lower it."""
    return (planned + 1) // 2


def is_clean(header: Header, at_us: int) -> bool:
    """Whether the phase at that time of the schedule has no faults."""
    return not header.safety_from_us <= at_us < header.safety_until_us


def was_served(op: Op) -> bool:
    """Whether the cluster carried out the operation. It did for a cas that it refused for the value that it found; any
    other failure may mean that it serves nothing."""
    if op.type == "fail" and op.f == "cas":
        return op.index is not None or (op.error or "").startswith(REFUSED)
    return op.type == "ok"


def _ended(harness: Sequence[AnyEvent]) -> list[str]:
    ends = [event for event in harness if isinstance(event, RunEnded)]
    if not ends:
        return ["the run was cut short: its end was never recorded"]
    reason = ends[-1].reason
    # What a failure of the harness means is decided by the analysis, which also says so.
    return [] if reason == COMPLETED or reason.startswith(HARNESS_FAILED) else [f"the run was cut short: {reason}"]


def _effects(harness: Sequence[AnyEvent]) -> list[str]:
    idle = [
        f"fault {event.fault} ({event.type}) had no effect: {event.effect}"
        for event in harness
        if isinstance(event, FaultHealed) and not event.effective and not event.moot
    ]
    healed = {event.fault for event in harness if isinstance(event, FaultHealed)}
    unhealed = [
        f"fault {event.fault} ({event.type}) was never healed"
        for event in harness
        if isinstance(event, FaultInjected) and event.fault not in healed
    ]
    return idle + unhealed


def _required(schedule: Schedule, harness: Sequence[AnyEvent]) -> list[str]:
    """The required faults on a leader that did not happen.

    A leader was killed if the harness saw it gone, even if a kill had no effect since the node could not start again:
    its disk may fail.
    """
    cuts = {fault.id for fault in schedule.faults if fault.action.cuts_off_leader}
    effective = {event.fault for event in harness if isinstance(event, FaultHealed) and event.effective}
    on_leader = [event for event in harness if isinstance(event, FaultInjected) and event.leader in event.targets]
    kept = {
        "leader_killed": any(
            event.type == "kill" and (event.fault in effective or _is_gone(event, harness)) for event in on_leader
        ),
        "leader_isolated": any(event.fault in cuts and event.fault in effective for event in on_leader),
    }
    said = {"leader_killed": "no leader was killed", "leader_isolated": "no leader was cut off"}
    return [f"{said[event]}, which the schedule requires" for event in schedule.header.required if not kept[event]]


def _is_gone(kill: FaultInjected, harness: Sequence[AnyEvent]) -> bool:
    """Whether the harness had killed the leader that this fault hit, before the fault was over: the incarnation that
    ran last when it struck. In real time the kill is reported a moment before the fault that brought it about."""
    ends_us = (event.t_us for event in harness if isinstance(event, FaultHealed) and event.fault == kill.fault)
    until_us = next(ends_us, kill.t_us)
    ran = [
        event.subject_inc
        for event in harness
        if isinstance(event, NodeLaunched) and event.subject == kill.leader and event.t_us <= kill.t_us
    ]
    return any(
        isinstance(event, NodeKilled)
        and (event.subject, event.subject_inc) == (kill.leader, max(ran, default=1))
        and event.t_us <= until_us
        for event in harness
    )


def _unreported(harness: Sequence[AnyEvent], tally: Tally) -> list[str]:
    """Incarnations that the harness saw running, but whose start no event reports."""
    return [
        f"no events of {event.subject}, incarnation {event.subject_inc}, which was running"
        for event in harness
        if isinstance(event, NodeLaunched) and (event.subject, event.subject_inc) not in tally.started
    ]


def _term_changes(harness: Sequence[AnyEvent], tally: Tally) -> list[str]:
    """At the end the harness itself asks for another leader, in every run; that one does not count."""
    asked_us = (event.t_us for event in harness if isinstance(event, PhaseStarted) and event.phase == "services")
    until_us = next(asked_us, FOREVER_US)
    terms = sum(first_us < until_us for first_us in tally.leader_terms.values())
    return [] if terms > 1 else [f"no change of leader: leaders were elected in {terms} terms"]


def _clean_operations(schedule: Schedule, harness: Sequence[AnyEvent], history: Sequence[Op]) -> list[str]:
    if not any(isinstance(event, PhaseStarted) for event in harness):
        return ["no phase of the run ever began"]
    planned, served = clean_operations(schedule, harness, history)
    if not planned:
        return ["no client operation was planned in the phases without faults"]
    required = clean_operations_required(planned)
    if served < required:
        return [
            f"only {served} operations were served in the phases without faults; required are {required}, half of the "
            f"{planned} that are planned there (ask for less, with --rate or with `rate` in the target's file, if the "
            "cluster is that slow)"
        ]
    return []
