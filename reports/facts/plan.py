"""The schedule's faults as they were planned, whether they fired or not: from the lines of schedule.jsonl."""

from __future__ import annotations

from typing import Any

import msgspec

from raft_chaos.reports.facts.faults import due
from raft_chaos.reports.text import milliseconds, visible


class PlannedFault(msgspec.Struct, frozen=True, kw_only=True):
    """A fault of the schedule. `due` is a time or an anchor, `how` its parameters; `lasts_ms` is "" for no duration."""

    id: str
    due: str
    kind: str
    on: str
    how: str
    lasts_ms: str


def planned_faults(schedule: list[dict[str, Any]]) -> list[PlannedFault]:
    """The faults in the schedule's order. The form of a line is `chaos.schedule.data.Fault`."""
    return [_planned(line) for line in schedule if line.get("kind") == "fault"]


def _planned(line: dict[str, Any]) -> PlannedFault:
    action = dict(line["action"]) if isinstance(line.get("action"), dict) else {}
    kind = f"{action.pop('type', '')} {action.pop('shape', '')}".strip()
    nodes = action.pop("nodes", [])
    lasts = line.get("duration_us")
    return PlannedFault(
        id=visible(str(line.get("id"))),
        due=visible(due(line)),
        kind=visible(kind),
        on=visible(_listed(nodes)),
        how=visible("; ".join(_parameter(name, value) for name, value in action.items() if value)),
        lasts_ms=milliseconds(lasts) if isinstance(lasts, int) and lasts else "",
    )


def _parameter(name: str, value: Any) -> str:
    """A parameter in words: "delay min 6.3 ms", "n1 does not hear n2 n3"."""
    if isinstance(value, dict):
        return ", ".join(f"{who} does not hear {_listed(whom)}" for who, whom in value.items())
    times = value if isinstance(value, list) else [value]
    if name.endswith("_us") and all(isinstance(time, int) for time in times):
        return f"{_words(name[:-3])} {' '.join(milliseconds(time) for time in times)} ms"
    return f"{_words(name)} {_listed(value)}"


def _words(name: str) -> str:
    return name.replace("_", " ")


def _listed(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
