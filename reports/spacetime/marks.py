"""The marks of the diagram: names, lifelines, messages, dots, words."""

from __future__ import annotations

from typing import Any

from raft_chaos.reports.spacetime.encodings import COLOURS, FAINT, LIT, STATES, at_column, by, colour, opacity
from raft_chaos.reports.spacetime.shapes import HEAD, ROW, Shapes


def marks(shapes: Shapes) -> list[dict[str, Any]]:
    return [
        _ground(),
        *_names(shapes),
        *_lifelines(),
        *_gaps(),
        *_times_and_texts(),
        _bands(),
        *_messages(),
        *_dots(),
        _hits(),
    ]


def _ground() -> dict[str, Any]:
    """The background of the rows of the witness, and of the row `at`."""
    return {
        "type": "rect",
        "from": {"data": "rows"},
        "encode": {
            "update": {
                "x": {"value": 0},
                "x2": {"signal": "W"},
                "y": {"signal": f"datum.y - {ROW / 2}"},
                "height": {"value": ROW},
                "fill": {"signal": "datum.i === at ? c.accent : c.violated"},
                "opacity": {"signal": "datum.i === at ? 0.2 : datum.level === 'witness' ? 0.13 : 0"},
            }
        },
    }


def _names(shapes: Shapes) -> list[dict[str, Any]]:
    """The nodes' names, above and below the columns."""
    return [
        {
            "type": "text",
            "from": {"data": "columns"},
            "interactive": False,
            "encode": {
                "update": {
                    "x": at_column("x"),
                    "y": {"value": y},
                    "text": {"field": "name"},
                    "align": {"value": "center"},
                    "baseline": {"value": "alphabetic"},
                    "fontSize": {"signal": "D < 34 ? 11 : 13"},
                    "fontWeight": {"value": 600},
                    "limit": {"signal": "D - 2"},
                    "fill": colour("c.ink"),
                }
            },
        }
        for y in (HEAD - 16, shapes.height + 12)
    ]


def _lifelines() -> list[dict[str, Any]]:
    return [
        {
            "type": "rule",
            "from": {"data": "lives"},
            "interactive": False,
            "encode": {
                "update": {
                    "x": at_column("x"),
                    "x2": at_column("x"),
                    "y": {"field": "y1"},
                    "y2": {"field": "y2"},
                    "stroke": by("state", STATES),
                    "strokeWidth": {
                        "signal": "({leader: 5, candidate: 5, follower: 3, paused: 5, down: 1, client: 1})[datum.state]"
                    },
                    "strokeDash": {
                        "signal": "datum.state === 'down' ? [2, 4] : datum.state === 'paused' ? [4, 3] : [1, 0]"
                    },
                    "opacity": {"value": 0.8},
                }
            },
        }
    ]


def _gaps() -> list[dict[str, Any]]:
    """A mark above a row where turns are left out."""
    return [
        {
            "type": "text",
            "from": {"data": "rows"},
            "encode": {
                "update": {
                    "x": {"signal": "X0 - D / 2 - 22"},
                    "y": {"signal": f"datum.y - {ROW / 2 + 5}"},
                    "text": {"signal": "datum.gap ? '⋮' : ''"},
                    "align": {"value": "right"},
                    "baseline": {"value": "middle"},
                    "fontSize": {"value": 13},
                    "fill": colour("c.soft"),
                    "tooltip": {"signal": "datum.gap ? {title: datum.gap + ' turns are not drawn'} : null"},
                }
            },
        }
    ]


def _times_and_texts() -> list[dict[str, Any]]:
    common = {
        "y": {"field": "y"},
        "baseline": {"value": "middle"},
        "fontSize": {"signal": "W < 600 ? 11 : 12"},
    }
    return [
        {
            "type": "text",
            "from": {"data": "rows"},
            "interactive": False,
            "encode": {
                "update": {
                    **common,
                    "x": {"signal": "X0 - D / 2 - 4"},
                    "align": {"value": "right"},
                    "text": {"field": "time"},
                    "fill": colour("c.soft"),
                    "opacity": {"signal": f"{LIT} ? 1 : 0.55"},
                }
            },
        },
        {
            "type": "text",
            "from": {"data": "rows"},
            "interactive": False,
            "encode": {
                "update": {
                    **common,
                    "x": {"signal": "T"},
                    "limit": {"signal": "max(40, W - T - 6)"},
                    "text": {"field": "text"},
                    "fill": {
                        "signal": "datum.level === 'witness' ? c.violated : datum.level === 'told' ? c.ink : c.soft"
                    },
                    "fontWeight": {"signal": "datum.level === 'witness' ? 600 : 400"},
                    "opacity": {"signal": f"{LIT} ? 1 : 0.5"},
                }
            },
        },
    ]


