"""A schedule as data: the faults and client operations of a run, and their times.

A pure function of seed and configuration makes a schedule (`generate`). A schedule is saved as JSON lines, and runs
follow the saved one. Entries are independent: removing one shifts no other. The first line is the header.

A fault fires at a time (`at_us`, counted from the start of the run) or at an anchor in the protocol (`on`, `nth`, then
`after_us`): "50 ms after the 2nd leader was elected". With `since` it follows another fault: "when the next leader is
elected after fault f07 struck". Each fault has a duration and heals. `chaos.faults` defines what faults do.

`file` saves and loads a schedule, and refuses invalid ones with file and line: people also write and shorten schedules
by hand.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from raft_chaos.chaos.faults.catalogue import AnyAction
from raft_chaos.invariants.history import Consistency, OpFunction, Value
from raft_chaos.raft.state.features import NONE, Features

SCHEDULE_SCHEMA = 1

AnchorEvent: TypeAlias = Literal["leader_elected", "leader_committed", "vote_granted", "log_truncated", "voter_added"]
IN_EVERY_CLUSTER: tuple[AnchorEvent, ...] = ("leader_elected", "leader_committed", "vote_granted", "log_truncated")
"""Those that may happen whatever the nodes have: a voter is only added where the members change."""
RequiredEvent: TypeAlias = Literal["leader_killed", "leader_isolated"]


class When(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A time, or an anchor: `on` this event for the `nth` time (from 1), then `after_us` later.

    Events count since the run began, or, with `since`, since that fault struck. With `since` alone the fault fires
    `after_us` after that one. It never fires if that one never strikes.
    """

    at_us: int | None = None
    on: AnchorEvent | None = None
    nth: int = 1
    after_us: int = 0
    since: str = ""


class SimModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The simulated network and disk without faults: how many µs a frame and a sync take (uniform).

    A message holds at most `entries_per_message` log entries; 0 leaves the limit to the node. A small limit allows
    states that large messages skip: an old entry is replicated, and the leader's own entry is not yet (Fig. 8).
    """

    latency_min_us: int = 100
    latency_max_us: int = 1_000
    sync_min_us: int = 50
    sync_max_us: int = 2_000
    entries_per_message: int = 0


LAG_US = (1_000, 30_000)
"""How late the frames of a link are that has lost its priority: drawn on a log scale, once for each link. A round trip
with both writes stays below the shortest usual election timeout (`chaos.schedule.fitting.too_slow`)."""


class Branch(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """From `at_us` on the simulated network and disks draw from another `seed`: what happened until then happens again,
    and what follows is different. With a `depth` frames are delivered by priorities of links until all is healed, with
    `depth` - 1 changes (`chaos.run.sim.priorities`). Worlds with real time ignore it."""

    at_us: int
    seed: int
    depth: int = 0


class Header(msgspec.Struct, frozen=True, tag="schedule", tag_field="kind", kw_only=True, forbid_unknown_fields=True):
    """The first line. Times of the phases are in µs since the run began; liveness has no end of its own."""

    schema: int = SCHEDULE_SCHEMA
    seed: int
    nodes: list[str]
    clients: list[str]
    safety_from_us: int
    safety_until_us: int
    liveness_for_us: int
    required: list[RequiredEvent] = msgspec.field(default_factory=list, name="promises")
    """The events that a run must show, or it is vacuous: "leader_killed", "leader_isolated"."""
    model: SimModel = SimModel()
    """For worlds with virtual time; in real time the network and the disk are real."""
    swarm: dict[str, float | int | str] = {}
    """The options that the seed drew (`chaos.schedule.swarm`), for the reader; a run ignores them."""
    features: Features = NONE
    """The parts of Raft beyond §5 that the nodes have. Only our own Raft has any."""
    branches: list[Branch] | msgspec.UnsetType = msgspec.UNSET
    """In the order of time. Only exploration makes them; a file without them does not mention them."""


class Fault(msgspec.Struct, frozen=True, tag="fault", tag_field="kind", kw_only=True, forbid_unknown_fields=True):
    """One fault: when it fires, what it does, and how long (µs) until it is healed (for a kill: the restarts)."""

    id: str
    when: When
    action: AnyAction
    duration_us: int


class Operation(
    msgspec.Struct,
    frozen=True,
    tag="op",
    tag_field="kind",
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
):
    """One client operation, invoked at `at_us` or once its client's previous one has ended. `id`: "client/number".

    With `again`, the client's command of so many answers ago arrives once more before it, as a late duplicate (§8):
    1 is the latest, 2 the one before. It may have failed.

    With `anew` its client first begins another session under the same name, since the last entry that it knows of, as
    one that was started again. Where no answer has named an entry, it goes on in the old one.

    With a `node` it is asked of this node alone, which has to answer by itself. A `final` read waits until all is
    healed and every other operation is over: whatever a node lost or changed, it shows then.

    A get may have a `consistency`: it is then served without a log entry (thesis, §6.4). "stale" is answered by
    the node that it is asked of, "read_index" by a leader that makes sure that it leads: such a read only begins at its
    `node`. Without a consistency it goes through the log.
    """

    id: str
    client: str
    at_us: int
    f: OpFunction
    key: str
    value: Value = None
    expected: Value = None
    node: str | None = None
    final: bool = False
    again: int = 0
    anew: bool = False
    consistency: Consistency | None = None


Entry: TypeAlias = Header | Fault | Operation


class Schedule(msgspec.Struct, frozen=True):
    """A whole schedule. Faults in the order of their ids; operations in the order of time."""

    header: Header
    faults: list[Fault]
    operations: list[Operation]


class ScheduleError(Exception):
    """A schedule cannot be used. The message says the file and line, what is wrong, and what was expected. `entry` is
    the id of the fault or operation that is to be changed or left out, "" if none is."""

    def __init__(self, message: str, entry: str = "") -> None:
        super().__init__(message)
        self.entry = entry
