"""When our own nodes act in a run, and how much they have to send: what the judge must know beside the events."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from raft_chaos.chaos.schedule.data import Header, Operation, Schedule
from raft_chaos.invariants.pace import Pace
from raft_chaos.raft.state.configuration import first_configuration
from raft_chaos.raft.state.features import Features
from raft_chaos.raft.state.timing import Timing

BESIDE_BYTES = 100
"""What a command holds beside its key and values: its operation, its client's session and number, and the encoding."""


def of_schedule(timing: Timing, header: Header) -> Timing:
    """The timing of the nodes in a run of this schedule, which says their features."""
    return timing.with_features(header.features)


def virtual(timing: Timing, header: Header) -> Timing:
    """The same in virtual time: the model of a schedule may limit the entries of a message."""
    timing = of_schedule(timing, header)
    if not header.model.entries_per_message:
        return timing
    return replace(timing, max_entries_per_message=header.model.entries_per_message)


def pace_of(timing: Timing, schedule: Schedule) -> Pace:
    longest = max(map(_text_bytes, schedule.operations), default=0)
    return Pace(
        timing.heartbeat_us,
        timing.max_entries_per_message,
        len(schedule.header.clients),
        (timing.election_timeout_min_us, timing.election_timeout_max_us),
        BESIDE_BYTES + longest,
        schedule.header.features.check_quorum,
        schedule.header.features.pre_vote,
        first_voters(schedule.header.nodes, schedule.header.features),
        schedule.header.features.snapshot_every,
        of_schedule(timing, schedule.header).max_bytes_in_flight,
        schedule.header.features.max_waiting,
        0 if any(operation.anew for operation in schedule.operations) else schedule.header.features.max_sessions,
    )


def first_voters(nodes: Sequence[str], features: Features) -> tuple[str, ...]:
    """The nodes that vote at first, if not all do."""
    return first_configuration(nodes, features.first_voters).voters if features.first_voters else ()


def _text_bytes(operation: Operation) -> int:
    texts = (operation.key, operation.value, operation.expected)
    return sum(len(text.encode()) for text in texts if isinstance(text, str))