def _bands() -> dict[str, Any]:
    return {
        "type": "rule",
        "from": {"data": "bands"},
        "interactive": False,
        "encode": {
            "update": {
                "x": at_column("x1"),
                "x2": at_column("x2"),
                "y": {"field": "y"},
                "stroke": colour("c.fault"),
                "strokeWidth": {"value": 2},
                "opacity": opacity(),
            }
        },
    }


def _messages() -> list[dict[str, Any]]:
    """The lines, and their ends: an arrowhead, a cross if it is lost, a ring if the other turn is not drawn."""
    lean = "atan2(datum.y2 - datum.y1, (datum.x2 - datum.x1) * D)"
    full = "(datum.fate === 'later' ? 0.5 : datum.level === 'told' ? 1 : 0.8)"
    seen = {"signal": f"{LIT} ? {full} : {FAINT}"}
    line = {
        "type": "rule",
        "from": {"data": "arrows"},
        "encode": {
            "update": {
                "x": at_column("x1"),
                "x2": at_column("x2"),
                "y": {"field": "y1"},
                "y2": {"field": "y2"},
                "stroke": by("fate", COLOURS),
                "strokeWidth": {"signal": "datum.fate === 'lost' ? 1.8 : 1.4"},
                "strokeDash": {"signal": "({late: [7, 3], again: [2, 3], later: [1, 3]})[datum.fate] || [1, 0]"},
                "opacity": seen,
                "tooltip": {"field": "hover"},
            }
        },
    }
    back = "(datum.whole ? 9 : 0)"
    head = {
        "type": "symbol",
        "from": {"data": "arrows"},
        "encode": {
            "update": {
                # The head ends at the dot's edge, not under the dot.
                "x": {"signal": f"X0 + datum.x2 * D - {back} * cos({lean})"},
                "y": {"signal": f"datum.y2 - {back} * sin({lean})"},
                "shape": {"signal": "datum.fate === 'lost' ? 'cross' : datum.fate === 'later' ? 'circle' : 'triangle'"},
                "size": {"signal": "datum.fate === 'lost' ? 90 : datum.fate === 'later' ? 8 : 46"},
                "angle": {"signal": f"datum.fate === 'lost' ? 45 : 90 + 180 / PI * {lean}"},
                "fill": by("fate", COLOURS),
                "opacity": seen,
                "tooltip": {"field": "hover"},
            }
        },
    }
    return [line, head]


def _dots() -> list[dict[str, Any]]:
    roles = "indexof(['leader', 'candidate', 'follower'], datum.mark) >= 0"
    symbol = {
        "type": "symbol",
        "from": {"data": "dots"},
        "encode": {
            "update": {
                "x": at_column("x"),
                "y": {"field": "y"},
                "shape": {
                    "signal": "({crash: 'cross', start: 'triangle-up', pause: 'square', resume: 'square', "
                    "client: 'square', note: 'square', cut: 'diamond'})[datum.mark] || 'circle'"
                },
                "size": {
                    "signal": f"{roles} ? 230 : ({{message: 26, note: 30, client: 60, commit: 60, entry: 60}})"
                    "[datum.mark] || 110"
                },
                "angle": {"signal": "datum.mark === 'crash' ? 45 : 0"},
                "fill": {
                    "signal": "({leader: c.leader, candidate: c.candidate, follower: c.down, vote: c.candidate, "
                    "crash: c.violated, start: c.valid, pause: c.paused, resume: c.valid, note: c.fault, "
                    "cut: c.violated, message: c.soft})[datum.mark] || c.ink"
                },
                "stroke": colour("c.paper"),
                "strokeWidth": {"value": 1.5},
                "opacity": opacity(),
                "tooltip": {"field": "hover"},
            }
        },
    }
    term = {
        "type": "text",
        "from": {"data": "dots"},
        "interactive": False,
        "encode": {
            "update": {
                "x": at_column("x"),
                "y": {"signal": "datum.y + 0.5"},
                "text": {"field": "term"},
                "align": {"value": "center"},
                "baseline": {"value": "middle"},
                "fontSize": {"signal": "length(datum.term) > 2 ? 8 : 10"},
                "fontWeight": {"value": 700},
                "fill": colour("c.onmark"),
                "opacity": opacity(),
            }
        },
    }
    return [symbol, term]


def _hits() -> dict[str, Any]:
    """What a pointer meets to the right and left of the columns: a row."""
    return {
        "type": "rect",
        "name": "hit",
        "from": {"data": "rows"},
        "encode": {
            "update": {
                "x": {"signal": "T - 4"},
                "x2": {"signal": "W"},
                "y": {"signal": f"datum.y - {ROW / 2}"},
                "height": {"value": ROW},
                "fill": {"value": "transparent"},
                "cursor": {"value": "pointer"},
                "tooltip": {"field": "hover"},
            }
        },
    }
