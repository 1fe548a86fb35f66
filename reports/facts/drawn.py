"""What the seed drew: the schedule in a few lines, counted from its saved lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from raft_chaos.reports.text import count, milliseconds, visible


def drawn_lines(schedule: Sequence[dict[str, Any]]) -> list[str]:
    """The options of the swarm, the faults by kind, the operations by function; nothing for an empty schedule."""
    header = schedule[0] if schedule else {}
    swarm = header.get("swarm")
    faults = Counter(_kind(line) for line in schedule if line.get("kind") == "fault")
    functions = Counter(str(line.get("f", "")) for line in schedule if line.get("kind") == "op")
    lines = [f"swarm: {', '.join(_option(name, value) for name, value in swarm.items() if value)}"] if swarm else []
    if faults:
        lines.append(f"{count(faults.total(), 'fault')}: {_counted(faults)}")
    if functions:
        lines.append(f"{count(functions.total(), 'operation')}: {_counted(functions)}")
    return [visible(line) for line in lines]


def _option(name: str, value: Any) -> str:
    """An option of the swarm with its unit: "sync max 2.0 ms", "torn 37 %", "fault interval 0.64 s"."""
    match name.rsplit("_", 1):
        case [what, "us"] if isinstance(value, int):
            return f"{_words(what)} {milliseconds(value)} ms"
        case [what, "s"]:
            return f"{_words(what)} {value} s"
        case _ if isinstance(value, float) and value < 1:
            return f"{_words(name)} {value:.0%}"
        case _:
            return f"{_words(name)} {value}"


def _words(name: str) -> str:
    return name.replace("_", " ")


def _kind(line: dict[str, Any]) -> str:
    action = line.get("action")
    return str(action.get("type", "")) if isinstance(action, dict) else ""


def _counted(counter: Counter[str]) -> str:
    return ", ".join(f"{number} {name}" for name, number in counter.most_common())
