"""The parameters of a schedule's draws: sizes, lengths, and the kinds of faults."""

from __future__ import annotations

import msgspec

from raft_chaos.chaos.faults.abilities import OF_QUEUES, OPERATIONS, Ability
from raft_chaos.chaos.faults.catalogue import FAULT_KINDS, LIVE_KINDS, FaultKind
from raft_chaos.chaos.schedule.data import ScheduleError
from raft_chaos.raft.state.features import Features

LEAST_TIMEOUTS = 8
"""The safety phase lasts at least this many election timeouts: room for a leader kill and a leader isolation."""

MOST = 10_000_000
MOST_NODES = 25


def least_duration_s(warmup_s: float, election_timeout_us_max: int) -> float:
    """How long a drawn schedule lasts at least, warmup included."""
    return warmup_s + LEAST_TIMEOUTS * election_timeout_us_max / 1e6


class ScheduleConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The size of a run. Nodes are named n1, n2, ..., clients c0, c1, ...

    The warmup (first election, no faults) ends at `warmup_s`, the safety phase (faults) at `duration_s`; then all is
    healed, and client operations continue for `liveness_s`. `ops_per_second` counts all clients together.
    `fault_interval_s` is the mean gap between the faults drawn at random times; episodes, anchored faults, and those
    of later kinds (`draw_faults`) are added to these. `election_timeout_us_max` is the unit of all lengths of faults:
    an isolation lasts 3 to 10 of them.
    `can` are the abilities of the target (`chaos.faults.abilities`); None for our own Raft, which needs no fitting.
    With `readers` each node has a client that only reads, and asks no other node: it finds reads that are out of date,
    and at the end it reads every key there.
    `features` are those that the nodes have (`raft.state.features`); with None the seed draws them.
    With `swarm` each seed draws from the wide range (see `swarm`), and with 0 `nodes` also the number of nodes.

    Raises ScheduleError for values out of range, and for a `duration_s` too short for the required faults.
    """

    nodes: int = 5
    clients: int = 5
    warmup_s: float = 2.0
    duration_s: float = 20.0
    liveness_s: float = 5.0
    ops_per_second: float = 100.0
    faults: tuple[FaultKind, ...] = LIVE_KINDS
    fault_interval_s: float = 1.2
    election_timeout_us_max: int = 300_000
    swarm: bool = False
    can: tuple[Ability, ...] | None = None
    readers: bool = False
    features: tuple[str, ...] | None = None

    @property
    def has_queue(self) -> bool:
        """Whether clients work on a queue."""
        return self.can is not None and {*OF_QUEUES} <= {*self.can}

    @property
    def has_keys(self) -> bool:
        """Whether clients work on keys."""
        return self.can is None or not {*OPERATIONS}.isdisjoint(self.can)

    def __post_init__(self) -> None:
        if not (self.swarm and self.nodes == 0) and self.nodes < 3:
            drawn = "0 for as many as the seed draws" if self.swarm else "0 only with swarm"
            raise ScheduleError(f"nodes: expected at least 3 (fewer tolerate no failure), {drawn}; got {self.nodes}")
        for field, least, why in (
            ("clients", 1, "somebody must write"),
            ("warmup_s", 0, "seconds"),
            ("liveness_s", 0, "seconds"),
            ("ops_per_second", 0, "operations of all clients together"),
            ("fault_interval_s", 0.01, "seconds"),
            ("election_timeout_us_max", 1_000, "microseconds"),
        ):
            if not (value := getattr(self, field)) >= least:
                raise ScheduleError(f"{field}: expected at least {least} ({why}), got {value}")
            if value > MOST:
                raise ScheduleError(f"{field}: expected at most {MOST}, got {value}")
        if self.nodes > MOST_NODES:
            raise ScheduleError(f"nodes: expected at most {MOST_NODES} on one machine, got {self.nodes}")
        if unknown := [kind for kind in self.faults if kind not in FAULT_KINDS]:
            raise ScheduleError(f"faults: {unknown[0]!r} is unknown; expected some of {', '.join(FAULT_KINDS)}")
        try:
            Features.of(self.features or ())
        except ValueError as error:
            raise ScheduleError(f"features: {error}") from None
        least_s = least_duration_s(self.warmup_s, self.election_timeout_us_max)
        if self.duration_s > MOST:
            raise ScheduleError(f"duration_s: expected at most {MOST}, got {self.duration_s}")
        if not self.duration_s >= least_s:
            raise ScheduleError(
                f"duration_s: expected at least {least_s:g} (warmup_s, then {LEAST_TIMEOUTS} of the longest election "
                f"timeout for a leader kill and a leader isolation), got {self.duration_s:g}"
            )
