"""The whole window as one SVG picture, and as an HTML page around it, without scripts, fonts or external files.

From top to bottom: the leaders, the faults (their time is shaded through all rows), the operations in order of their
calls, the times of the core's calls and returns, the argument.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from html import escape

from raft_chaos.invariants.linearizability import format
from raft_chaos.reports.text import count, visible
from raft_chaos.reports.window.axis import Axis
from raft_chaos.reports.window.content import Bar, Span, Window

WIDTH, LEFT, RIGHT, ROW, TOP = 1000, 330, 24, 24, 44
LONGEST_LABEL = 44
LABELS_APART = 78
ARGUMENT_COLUMNS = 134

_STYLE = """
.operations text { font: 12px ui-monospace, monospace; fill: var(--ink, #1c1e21); }
.operations .small { font-size: 11px; fill: var(--soft, #5a6068); }
.operations .paper { fill: var(--paper, #fff); }
.operations .core { fill: var(--violated, #c62828); } .operations .near { fill: var(--down, #9aa3ad); }
.operations .open { stroke: var(--violated, #c62828); stroke-dasharray: 3 3; }
.operations .near.open { stroke: var(--down, #9aa3ad); }
.operations .told { font-weight: 600; } .operations .title { font-size: 17px; font-weight: 600; }
.operations .leader { fill: var(--leader, #90b8e8); } .operations .fault { fill: var(--fault, #f0a040); }
.operations .shade { fill: var(--fault, #f0a040); fill-opacity: .13; }
.operations .tick { stroke: var(--line, #d5d9de); stroke-dasharray: 2 3; }
"""
"""In a page that has colours of its own (`reports.html.palette`), the picture takes these."""


def html(window: Window) -> str:
    """The picture in a page."""
    title = escape(_title(window))
    return (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{title}</title>\n'
        f'<body style="margin: 24px; background: #fff">\n{svg(window)}</body>\n</html>\n'
    )


def svg(window: Window) -> str:
    """The picture."""
    axis = Axis(window.bars, WIDTH - LEFT - RIGHT)
    spans_end = TOP + ROW * len(window.spans)
    bars_end = spans_end + ROW * len(window.bars) + 6
    prose = [*textwrap.wrap(visible(window.argument), ARGUMENT_COLUMNS, break_on_hyphens=False), "", *_legend(window)]
    height = bars_end + 40 + 17 * len(prose)
    rows = [f'<rect class="paper" width="{WIDTH}" height="{height}"/>']
    rows.append(f'<clipPath id="labels"><rect width="{LEFT - 6}" height="{height}"/></clipPath>')
    rows.append(f'<text class="title" x="8" y="22">{escape(_title(window))}</text>')
    rows += _spans(window, axis, bars_end)
    rows += _ticks(window, axis, bars_end)
    for number, bar in enumerate(window.bars):
        rows += _bar(bar, axis, spans_end + ROW * number, window.ticks)
    for number, line in enumerate(prose):
        rows.append(f'<text x="8" y="{bars_end + 46 + 17 * number}"{_small(line, prose)}>{escape(line)}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="operations" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(_title(window))}">\n<style>{_STYLE}</style>\n'
        + "\n".join(rows)
        + "\n</svg>\n"
    )


def _title(window: Window) -> str:
    where = "" if window.key is None else f" on key {format.shown(window.key)}"
    return visible(f"Not linearizable{where}")


def _small(line: str, prose: list[str]) -> str:
    """The legend is in small print, the argument is not."""
    return ' class="small"' if prose.index("") < prose.index(line) else ""


def _legend(window: Window) -> list[str]:
    lines = [
        "Red: operations that have no order, whatever else happened. Grey: others on the key. Dashed: may happen later."
    ]
    more = []
    if window.cut:
        more.append(f"{count(window.cut, 'operation')} of the core")
    if window.left_out:
        more.append(f"{count(window.left_out, 'other operation')} on the key in this time")
    if window.spans:
        lines[0] += " Blue: who led. Orange: faults."
    lines.append(f"Not drawn: {' and '.join(more)}." if more else "All operations on the key in this time are drawn.")
    lines.append("Order is exact; long gaps are drawn short." if window.ticks else "Order is exact; there is no clock.")
    return lines


def _spans(window: Window, axis: Axis, bottom: int) -> Iterator[str]:
    for number, span in enumerate(window.spans):
        y = TOP + ROW * number
        x, end = LEFT + axis.at_clock(span.begin), LEFT + axis.at_clock(span.end)
        wide = max(2.0, end - x)
        yield _label(span.label, y)
        if span.kind == "fault":
            yield f'<rect class="shade" x="{x:.1f}" y="{y}" width="{wide:.1f}" height="{bottom - y}"/>'
        yield (
            f'<rect class="{span.kind}" x="{x:.1f}" y="{y + 5}" width="{wide:.1f}" height="{ROW - 10}" rx="2">'
            f"<title>{escape(_lasted(span, window.ticks))}</title></rect>"
        )


def _lasted(span: Span, ticks: int) -> str:
    return f"{visible(span.label)}: {_when(span.begin, 0, ticks)} to {_when(span.end, 0, ticks) or 'the end'}"


def _ticks(window: Window, axis: Axis, bottom: int) -> Iterator[str]:
    """A line at each call and return of the core; its time below, where there is room."""
    moments: dict[int, str] = {}
    for bar in window.core:
        place = bar.place
        moments[bar.operation.called] = _when(place.called_clock, place.called_line, window.ticks)
        if bar.operation.returned is not None:
            moments[bar.operation.returned] = _when(place.returned_clock, place.returned_line or 0, window.ticks)
    last = -LABELS_APART * 1.0
    for moment in sorted(moments):
        x = LEFT + axis.at(moment)
        yield f'<line class="tick" x1="{x:.1f}" y1="{TOP - 4}" x2="{x:.1f}" y2="{bottom}"/>'
        if x - last >= LABELS_APART:
            last = x
            anchor = "end" if x > WIDTH - LABELS_APART else "middle"
            yield f'<text class="small" x="{x:.1f}" y="{bottom + 14}" text-anchor="{anchor}">{moments[moment]}</text>'


def _when(clock: int | None, line: int, ticks: int) -> str:
    if clock is None or not ticks:
        return f"line {line}" if line else ""
    return f"{clock / ticks:.6f} s"


def _bar(bar: Bar, axis: Axis, y: int, ticks: int) -> Iterator[str]:
    x, end = LEFT + axis.at(bar.operation.called), LEFT + axis.at(bar.ends)
    kind = "core" if bar.core else "near"
    known = bar.ends != float("inf")
    if not known:
        end = WIDTH - 4.0
    solid = end if known else x + 8
    yield _label(bar.text, y, "told" if bar.core else "")
    yield (
        f'<rect class="{kind}" x="{x:.1f}" y="{y + 6}" width="{max(3.0, solid - x):.1f}" height="{ROW - 12}" rx="2">'
        f"<title>{escape(_tooltip(bar, ticks))}</title></rect>"
    )
    if not known:
        middle = y + ROW // 2
        yield f'<line class="{kind} open" x1="{solid:.1f}" y1="{middle}" x2="{end:.1f}" y2="{middle}"/>'


def _tooltip(bar: Bar, ticks: int) -> str:
    """All details of an operation; shown when the pointer is on its bar."""
    place = bar.place
    called = _when(place.called_clock, place.called_line, ticks)
    returned = _when(place.returned_clock, place.returned_line or 0, ticks)
    over = f"returned {returned} (line {place.returned_line})" if returned else "never returned"
    return f"{bar.text}; process {bar.operation.process}; called {called} (line {place.called_line}); {over}"


def _label(text: str, y: int, kind: str = "") -> str:
    text = visible(text)
    text = text if len(text) <= LONGEST_LABEL else f"{text[: LONGEST_LABEL - 1]}…"
    return f'<text x="8" y="{y + 16}" class="{kind}" clip-path="url(#labels)">{escape(text)}</text>'
