"""The whole picture. Above the tracks stand the phases, below them the axis of time and a strip of the whole run.

The page's script sets these signals: `c` the colours, `W` the width, `xdom` the part of the run that is shown, `hover`
the time under the pointer. It also fills the data `pinned`: the times that were pinned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from raft_chaos.reports.facts.elections import ElectionRow
from raft_chaos.reports.facts.faults import FaultRow
from raft_chaos.reports.facts.timeline import Timeline
from raft_chaos.reports.html.palette import LIGHT
from raft_chaos.reports.html.timeline import rows, tracks
from raft_chaos.reports.html.timeline.tracks import Spec, Track

DRAWN = 1_500
"""About this many operations are drawn, whatever part of the run is shown."""

IN_NUMBERS = " The tables below have the same in numbers."

LEFT, RIGHT, TOP = 66, 12, 40
_TITLE, _GAP = 17, 10
_AXIS, _STRIP = 38, 34


class OverTime(Protocol):
    """What the picture shows: a whole run (`RunReport`), or one that goes on."""

    @property
    def timeline(self) -> Timeline: ...
    @property
    def faults(self) -> Sequence[FaultRow]: ...
    @property
    def elections(self) -> Sequence[ElectionRow]: ...
    @property
    def stats(self) -> Mapping[str, float | int | str]: ...


def timeline_spec(report: OverTime) -> Spec:
    """The picture of a run, as a Vega specification."""
    timeline = report.timeline
    end_s = max(timeline.end_us, 1) / 1e6
    drawn = _tracks(report)
    groups, bottom = _stacked(drawn)
    return {
        "$schema": "https://vega.github.io/schema/vega/v6.json",
        "description": summary(report),
        "padding": {"left": LEFT, "right": RIGHT, "top": TOP, "bottom": 6},
        "autosize": "none",
        "background": None,
        "width": {"signal": "W"},
        "height": bottom + _AXIS + _STRIP,
        "usermeta": {
            "left": LEFT,
            "right": RIGHT,
            "end": end_s,
            "strip": [bottom + _AXIS, bottom + _AXIS + _STRIP],
            "logs": rows.log_rows(timeline),
        },
        "config": {"font": "system-ui, sans-serif", "axis": {"labelFontSize": 11}},
        "signals": _signals(end_s, len(timeline.service.points)),
        "data": _data(report),
        "scales": [
            {"name": "x", "type": "linear", "domain": {"signal": "xdom"}, "range": [0, {"signal": "W"}], "zero": False},
            {"name": "whole", "type": "linear", "domain": [0, end_s], "range": [0, {"signal": "W"}]},
        ],
        "marks": [
            _time_axis(bottom),
            *_phases(bottom),
            *groups,
            *_over_all(bottom),
            _strip(bottom + _AXIS, has_rates=bool(timeline.service.slices)),
        ],
    }


def summary(report: OverTime) -> str:
    """What the picture shows, in words."""
    timeline, stats = report.timeline, report.stats
    parts = [
        f"The run from 0 to {timeline.end_us / 1e6:.1f} seconds",
        f"{len(timeline.lanes)} nodes",
        f"{stats['faults_fired']} faults",
        f"{stats['leaders_elected']} leaders elected",
        f"{stats['ops']} operations of clients, {stats['ops_ok']} of them ok",
        *(f"{row['invariant']} violated at {row['t']:.3f} seconds" for row in rows.moment_rows(timeline)),
    ]
    return "; ".join(parts) + f".{IN_NUMBERS}"


def _tracks(report: OverTime) -> list[Track]:
    """Those that have something to show."""
    timeline = report.timeline
    bands = rows.fault_bands(report.faults, timeline.end_us)
    points = timeline.service.points
    every = [
        tracks.faults(1 + max((band["row"] for band in bands), default=0)) if bands else None,
        tracks.elections() if report.elections else None,
        tracks.nodes([lane.node for lane in timeline.lanes]) if timeline.lanes else None,
        tracks.committed() if timeline.commits else None,
        *([tracks.latency(_latencies(report)), tracks.throughput(), tracks.availability()] if points else []),
    ]
    return [track for track in every if track is not None]


def _latencies(report: OverTime) -> tuple[float, float]:
    """The ends of the axis, in ms."""
    took = [max(1, point.took_us) / 1e3 for point in report.timeline.service.points]
    return min(took) * 0.8, max(took) * 1.25


def _stacked(drawn: list[Track]) -> tuple[list[Spec], int]:
    """A group for each track, and the lower edge of the last one."""
    groups: list[Spec] = []
    y = 0
    for track in drawn:
        y += _TITLE
        groups.append(
            {
                "type": "group",
                "encode": {"update": {"y": {"value": y}, "width": {"signal": "W"}, "height": {"value": track.height}}},
                "scales": track.scales,
                "axes": track.axes,
                "marks": [_title(track.title), *track.marks],
            }
        )
        y += track.height + _GAP
    return groups, y


def _title(text: str) -> Spec:
    update: Spec = {
        "text": {"value": text},
        "x": {"value": 0},
        "y": {"value": -5},
        "fontSize": {"value": 11},
        "fontWeight": {"value": 600},
        "fill": {"signal": "c.soft"},
        "limit": {"signal": "W"},
    }
    return {"type": "text", "interactive": False, "encode": {"update": update}}


def _signals(end_s: float, points: int) -> list[Spec]:
    part = f"(xdom[1] - xdom[0]) / {end_s}"
    return [
        {"name": "c", "value": LIGHT},
        {"name": "W", "value": 800},
        {"name": "xdom", "value": [0, end_s]},
        {"name": "hover", "value": None},
        {"name": "cut", "update": f"{DRAWN} / max(1, {points} * {part})"},
    ]


def _data(report: OverTime) -> list[Spec]:
    timeline = report.timeline
    slices = rows.slice_rows(timeline)
    for row in slices:
        row["rate"] = row["ok"] + row["fail"] + row["unknown"]
    inside = "datum.e >= xdom[0] && datum.s <= xdom[1]"
    return [
        {"name": "phases", "values": rows.phase_rows(timeline)},
        {"name": "faults", "values": rows.fault_bands(report.faults, timeline.end_us)},
        {"name": "lanes", "values": rows.lane_rows(timeline)},
        {"name": "elections", "values": rows.election_marks(report.elections)},
        {"name": "commits", "values": rows.commit_points(timeline)},
        {"name": "ops", "values": rows.op_points(timeline)},
        {"name": "slices", "values": slices},
        {"name": "moments", "values": rows.moment_rows(timeline)},
        {"name": "pinned", "values": []},
        _only("shown_faults", "faults", inside),
        _only("shown_lanes", "lanes", f"datum.state !== 'paused' && {inside}"),
        _only("shown_pauses", "lanes", f"datum.state === 'paused' && {inside}"),
        _only("shown_elections", "elections", "inrange(datum.t, xdom)"),
        _only("shown_ops", "ops", "datum.r <= cut && inrange(datum.t, xdom)"),
        _only("shown_slices", "slices", inside),
        _only("busy_slices", "slices", f"isValid(datum.share) && {inside}"),
    ]


def _only(name: str, source: str, test: str) -> Spec:
    return {"name": name, "source": source, "transform": [{"type": "filter", "expr": test}]}


def _time_axis(bottom: int) -> Spec:
    axis = {
        "orient": "bottom",
        "scale": "x",
        "grid": True,
        "gridColor": {"signal": "c.line"},
        "domainColor": {"signal": "c.line"},
        "tickColor": {"signal": "c.line"},
        "labelColor": {"signal": "c.soft"},
        "tickCount": {"signal": "max(2, floor(W / 90))"},
        "labelOverlap": True,
        "labelFlush": True,
        "encode": {"labels": {"update": {"text": {"signal": "datum.label + ' s'"}}}},
    }
    return {
        "type": "group",
        "interactive": False,
        "encode": {"update": {"width": {"signal": "W"}, "height": {"value": bottom}}},
        "axes": [axis],
    }


def _phases(bottom: int) -> list[Spec]:
    """The name of each phase at the top, and a line where it begins."""
    name = {
        "type": "text",
        "interactive": False,
        "from": {"data": "phases"},
        "encode": {
            "update": {
                "x": {"signal": "scale('x', max(datum.s, xdom[0])) + 3"},
                "y": {"value": -24},
                "text": {"signal": "min(scale('x', datum.e), W) - max(scale('x', datum.s), 0) > 44 ? datum.phase : ''"},
                "fontSize": {"value": 11},
                "fill": {"signal": "c.soft"},
            }
        },
    }
    begin = _rule("phases", "datum.s", "c.soft", 1, [2, 3], -34, bottom)
    return [name, begin]


def _over_all(bottom: int) -> list[Spec]:
    """What crosses all tracks: violations, pins, the time under the pointer."""
    tip = {"signal": "{'title': datum.invariant + ' violated', 'at': format(datum.t, '.3f') + ' s', '': datum.message}"}
    violation = _rule("moments", "datum.t", "c.violated", 2, [], -6, bottom) | {"interactive": True}
    violation["encode"]["update"]["tooltip"] = tip
    name: Spec = {
        "type": "text",
        "name": "violation",
        "from": {"data": "moments"},
        "encode": {
            "update": {
                "x": {"signal": "clamp(scale('x', datum.t), 0, W)"},
                "y": {"value": -8},
                "align": {"signal": "scale('x', datum.t) > W / 2 ? 'right' : 'left'"},
                "text": {"signal": "inrange(datum.t, xdom) ? datum.label : ''"},
                "fontSize": {"value": 11},
                "fontWeight": {"value": 700},
                "fill": {"signal": "c.violated"},
                "tooltip": tip,
            }
        },
    }
    return [violation, name, *_lines_of_script(bottom)]


def _lines_of_script(bottom: int) -> list[Spec]:
    hover = {
        "type": "rule",
        "interactive": False,
        "clip": False,
        "encode": {
            "update": {
                "x": {"signal": "hover === null ? -9 : scale('x', hover)"},
                "y": {"value": 0},
                "y2": {"value": bottom},
                "stroke": {"signal": "c.ink"},
                "strokeOpacity": {"signal": "hover === null ? 0 : 0.55"},
            }
        },
    }
    label = {
        "type": "text",
        "interactive": False,
        "encode": {
            "update": {
                "x": {"signal": "hover === null ? 0 : clamp(scale('x', hover), 22, W - 22)"},
                "y": {"value": bottom + 32},
                "align": {"value": "center"},
                "text": {"signal": "hover === null ? '' : format(hover, '.3f') + ' s'"},
                "fontSize": {"value": 11},
                "fontWeight": {"value": 600},
                "fill": {"signal": "c.ink"},
            }
        },
    }
    pin = _rule("pinned", "datum.t", "c.accent", 1.5, [5, 3], 0, bottom)
    return [pin, hover, label]


def _rule(data: str, at: str, colour: str, width: float, dash: list[int], top: int, bottom: int) -> Spec:
    return {
        "type": "rule",
        "interactive": False,
        "from": {"data": data},
        "encode": {
            "update": {
                "x": {"signal": f"scale('x', {at})"},
                "y": {"value": top},
                "y2": {"value": bottom},
                "stroke": {"signal": colour},
                "strokeWidth": {"value": width},
                "strokeDash": {"value": dash},
                "strokeOpacity": {"signal": f"inrange({at}, xdom) ? 0.9 : 0"},
            }
        },
    }


def _strip(y: int, *, has_rates: bool) -> Spec:
    """The whole run, small: operations and violations, and the part that is shown."""
    height = _STRIP - 8
    bar: Spec = {
        "type": "rect",
        "interactive": False,
        "from": {"data": "slices"},
        "encode": {
            "update": {
                "x": {"scale": "whole", "field": "s"},
                "x2": {"scale": "whole", "field": "e"},
                "y": {"scale": "small", "field": "ok"},
                "y2": {"value": height},
                "fill": {"signal": "c.soft"},
                "fillOpacity": {"value": 0.45},
            }
        },
    }
    shown: Spec = {
        "type": "rect",
        "name": "shown",
        "encode": {
            "update": {
                "x": {"signal": "scale('whole', xdom[0])"},
                "x2": {"signal": "scale('whole', xdom[1])"},
                "y": {"value": 0},
                "y2": {"value": height},
                "fill": {"signal": "c.accent"},
                "fillOpacity": {"value": 0.14},
                "stroke": {"signal": "c.accent"},
            }
        },
    }
    moment: Spec = {
        "type": "rule",
        "interactive": False,
        "from": {"data": "moments"},
        "encode": {
            "update": {
                "x": {"scale": "whole", "field": "t"},
                "y": {"value": 0},
                "y2": {"value": height},
                "stroke": {"signal": "c.violated"},
                "strokeWidth": {"value": 2},
            }
        },
    }
    domain: Any = {"data": "slices", "field": "rate"} if has_rates else [0, 1]
    return {
        "type": "group",
        "encode": {
            "update": {
                "y": {"value": y},
                "width": {"signal": "W"},
                "height": {"value": height},
                "fill": {"signal": "c.panel"},
                "stroke": {"signal": "c.line"},
            }
        },
        "scales": [{"name": "small", "type": "linear", "domain": domain, "range": [height, 2], "zero": True}],
        "marks": [bar, shown, moment],
    }
