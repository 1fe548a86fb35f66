"""The logs at the last row, below a diagram that stands alone (as in Figure 7 of the paper)."""

from __future__ import annotations

from typing import Any

from raft_chaos.reports.spacetime.diagram import Diagram
from raft_chaos.reports.spacetime.encodings import LOG_CELL, colour, plain
from raft_chaos.reports.spacetime.shapes import ROW, cells, log_window


def logs(diagram: Diagram, top: int) -> list[dict[str, Any]]:
    """The end of each node's log at the last row, coloured by term; not yet committed entries are hollow."""
    states = diagram.states_at(len(diagram.rows) - 1)
    window = log_window(states)
    if not window:
        return []
    names, entries = list(states), list[dict[str, Any]]()
    for line, name in enumerate(names):
        for index, term, committed in cells(states[name], window):
            y = top + ROW * (line + 2)
            entries.append({"x": index - window.start, "y": y, "term": term, "done": int(committed)})
    text = {"baseline": {"value": "middle"}, "fontSize": {"value": 11}}
    heads = [{"x": index - window.start, "index": index} for index in window]
    labels: list[dict[str, Any]] = [
        {"y": top + ROW * (line + 2), "name": name, "last": states[name].length} for line, name in enumerate(names)
    ]
    short = [{**label, "says": _ends(label["last"])} for label in labels if label["last"] < window.start]
    cell_x = f"76 + datum.x * {LOG_CELL}"
    return [
        plain("text", [{}], {
            **text, "x": {"value": 4}, "y": {"value": top + 2}, "fontWeight": {"value": 600}, "fill": colour("c.ink"),
            "text": {"value": "The logs at the last row: indexes, and terms in the cells; pale: not committed yet"},
        }),
        plain("text", heads, {
            **text, "x": {"signal": f"{cell_x} + {LOG_CELL / 2 - 1}"}, "y": {"value": top + ROW},
            "align": {"value": "center"}, "text": {"field": "index"}, "fill": colour("c.soft"),
        }),
        plain("text", labels, {
            **text, "x": {"value": 66}, "y": {"field": "y"}, "align": {"value": "right"}, "text": {"field": "name"},
            "fontWeight": {"value": 600}, "fill": colour("c.ink"),
        }),
        plain("text", short, {
            **text, "x": {"value": 80}, "y": {"field": "y"}, "text": {"field": "says"}, "fill": colour("c.soft"),
        }),
        plain("rect", entries, {
            "x": {"signal": cell_x}, "width": {"value": LOG_CELL - 2}, "y": {"signal": f"datum.y - {ROW / 2 - 1}"},
            "height": {"value": ROW - 2}, "fill": {"signal": "hsl((datum.term * 137.5) % 360, 0.6, 0.78)"},
            "fillOpacity": {"signal": "datum.done ? 1 : 0.35"},
            "stroke": {"signal": "hsl((datum.term * 137.5) % 360, 0.5, 0.45)"}, "strokeWidth": {"value": 1},
        }),
        plain("text", entries, {
            **text, "x": {"signal": f"{cell_x} + {LOG_CELL / 2 - 1}"}, "y": {"field": "y"},
            "align": {"value": "center"}, "text": {"field": "term"}, "fill": {"value": "#1b1f24"},
        }),
    ]  # fmt: skip


def _ends(last: int) -> str:
    return f"ends at {last}" if last else "is empty"
