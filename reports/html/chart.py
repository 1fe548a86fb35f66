"""A chart of one quantity over another, as an SVG image that stands in a page: no script, and the colours of the page.

Vega draws it when the page is made. Colours are CSS variables, so it is right on a dark page and on paper, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from raft_chaos.reports.html.library import drawn

WIDTH, HEIGHT = 860, 260
INK, SOFT, LINE, ACCENT, MARKED = (f"var(--{name})" for name in ("ink", "soft", "line", "accent", "violated"))
AXIS = {
    "domainColor": LINE,
    "tickColor": LINE,
    "gridColor": LINE,
    "labelColor": SOFT,
    "titleColor": INK,
    "titleFontWeight": "normal",
    "labelFontSize": 11,
    "titleFontSize": 12,
    "titlePadding": 8,
}


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
    return drawn(
        {
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
                _scale("x", {"data": "points", "field": "x"}, "width", from_zero=False),
                _scale("y", [0, top] if most_y is not None else top, "height", from_zero=True),
            ],
            "axes": [
                {"scale": "x", "orient": "bottom", "title": x, "grid": False, "tickCount": 8, **AXIS},
                {"scale": "y", "orient": "left", "title": y, "grid": True, "tickCount": 5, **AXIS},
            ],
            "marks": [*_curve("step-after" if stepped else "linear"), *_words()],
        }
    )


def _scale(name: str, domain: Any, range_: str, *, from_zero: bool) -> dict[str, Any]:
    return {"name": name, "type": "linear", "domain": domain, "range": range_, "zero": from_zero}


def _curve(interpolate: str) -> list[dict[str, Any]]:
    """The line, and the area below it."""
    along = {
        "x": {"scale": "x", "field": "x"},
        "y": {"scale": "y", "field": "y"},
        "interpolate": {"value": interpolate},
    }
    area = {"y2": {"scale": "y", "value": 0}, "fill": {"value": ACCENT}, "fillOpacity": {"value": 0.12}}
    line = {"stroke": {"value": ACCENT}, "strokeWidth": {"value": 2}}
    return [_mark("area", "points", {**along, **area}), _mark("line", "points", {**along, **line})]


def _words() -> list[dict[str, Any]]:
    """What is marked: a dashed line over the whole height, and a word on the side with more room."""
    late = "scale('x', datum.x) > width / 2"
    line = {
        "x": {"scale": "x", "field": "x"},
        "y": {"value": 0},
        "y2": {"signal": "height"},
        "stroke": {"value": MARKED},
        "strokeDash": {"value": [4, 3]},
    }
    word = {
        "x": {"signal": f"scale('x', datum.x) + ({late} ? -6 : 6)"},
        "align": {"signal": f"{late} ? 'right' : 'left'"},
        "y": {"value": 12},
        "text": {"field": "word"},
        "fill": {"value": MARKED},
        "fontSize": {"value": 12},
    }
    return [_mark("rule", "marked", line), _mark("text", "marked", word)]


def _mark(type_: str, data: str, encoded: dict[str, Any]) -> dict[str, Any]:
    return {"type": type_, "from": {"data": data}, "encode": {"enter": encoded}}
