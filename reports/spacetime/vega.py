"""The picture of a diagram as a Vega specification.

Its signals: `c` (the colours, by name), `W` (the width in pixels), and `at` (a row whose past is lit up; -1: that of
the witness). A click on a row sets `at`, a second one takes it back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from raft_chaos.reports.spacetime.diagram import Diagram
from raft_chaos.reports.spacetime.encodings import FONT, LEGEND_ROW
from raft_chaos.reports.spacetime.legend import legend, legend_marks
from raft_chaos.reports.spacetime.logs import logs
from raft_chaos.reports.spacetime.marks import marks
from raft_chaos.reports.spacetime.shapes import ROW, Shapes


def spec(diagram: Diagram, colours: dict[str, str], *, width: int = 900, with_logs: bool = False) -> dict[str, Any]:
    """The specification, with these colours and this width until the page sets others.

    `with_logs`: the logs at the last row stand below, for a picture that stands alone.
    """
    shapes = Shapes(diagram)
    entries = legend(diagram, shapes)
    below = logs(diagram, shapes.height + 40) if with_logs else []
    log_height = 40 + ROW * (len(diagram.first) + 1) if below else 0
    return {
        "$schema": "https://vega.github.io/schema/vega/v6.json",
        "background": None,
        "padding": 0,
        "autosize": "none",
        "width": width,
        "height": shapes.height,
        "signals": [*_signals(shapes, colours, width, len(entries), log_height)],
        "data": _data(shapes, entries),
        "marks": [*marks(shapes), *below, *legend_marks(shapes.height + log_height + 16)],
        "config": {"text": {"font": FONT}},
    }


def alone(
    diagram: Diagram, colours: dict[str, str], width: int, heading: Sequence[str], said: Sequence[str]
) -> dict[str, Any]:
    """The specification of a picture that stands alone, on paper: what it shows stands above, the logs below."""
    made = spec(diagram, colours, width=width, with_logs=True)
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
        "font": FONT,
        "subtitleFont": FONT,
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
