"""The tracks of the picture, from top to bottom. Each is a group of marks with its own vertical scale.

All share the horizontal scale `x`, whose domain is the signal `xdom`: the part of the run that is shown (seconds).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec

Spec = dict[str, Any]

_STATE = "datum.state === 'leader' ? c.leader : datum.state === 'candidate' ? c.candidate : c.follower"
_END = "datum.end === 'ok' ? c.ok : datum.end === 'fail' ? c.fail : c.open"
_FROM_TO = "'from': format(datum.s, '.3f') + ' s', 'to': format(datum.e, '.3f') + ' s'"


class Track(msgspec.Struct, frozen=True, kw_only=True):
    """`marks` are clipped to the track by their own property."""

    title: str
    height: int
    marks: list[Spec]
    scales: list[Spec] = []
    axes: list[Spec] = []


def faults(rows: int) -> Track:
    """Bands, each in its row, with the kind in it where there is room. One without effect is hollow."""
    height = 18 * rows
    place = {"y": _signal("datum.row * 18 + 2")}
    band = _rect("shown_faults", {**place, "height": {"value": 14}}) | {"name": "fault"}
    band["encode"]["update"] |= {
        "fill": _signal("c.fault"),
        "fillOpacity": _signal("datum.effect === 'yes' ? 0.85 : 0.18"),
        "stroke": _signal("c.fault"),
        "tooltip": _signal(
            f"{{'title': datum.kind + ' ' + datum.id, 'on': datum.on, {_FROM_TO}, "
            "'effect': datum.effect, 'observed': datum.seen}"
        ),
    }
    name = _text("shown_faults", "datum.shared ? '' : datum.kind", "scale('x', max(datum.s, xdom[0])) + 4", 46)
    name["encode"]["update"] |= {
        "y": _signal("datum.row * 18 + 9.5"),
        "fill": _signal("datum.effect === 'yes' ? c.onmark : c.ink"),
    }
    return Track(title="Faults", height=height, marks=[band, name])


def elections() -> Track:
    """A triangle where a leader was elected, a cross where a term had none."""
    mark = {
        "type": "symbol",
        "name": "election",
        "clip": True,
        "from": {"data": "shown_elections"},
        "encode": {
            "update": {
                "x": {"scale": "x", "field": "t"},
                "y": {"value": 9},
                "shape": _signal("datum.won ? 'triangle-up' : 'cross'"),
                "angle": _signal("datum.won ? 0 : 45"),
                "size": _signal("datum.won ? 90 : 55"),
                "fill": _signal("datum.won ? c.leader : c.candidate"),
                "tooltip": _signal(
                    "{'title': 'term ' + datum.term, 'at': format(datum.t, '.3f') + ' s', 'leader': datum.leader, "
                    "'candidates': datum.stood, 'votes': datum.votes, "
                    "'took': isValid(datum.took) ? format(datum.took, '.1f') + ' ms' : ''}"
                ),
            }
        },
    }
    return Track(title="Elections", height=18, marks=[mark])


def nodes(names: Sequence[str]) -> Track:
    """A lane for each node: its role by colour, its term as a number; a thin line while it is down."""
    step = 26
    lane = _rect(
        "shown_lanes",
        {
            "y": _signal("scale('lane', datum.n) + (datum.state === 'down' ? 9 : 3)"),
            "height": _signal("datum.state === 'down' ? 3 : 16"),
        },
    ) | {"name": "lane"}
    lane["encode"]["update"] |= {
        "fill": _signal(f"datum.state === 'down' ? c.down : {_STATE}"),
        "tooltip": _signal(
            "{'title': datum.n + ': ' + datum.state, 'term': isValid(datum.term) ? datum.term : '', "
            f"{_FROM_TO}, 'short spans': datum.merged ? datum.merged + ' changes, drawn as one' : ''}}"
        ),
    }
    pause = _rect("shown_pauses", {"y": _signal("scale('lane', datum.n) + 1"), "height": {"value": 20}})
    pause["encode"]["update"] |= {
        "fill": _signal("c.paused"),
        "fillOpacity": {"value": 0.8},
        "tooltip": _signal(f"{{'title': datum.n + ': paused', {_FROM_TO}}}"),
    }
    terms = _text("shown_lanes", "datum.state === 'leader' ? datum.term : ''", "", 28)
    terms["encode"]["update"] |= {
        "x": _signal("(scale('x', max(datum.s, xdom[0])) + scale('x', min(datum.e, xdom[1]))) / 2"),
        "y": _signal("scale('lane', datum.n) + 11.5"),
        "align": {"value": "center"},
        "fill": _signal("c.onmark"),
        "fontWeight": {"value": 600},
    }
    scale = {"name": "lane", "type": "band", "domain": list(names), "range": [0, step * len(names)], "padding": 0}
    axis = _axis("lane") | {"grid": False, "labelFontWeight": 600, "labelColor": _signal("c.ink"), "labelLimit": 60}
    return Track(title="Nodes", height=step * len(names), marks=[lane, pause, terms], scales=[scale], axes=[axis])


def committed() -> Track:
    """The commit index of each node: a flat line is a node that learns nothing."""
    line = {
        "type": "line",
        "clip": True,
        "interactive": False,
        "from": {"data": "of_node"},
        "encode": {
            "update": {
                "x": {"scale": "x", "field": "t"},
                "y": {"scale": "index", "field": "index"},
                "interpolate": {"value": "step-after"},
                "stroke": _signal("c.accent"),
                "strokeWidth": {"value": 1.3},
                "strokeOpacity": {"value": 0.75},
            }
        },
    }
    group = {
        "type": "group",
        "from": {"facet": {"name": "of_node", "data": "commits", "groupby": ["n", "inc"]}},
        "encode": {"update": {"width": _signal("W"), "height": {"value": 56}}},
        "marks": [line],
    }
    scale = {
        "name": "index",
        "type": "linear",
        "domain": {"data": "commits", "field": "index"},
        "range": [56, 0],
        "zero": True,
        "nice": True,
    }
    return Track(title="Commit index of each node", height=56, marks=[group], scales=[scale], axes=[_axis("index", 3)])


def latency(domain: tuple[float, float]) -> Track:
    """A dot for each operation, at its call; the median and the 99th percentile as lines."""
    height = 130
    dots = {
        "type": "symbol",
        "name": "op",
        "clip": True,
        "from": {"data": "shown_ops"},
        "encode": {
            "update": {
                "x": {"scale": "x", "field": "t"},
                "y": {"scale": "ms", "field": "ms"},
                "size": _signal("datum.end === 'ok' ? 12 : 26"),
                "shape": _signal("datum.end === 'ok' ? 'circle' : datum.end === 'fail' ? 'cross' : 'diamond'"),
                "fill": _signal(_END),
                "fillOpacity": _signal("datum.end === 'ok' ? 0.55 : 0.9"),
                "tooltip": _signal(
                    "{'title': datum.f + ' ' + datum.key, 'operation': datum.op, 'ended': datum.end, "
                    "'called': format(datum.t, '.3f') + ' s', 'took': format(datum.ms, '.3~f') + ' ms'}"
                ),
            }
        },
    }
    lines = [_line("p99", "ms", [4, 2]), _line("p50", "ms", [])]
    scale = {"name": "ms", "type": "log", "domain": list(domain), "range": [height, 0], "clamp": True}
    axis = _axis("ms") | {"format": "~g", "values": decades(*domain)}
    return Track(
        title="Latency in ms (line: p50, dashed: p99)",
        height=height,
        marks=[dots, *lines],
        scales=[scale],
        axes=[axis],
    )


def throughput() -> Track:
    """Operations a second by their end, stacked."""
    height = 56
    tip = (
        f"{{'title': 'operations a second', {_FROM_TO}, 'ok': format(datum.ok, '.1f'), "
        "'fail': format(datum.fail, '.1f'), 'unknown': format(datum.unknown, '.1f')}"
    )
    stacked = [
        ("ok", "0", "datum.ok", "c.ok"),
        ("fail", "datum.ok", "datum.ok + datum.fail", "c.fail"),
        ("unknown", "datum.ok + datum.fail", "datum.ok + datum.fail + datum.unknown", "c.open"),
    ]
    marks = []
    for _, low, high, colour in stacked:
        bar = _rect("shown_slices", {"y": _signal(f"scale('rate', {high})"), "y2": _signal(f"scale('rate', {low})")})
        bar["encode"]["update"] |= {"fill": _signal(colour), "fillOpacity": {"value": 0.75}, "tooltip": _signal(tip)}
        marks.append(bar)
    scale = {
        "name": "rate",
        "type": "linear",
        "domain": {"data": "slices", "field": "rate"},
        "range": [height, 0],
        "zero": True,
        "nice": True,
    }
    return Track(
        title="Operations that ended, a second", height=height, marks=marks, scales=[scale], axes=[_axis("rate", 3)]
    )


def availability() -> Track:
    """The part of the operations that waited in each slice that was served in it."""
    height = 44
    tip = (
        f"{{'title': 'served ' + format(datum.share, '.0%'), {_FROM_TO}, "
        "'operations': datum.served + ' ok of ' + datum.waited + ' that waited'}"
    )
    served = _rect("busy_slices", {"y": {"scale": "share", "field": "share"}, "y2": {"value": height}})
    served["encode"]["update"] |= {"fill": _signal("c.ok"), "fillOpacity": {"value": 0.6}, "tooltip": _signal(tip)}
    missed = _rect("busy_slices", {"y": {"value": 0}, "y2": {"scale": "share", "field": "share"}})
    missed["encode"]["update"] |= {"fill": _signal("c.fail"), "fillOpacity": {"value": 0.6}, "tooltip": _signal(tip)}
    scale = {"name": "share", "type": "linear", "domain": [0, 1], "range": [height, 0]}
    axis = _axis("share") | {"format": "%", "values": [0, 0.5, 1]}
    return Track(
        title="Availability: served, of those that waited",
        height=height,
        marks=[missed, served],
        scales=[scale],
        axes=[axis],
    )


def decades(low: float, high: float) -> list[float]:
    """The powers of ten between them; of a short axis also twice and five times these."""
    powers = [10.0**n for n in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]
    steps = (1, 2, 5) if high < 50 * low else (1,)
    return [step * power for power in powers for step in steps if low <= step * power <= high]


# ---- parts -------------------------------------------------------------------------------------------------------


def _signal(expression: str) -> Spec:
    return {"signal": expression}


def _rect(data: str, place: Spec) -> Spec:
    """Rectangles from `s` to `e`, at least one pixel wide."""
    update = {
        "x": _signal("round(scale('x', datum.s))"),
        "width": _signal("max(1, round(scale('x', datum.e)) - round(scale('x', datum.s)))"),
        **place,
    }
    return {"type": "rect", "clip": True, "from": {"data": data}, "encode": {"update": update}}


def _text(data: str, text: str, x: str, room: int) -> Spec:
    """Text in rectangles of which at least `room` pixels are shown; no more of it than fits."""
    width = "scale('x', min(datum.e, xdom[1])) - scale('x', max(datum.s, xdom[0]))"
    update = {
        **({"x": _signal(x)} if x else {}),
        "text": _signal(f"{width} >= {room} ? {text} : ''"),
        "limit": _signal(f"max(1, {width} - {6 if x else 0})"),
        "baseline": {"value": "middle"},
        "fontSize": {"value": 11},
    }
    return {"type": "text", "clip": True, "interactive": False, "from": {"data": data}, "encode": {"update": update}}


def _line(field: str, scale: str, dash: list[int]) -> Spec:
    update = {
        "x": {"scale": "x", "field": "m"},
        "y": {"scale": scale, "field": field},
        "defined": _signal(f"isValid(datum.{field})"),
        "stroke": _signal("c.ink"),
        "strokeWidth": {"value": 1.4},
        "strokeDash": {"value": dash},
    }
    return {
        "type": "line",
        "clip": True,
        "interactive": False,
        "from": {"data": "slices"},
        "encode": {"update": update},
    }


def _axis(scale: str, ticks: int | None = None) -> Spec:
    """The axis at the left: small labels, faint lines, no more."""
    axis: Spec = {
        "orient": "left",
        "scale": scale,
        "domain": False,
        "ticks": False,
        "labelPadding": 6,
        "labelColor": _signal("c.soft"),
        "grid": True,
        "gridColor": _signal("c.line"),
        "gridOpacity": 0.7,
        "zindex": 0,
    }
    return axis if ticks is None else axis | {"tickCount": ticks}
