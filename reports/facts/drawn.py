"""What the seed drew: the schedule in a few lines, counted from its saved lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from raft_chaos.reports.text import count, visible


def drawn_lines(schedule: Sequence[dict[str, Any]]) -> list[str]:
    """The options of the swarm, the faults by kind, the operations by function; nothing for an empty schedule."""
    header = schedule[0] if schedule else {}
    swarm = header.get("swarm")
    faults = Counter(_kind(line) for line in schedule if line.get("kind") == "fault")
    functions = Counter(str(line.get("f", "")) for line in schedule if line.get("kind") == "op")
    lines = [f"swarm: {', '.join(f'{name} {value}' for name, value in swarm.items() if value)}"] if swarm else []
    if faults:
        lines.append(f"{count(faults.total(), 'fault')}: {_counted(faults)}")
    if functions:
        lines.append(f"{count(functions.total(), 'operation')}: {_counted(functions)}")
    return [visible(line) for line in lines]


def _kind(line: dict[str, Any]) -> str:
    action = line.get("action")
    return str(action.get("type", "")) if isinstance(action, dict) else ""


def _counted(counter: Counter[str]) -> str:
    return ", ".join(f"{number} {name}" for name, number in counter.most_common())
