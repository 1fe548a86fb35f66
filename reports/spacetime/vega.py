"""The picture of a diagram as a Vega specification.

Its signals: `c` (the colours, by name), `W` (the width in pixels), and `at` (a row whose past is lit up; -1: that of
the witness). A click on a row sets `at`, a second one takes it back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from raft_chaos.reports.spacetime.diagram import Diagram
from raft_chaos.reports.spacetime.shapes import FATES, HEAD, ROW, Shapes, cells, log_window

LEGEND_ROW = 20
LOG_CELL = 30

_FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"
_LIT = "substring(mask, datum.i, datum.i + 1) === '1'"
_FAINT = 0.22
_X = "X0 + {} * D"
_COLOURS = {"arrived": "ink", "late": "candidate", "again": "paused", "lost": "violated", "later": "soft"}
_STATES = {
    "leader": "leader", "candidate": "candidate", "follower": "follower", "paused": "paused", "down": "down",
    "client": "line",
}  # fmt: skip


def spec(diagram: Diagram, colours: dict[str, str], *, width: int = 900, logs: bool = False) -> dict[str, Any]:
    """The specification, with these colours and this width until the page sets others.

    `logs`: the logs at the last row stand below, for a picture that stands alone.
    """
    shapes = Shapes(diagram)
    legend = _legend(diagram, shapes)
    below = _logs(diagram, shapes.height + 40) if logs else []
    log_height = 40 + ROW * (len(diagram.first) + 1) if below else 0
    return {
        "$schema": "https://vega.github.io/schema/vega/v6.json",
        "background": None,
        "padding": 0,
        "autosize": "none",
        "width": width,
        "height": shapes.height,
        "signals": [*_signals(shapes, colours, width, len(legend), log_height)],
        "data": _data(shapes, legend),
        "marks": [*_marks(shapes), *below, *_legend_marks(shapes.height + log_height + 16)],
        "config": {"text": {"font": _FONT}},
    }


def alone(
    diagram: Diagram, colours: dict[str, str], width: int, heading: Sequence[str], said: Sequence[str]
) -> dict[str, Any]:
    """The specification of a picture that stands alone, on paper: what it shows stands above, the logs below."""
    made = spec(diagram, colours, width=width, logs=True)
    above = 18 * len(heading) + 16 * len(said) + 12
    title = {
        "text": list(heading),
        "subtitle": list(said),
        "anchor": "start",
        "frame": "group",
        "align": "left",
        "offset": 6,
        "color": colours["ink"],
        "subtitleColor": colours["soft"],
        "font": _FONT,
        "subtitleFont": _FONT,
        "fontSize": 14,
        "subtitleFontSize": 12,
    }
    return {
        **made,
        "background": colours["paper"],
        "title": title,
        "padding": {"left": 8, "right": 8, "top": above, "bottom": 10},
    }


def _signals(shapes: Shapes, colours: dict[str, str], width: int, legend: int, log_height: int) -> list[dict[str, Any]]:
    columns = len(shapes.column)
    return [
        {"name": "c", "value": colours},
        {"name": "W", "value": width},
        {"name": "width", "update": "W"},
        {"name": "per", "update": "max(1, floor(W / 210))"},
        {
            "name": "height",
            "update": f"{shapes.height + log_height + 16} + {LEGEND_ROW} * ceil({legend} / per)",
        },
        {"name": "D", "update": f"clamp((W * (W < 600 ? 0.5 : 0.42) - 56) / {max(columns, 1)}, 22, 60)"},
        {"name": "X0", "update": "60 + D / 2"},
        {"name": "T", "update": f"X0 + {columns} * D - D / 2 + 6"},
        {
            "name": "at",
            "value": -1,
            "on": [
                {
                    "events": "@hit:click",
                    "update": "at === datum.i ? -1 : datum.i",
                },
            ],
        },
        {"name": "masks", "value": shapes.masks()},
        {"name": "mask", "update": "at < 0 ? masks[length(masks) - 1] : masks[at]"},
    ]


def _data(shapes: Shapes, legend: list[dict[str, Any]]) -> list[dict[str, Any]]:
    values = {
        "columns": shapes.columns(),
        "rows": shapes.rows(),
        "dots": shapes.dots(),
        "bands": shapes.bands(),
        "lives": shapes.lives(),
        "arrows": shapes.arrows(),
        "legend": [{"n": n, **one} for n, one in enumerate(legend)],
    }
    return [{"name": name, "values": rows} for name, rows in values.items()]


def _colour(expression: str) -> dict[str, str]:
    return {"signal": expression}


def _by(field: str, names: dict[str, str]) -> dict[str, str]:
    """A colour by the value of a field."""
    listed = ", ".join(f"{key}: c.{name}" for key, name in names.items())
    return {"signal": f"({{{listed}}})[datum.{field}]"}


def _opacity(full: float = 1) -> dict[str, str]:
    return {"signal": f"{_LIT} ? {full} : {_FAINT * full}"}


def _at(column: str) -> dict[str, str]:
    return {"signal": _X.format(f"datum.{column}")}


def _marks(shapes: Shapes) -> list[dict[str, Any]]:
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
                    "x": _at("x"),
                    "y": {"value": y},
                    "text": {"field": "name"},
                    "align": {"value": "center"},
                    "baseline": {"value": "alphabetic"},
                    "fontSize": {"signal": "D < 34 ? 11 : 13"},
                    "fontWeight": {"value": 600},
                    "limit": {"signal": "D - 2"},
                    "fill": _colour("c.ink"),
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
                    "x": _at("x"),
                    "x2": _at("x"),
                    "y": {"field": "y1"},
                    "y2": {"field": "y2"},
                    "stroke": _by("state", _STATES),
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
                    "fill": _colour("c.soft"),
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
                    "fill": _colour("c.soft"),
                    "opacity": {"signal": f"{_LIT} ? 1 : 0.55"},
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
                    "opacity": {"signal": f"{_LIT} ? 1 : 0.5"},
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
                "x": _at("x1"),
                "x2": _at("x2"),
                "y": {"field": "y"},
                "stroke": _colour("c.fault"),
                "strokeWidth": {"value": 2},
                "opacity": _opacity(),
            }
        },
    }


def _messages() -> list[dict[str, Any]]:
    """The lines, and their ends: an arrowhead, a cross if it is lost, a ring if the other turn is not drawn."""
    lean = "atan2(datum.y2 - datum.y1, (datum.x2 - datum.x1) * D)"
    full = "(datum.fate === 'later' ? 0.5 : datum.level === 'told' ? 1 : 0.8)"
    seen = {"signal": f"{_LIT} ? {full} : {_FAINT}"}
    line = {
        "type": "rule",
        "from": {"data": "arrows"},
        "encode": {
            "update": {
                "x": _at("x1"),
                "x2": _at("x2"),
                "y": {"field": "y1"},
                "y2": {"field": "y2"},
                "stroke": _by("fate", _COLOURS),
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
                "fill": _by("fate", _COLOURS),
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
                "x": _at("x"),
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
                "stroke": _colour("c.paper"),
                "strokeWidth": {"value": 1.5},
                "opacity": _opacity(),
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
                "x": _at("x"),
                "y": {"signal": "datum.y + 0.5"},
                "text": {"field": "term"},
                "align": {"value": "center"},
                "baseline": {"value": "middle"},
                "fontSize": {"signal": "length(datum.term) > 2 ? 8 : 10"},
                "fontWeight": {"value": 700},
                "fill": _colour("c.onmark"),
                "opacity": _opacity(),
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


# ---- legend ----------------------------------------------------------------------------------------------------------


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


def _legend(diagram: Diagram, shapes: Shapes) -> list[dict[str, Any]]:
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
        {"shape": "cross" if fate == "lost" else "", "colour": _COLOURS[fate], "text": text, "line": 1, "fate": fate}
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
        for name, colour in _STATES.items()
        if name in lives and name not in ("client", "follower")
    ]
    if diagram.witness != (1 << len(diagram.rows)) - 1:
        made.append({"shape": "circle", "colour": "line", "text": "not in the witness's past", "line": 0})
    return made


def _legend_marks(top: int) -> list[dict[str, Any]]:
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
                    "fill": _colour("c.soft"),
                }
            },
        },
    ]


# ---- the logs, in a picture that stands alone ------------------------------------------------------------------------


def _logs(diagram: Diagram, top: int) -> list[dict[str, Any]]:
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
        _plain("text", [{}], {
            **text, "x": {"value": 4}, "y": {"value": top + 2}, "fontWeight": {"value": 600}, "fill": _colour("c.ink"),
            "text": {"value": "The logs at the last row: indexes, and terms in the cells; pale: not committed yet"},
        }),
        _plain("text", heads, {
            **text, "x": {"signal": f"{cell_x} + {LOG_CELL / 2 - 1}"}, "y": {"value": top + ROW},
            "align": {"value": "center"}, "text": {"field": "index"}, "fill": _colour("c.soft"),
        }),
        _plain("text", labels, {
            **text, "x": {"value": 66}, "y": {"field": "y"}, "align": {"value": "right"}, "text": {"field": "name"},
            "fontWeight": {"value": 600}, "fill": _colour("c.ink"),
        }),
        _plain("text", short, {
            **text, "x": {"value": 80}, "y": {"field": "y"}, "text": {"field": "says"}, "fill": _colour("c.soft"),
        }),
        _plain("rect", entries, {
            "x": {"signal": cell_x}, "width": {"value": LOG_CELL - 2}, "y": {"signal": f"datum.y - {ROW / 2 - 1}"},
            "height": {"value": ROW - 2}, "fill": {"signal": "hsl((datum.term * 137.5) % 360, 0.6, 0.78)"},
            "fillOpacity": {"signal": "datum.done ? 1 : 0.35"},
            "stroke": {"signal": "hsl((datum.term * 137.5) % 360, 0.5, 0.45)"}, "strokeWidth": {"value": 1},
        }),
        _plain("text", entries, {
            **text, "x": {"signal": f"{cell_x} + {LOG_CELL / 2 - 1}"}, "y": {"field": "y"},
            "align": {"value": "center"}, "text": {"field": "term"}, "fill": {"value": "#1b1f24"},
        }),
    ]  # fmt: skip


def _ends(last: int) -> str:
    return f"ends at {last}" if last else "is empty"


def _plain(type: str, values: list[dict[str, Any]], encoded: dict[str, Any]) -> dict[str, Any]:
    """A mark with data of its own."""
    return {
        "type": "group",
        "data": [{"name": "own", "values": values}],
        "marks": [{"type": type, "from": {"data": "own"}, "interactive": False, "encode": {"update": encoded}}],
    }
