"""What a schedule is to be drawn from: sizes, lengths, and the kinds of faults."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

import msgspec

from chaos.schedule import ScheduleError

FaultKind: TypeAlias = Literal["kill", "pause", "slow_sync", "partition", "network"]
FAULT_KINDS: tuple[FaultKind, ...] = get_args(FaultKind)

LEAST_TIMEOUTS = 8
"""The safety phase lasts at least this many election timeouts: room for a leader kill and a leader isolation."""


MOST = 10_000_000
MOST_NODES = 25


class ScheduleConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The size of a run. Nodes are named n1, n2, ..., clients c0, c1, ...

    The warmup (first election, no faults) ends at `warmup_s`, the safety phase (faults) at `duration_s`; then all is
    healed, and client operations go on for `liveness_s`. `ops_per_second` is of all clients together.
    `fault_interval_s` is the mean gap between the faults drawn at random times; promised, grouped and anchored ones
    come on top. `election_timeout_us_max` is the unit of all lengths of faults: an isolation lasts 3 to 10 of them.

    Raises ScheduleError for values out of range, and for a `duration_s` too short for what a schedule promises.
    """

    nodes: int = 5
    clients: int = 5
    warmup_s: float = 2.0
    duration_s: float = 20.0
    liveness_s: float = 5.0
    ops_per_second: float = 100.0
    faults: tuple[FaultKind, ...] = FAULT_KINDS
    fault_interval_s: float = 1.2
    election_timeout_us_max: int = 300_000

    def __post_init__(self) -> None:
        for field, least, why in (
            ("nodes", 3, "fewer tolerate no failure"),
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
        least_s = self.warmup_s + LEAST_TIMEOUTS * self.election_timeout_us_max / 1e6
        if self.duration_s > MOST:
            raise ScheduleError(f"duration_s: expected at most {MOST}, got {self.duration_s}")
        if not self.duration_s >= least_s:
            raise ScheduleError(
                f"duration_s: expected at least {least_s:g} (warmup_s, then {LEAST_TIMEOUTS} of the longest election "
                f"timeout for a leader kill and a leader isolation), got {self.duration_s:g}"
            )
