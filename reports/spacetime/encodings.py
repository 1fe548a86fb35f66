"""Colours, places and strengths of marks, as expressions of Vega over the signals of `vega`."""

from __future__ import annotations

from typing import Any

LEGEND_ROW = 20
LOG_CELL = 30

FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"
LIT = "substring(mask, datum.i, datum.i + 1) === '1'"
FAINT = 0.22
X = "X0 + {} * D"
COLOURS = {"arrived": "ink", "late": "candidate", "again": "paused", "lost": "violated", "later": "soft"}
STATES = {
    "leader": "leader", "candidate": "candidate", "follower": "follower", "paused": "paused", "down": "down",
    "client": "line",
}  # fmt: skip


def colour(expression: str) -> dict[str, str]:
    return {"signal": expression}


def by(field: str, names: dict[str, str]) -> dict[str, str]:
    """A colour by the value of a field."""
    listed = ", ".join(f"{key}: c.{name}" for key, name in names.items())
    return {"signal": f"({{{listed}}})[datum.{field}]"}


def opacity(full: float = 1) -> dict[str, str]:
    return {"signal": f"{LIT} ? {full} : {FAINT * full}"}


def at_column(column: str) -> dict[str, str]:
    return {"signal": X.format(f"datum.{column}")}


def plain(type: str, values: list[dict[str, Any]], encoded: dict[str, Any]) -> dict[str, Any]:
    """A mark with data of its own."""
    return {
        "type": "group",
        "data": [{"name": "own", "values": values}],
        "marks": [{"type": type, "from": {"data": "own"}, "interactive": False, "encode": {"update": encoded}}],
    }
