"""When our own nodes act in a run, and how much they have to send: what the judge must know beside the events."""

from __future__ import annotations

import msgspec

from raft_chaos.chaos.schedule.data import Header, SimModel
from raft_chaos.invariants.pace import Pace
from raft_chaos.raft.state.timing import Timing


def virtual(timing: Timing, model: SimModel) -> Timing:
    """The timing of nodes in virtual time: the model of a schedule may limit the entries of a message."""
    if not model.entries_per_message:
        return timing
    return msgspec.structs.replace(timing, max_entries_per_message=model.entries_per_message)


def pace_of(timing: Timing, header: Header) -> Pace:
    return Pace(
        timing.heartbeat_us,
        timing.max_entries_per_message,
        len(header.clients),
        (timing.election_timeout_min_us, timing.election_timeout_max_us),
    )
