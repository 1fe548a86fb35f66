"""The legend below the diagram: what each mark means, of those that it has."""

from __future__ import annotations

from typing import Any

from raft_chaos.reports.spacetime.diagram import Diagram
from raft_chaos.reports.spacetime.encodings import COLOURS, LEGEND_ROW, STATES, colour
from raft_chaos.reports.spacetime.shapes import FATES, Shapes

_DOTS = (
    ("leader", "circle", "leader", "elected; its term"),
    ("candidate", "circle", "candidate", "candidate; its term"),
    ("follower", "circle", "down", "steps down or follows"),
    ("vote", "circle", "candidate", "votes"),
    ("entry", "circle", "ink", "appends or commits"),
    ("cut", "diamond", "violated", "truncates its log"),
    ("crash", "cross", "violated", "crashes or exits"),
    ("start", "triangle-up", "valid", "starts"),
    ("pause", "square", "paused", "is paused or resumed"),
    ("client", "square", "ink", "a client's line"),
)


def legend(diagram: Diagram, shapes: Shapes) -> list[dict[str, Any]]:
    """What the picture holds, and nothing else."""
    marks = {row.mark for row in diagram.rows}  # asked for membership only
    if "commit" in marks:
        marks.add("entry")
    if "resume" in marks:
        marks.add("pause")
    made: list[dict[str, Any]] = [
        {"shape": shape, "colour": colour, "text": text, "line": 0}
        for mark, shape, colour, text in _DOTS
        if mark in marks
    ]
    fates = {arrow.fate for arrow in diagram.arrows}  # asked for membership only
    made += [
        {"shape": "cross" if fate == "lost" else "", "colour": COLOURS[fate], "text": text, "line": 1, "fate": fate}
        for fate, text in FATES.items()
        if fate in fates
    ]
    lives = {life["state"] for life in shapes.lives()}  # asked for membership only
    made += [
        {
            "shape": "",
            "colour": colour,
            "text": f"is {'the ' if name == 'leader' else ''}{name}",
            "line": 2,
            "fate": name,
        }
        for name, colour in STATES.items()
        if name in lives and name not in ("client", "follower")
    ]
    if diagram.witness != (1 << len(diagram.rows)) - 1:
        made.append({"shape": "circle", "colour": "line", "text": "not in the witness's past", "line": 0})
    return made


def legend_marks(top: int) -> list[dict[str, Any]]:
    x, y = "(datum.n % per) * 210", f"{top} + {LEGEND_ROW} * floor(datum.n / per) + 14"
    return [
        {
            "type": "rule",
            "from": {"data": "legend"},
            "interactive": False,
            "encode": {
                "update": {
                    "x": {"signal": f"{x} + 2"},
                    "x2": {"signal": f"{x} + 20"},
                    "y": {"signal": y},
                    "stroke": {"signal": "c[datum.colour]"},
                    "strokeWidth": {"signal": "datum.line === 2 ? 5 : datum.line ? 1.5 : 0"},
                    "strokeDash": {
                        "signal": "({late: [7, 3], again: [2, 3], later: [1, 3], down: [2, 4], paused: [4, 3]})"
                        "[datum.fate] || [1, 0]"
                    },
                }
            },
        },
        {
            "type": "symbol",
            "from": {"data": "legend"},
            "interactive": False,
            "encode": {
                "update": {
                    "x": {"signal": f"{x} + (datum.shape === 'cross' && datum.line ? 18 : 10)"},
                    "y": {"signal": y},
                    "shape": {"signal": "datum.shape || 'circle'"},
                    "size": {"signal": "datum.shape ? 70 : 0"},
                    "angle": {"signal": "datum.shape === 'cross' ? 45 : 0"},
                    "fill": {"signal": "c[datum.colour]"},
                }
            },
        },
        {
            "type": "text",
            "from": {"data": "legend"},
            "interactive": False,
            "encode": {
                "update": {
                    "x": {"signal": f"{x} + 26"},
                    "y": {"signal": y},
                    "text": {"field": "text"},
                    "baseline": {"value": "middle"},
                    "fontSize": {"value": 11},
                    "limit": {"value": 180},
                    "fill": colour("c.soft"),
                }
            },
        },
    ]
