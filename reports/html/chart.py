"""A chart of one quantity over another, as an SVG image that stands in a page: no script, and the colours of the page.

Vega draws it when the page is made. Colours are CSS variables, so it is right on a dark page and on paper, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from raft_chaos.reports.html.library import drawn

WIDTH, HEIGHT = 860, 260


def chart(
    points: Sequence[tuple[float, float]],
    x: str,
    y: str,
    *,
    most_y: float | None = None,
    marked: Sequence[tuple[float, str]] = (),
    stepped: bool = False,
) -> str:
    """The points joined by a line, above an axis of `x`. `marked` are values of x with a word each. `most_y` is the end
    of the other axis if it is fixed. With `stepped` a value holds until the next point."""
    top: Any = most_y if most_y is not None else {"data": "points", "field": "y"}
    ink, soft, line, accent = (f"var(--{name})" for name in ("ink", "soft", "line", "accent"))
    axis = {
        "domainColor": line,
        "tickColor": line,
        "gridColor": line,
        "labelColor": soft,
        "titleColor": ink,
        "titleFontWeight": "normal",
        "labelFontSize": 11,
        "titleFontSize": 12,
        "titlePadding": 8,
    }
    late = "scale('x', datum.x) > width / 2"  # its word stands on the side with more room
    place = {"x": {"scale": "x", "field": "x"}, "y": {"scale": "y", "field": "y"}}
    shape = {"interpolate": {"value": "step-after" if stepped else "linear"}}
    spec = {
        "$schema": "https://vega.github.io/schema/vega/v6.json",
        "background": None,
        "width": WIDTH,
        "height": HEIGHT,
        "padding": 4,
        "autosize": {"type": "fit", "contains": "padding"},
        "data": [
            {"name": "points", "values": [{"x": at, "y": value} for at, value in points]},
            {"name": "marked", "values": [{"x": at, "word": word} for at, word in marked]},
        ],
        "scales": [
            {
                "name": "x",
                "type": "linear",
                "domain": {"data": "points", "field": "x"},
                "range": "width",
                "zero": False,
            },
            {
                "name": "y",
                "type": "linear",
                "domain": [0, top] if most_y is not None else top,
                "range": "height",
                "zero": True,
            },
        ],
        "axes": [
            {"scale": "x", "orient": "bottom", "title": x, "grid": False, "tickCount": 8, **axis},
            {"scale": "y", "orient": "left", "title": y, "grid": True, "tickCount": 5, **axis},
        ],
        "marks": [
            {
                "type": "area",
                "from": {"data": "points"},
                "encode": {
                    "enter": {
                        **place,
                        **shape,
                        "y2": {"scale": "y", "value": 0},
                        "fill": {"value": accent},
                        "fillOpacity": {"value": 0.12},
                    }
                },
            },
            {
                "type": "line",
                "from": {"data": "points"},
                "encode": {"enter": {**place, **shape, "stroke": {"value": accent}, "strokeWidth": {"value": 2}}},
            },
            {
                "type": "rule",
                "from": {"data": "marked"},
                "encode": {
                    "enter": {
                        "x": {"scale": "x", "field": "x"},
                        "y": {"value": 0},
                        "y2": {"signal": "height"},
                        "stroke": {"value": "var(--violated)"},
                        "strokeDash": {"value": [4, 3]},
                    }
                },
            },
            {
                "type": "text",
                "from": {"data": "marked"},
                "encode": {
                    "enter": {
                        "x": {"signal": f"scale('x', datum.x) + ({late} ? -6 : 6)"},
                        "align": {"signal": f"{late} ? 'right' : 'left'"},
                        "y": {"value": 12},
                        "text": {"field": "word"},
                        "fill": {"value": "var(--violated)"},
                        "fontSize": {"value": 12},
                    }
                },
            },
        ],
    }
    return drawn(spec)
