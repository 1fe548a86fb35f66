"""The faults: one row for each fault that fired, then one for each planned fault that never fired.

A fault is effective if the harness saw its effect (a kill: a new incarnation; a pause: the stopped state; a cut:
frames held back). The report marks an ineffective fault as "NO", since a calm run tests nothing.
"""

from __future__ import annotations

from typing import Any

import msgspec

from raft_chaos.invariants.events import AnyEvent, FaultHealed, FaultInjected
from raft_chaos.reports.text import milliseconds, seconds


class FaultRow(msgspec.Struct, frozen=True, kw_only=True):
    """One fault. Times are µs since the run began, None if the fault was never injected or healed.

    `shape` is that of a partition, such as "isolate_leader"; "" for other kinds.
    `effective` is None if it is not known: the fault never fired, or the run ended before it was healed. `seen` is
    its effect, or why it had none. `leader` was the leader when it fired. `moot` names the other fault that prevented
    its effect; then the missing effect is no flaw of the run.
    """

    id: str
    kind: str
    targets: list[str]
    shape: str = ""
    leader: str | None = None
    injected_us: int | None = None
    healed_us: int | None = None
    effective: bool | None = None
    seen: str = ""
    moot: str = ""

    @property
    def named(self) -> str:
        """The kind, with the shape of a partition: "partition isolate_leader"."""
        return f"{self.kind} {self.shape}".rstrip()


def fault_rows(harness: list[AnyEvent], schedule: list[dict[str, Any]]) -> list[FaultRow]:
    """The faults in the order in which they fired, then those that never fired, in the schedule's order."""
    planned = {str(line.get("id")): line for line in schedule if line.get("kind") == "fault"}
    fired: dict[str, FaultRow] = {}
    for event in harness:
        if isinstance(event, FaultInjected):
            fired[event.fault] = FaultRow(
                id=event.fault,
                kind=event.type,
                targets=list(event.targets),
                shape=_shape(planned.get(event.fault, {})),
                leader=event.leader,
                injected_us=event.t_us,
                seen=event.detail,
            )
        elif isinstance(event, FaultHealed):
            row = fired.get(event.fault) or FaultRow(id=event.fault, kind=event.type, targets=[])
            seen = f"{event.effect or row.seen}{f' (moot: {event.moot})' if event.moot else ''}"
            fired[event.fault] = msgspec.structs.replace(
                row, healed_us=event.t_us, effective=event.effective, seen=seen, moot=event.moot
            )
    return [*fired.values(), *(_never_fired(line) for fault, line in planned.items() if fault not in fired)]


def _shape(line: dict[str, Any]) -> str:
    return str(_object(line, "action").get("shape", ""))


def _never_fired(line: dict[str, Any]) -> FaultRow:
    """The row of a planned fault, from its line in the schedule (the form is `chaos.schedule.data.Fault`)."""
    action = _object(line, "action")
    nodes = action.get("nodes")
    return FaultRow(
        id=str(line.get("id")),
        kind=str(action.get("type", "")),
        targets=[str(node) for node in nodes] if isinstance(nodes, list) else [],
        shape=_shape(line),
        seen=f"never fired: due at {due(line)}",
    )


def due(line: dict[str, Any]) -> str:
    """When a fault of the schedule fires: "1.500 s", or the anchor: "leader_elected #2 since f07 + 50.0 ms"."""
    when = _object(line, "when")
    if (at_us := when.get("at_us")) is not None:
        return f"{seconds(at_us)} s"
    after_us = when.get("after_us", 0)
    later = f" + {milliseconds(after_us)} ms" if after_us else ""
    since = str(when.get("since", ""))
    if "on" not in when and since:
        return f"{since}{later}"
    counted = f" since {since}" if since else ""
    return f"{when.get('on', 'any time')} #{when.get('nth', 1)}{counted}{later}"


def _object(line: dict[str, Any], key: str) -> dict[str, Any]:
    value = line.get(key)
    return value if isinstance(value, dict) else {}
