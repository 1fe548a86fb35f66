"""The core as text: one line per operation, with a bar from its call to its return.

operation                  from s      to s
-----------------------  --------  --------
write c0/17 of "a"       2.113204  2.118399  |=====|
read c1/4 returned null  2.140011  2.151208               |======|
n1 leads in term 3                           ----------
n2 leads in term 4                                   -------------
f3 partition n1                                 ##################

A bar that ends in > has no end: the operation may take effect at any later time, or never.
"""

from __future__ import annotations

from raft_chaos.reports.text import visible
from raft_chaos.reports.window.axis import Axis
from raft_chaos.reports.window.content import Bar, Span, Window, during

LONGEST_TEXT, SHORTEST_TEXT = 60, 24
NARROWEST_BARS = 20
MOST_OF_A_KIND = 4
"""The number of leaders, and of faults, that get a line."""


def timeline(window: Window, width: int = 80, *, by_line: bool = False) -> list[str]:
    """The lines. `by_line`: they show the operations' lines in the file, not their times."""
    core = window.core
    spans = during(window.spans, window.clocks(core=True), MOST_OF_A_KIND)
    texts = [bar.text for bar in core] + [visible(span.label) for span in spans]
    header, times = _times(window, core, by_line)
    columns = [max(map(len, column)) for column in zip(header, *times, strict=True)]
    beside = sum(columns) + 2 * len(columns)
    room = max(SHORTEST_TEXT, min(LONGEST_TEXT, width - beside - NARROWEST_BARS - 2))
    texts = [_shortened(text, room) for text in texts]
    title = "operation" if all(bar.operation.label for bar in core) else "process: operation"
    first = max(len(title), *map(len, texts))
    axis = Axis(core, max(NARROWEST_BARS, width - first - beside - 2) - 1)
    drawn = [_bar(bar, axis) for bar in core] + [_span(span, axis) for span in spans]
    times += [["" for _ in header]] * len(spans)
    rows = [[title, *header], ["-" * first, *("-" * c for c in columns)]]
    rows += [[text, *cells] for text, cells in zip(texts, times, strict=True)]
    lines = [_aligned(row, [first, *columns]) for row in rows]
    return [f"{line}  {bar}".rstrip() for line, bar in zip(lines, ["", "", *drawn], strict=True)]


def _times(window: Window, core: list[Bar], by_line: bool) -> tuple[list[str], list[list[str]]]:
    """The headers of the columns beside the text, and their cells."""
    places = [bar.place for bar in core]
    if by_line or not window.ticks:
        return ["lines"], [[f"{p.called_line}-{p.returned_line or ''}"] for p in places]
    return ["from s", "to s"], [
        [_seconds(p.called_clock, window.ticks), _seconds(p.returned_clock, window.ticks)] for p in places
    ]


def _seconds(clock: int | None, ticks: int) -> str:
    return "" if clock is None else f"{clock / ticks:.6f}"


def _shortened(text: str, room: int) -> str:
    if len(text) <= room:
        return text
    kept = room - 2
    return f"{text[: kept * 2 // 3]}..{text[len(text) - (kept - kept * 2 // 3) :]}"


def _aligned(row: list[str], columns: list[int]) -> str:
    """Aligns the text left and the other columns right."""
    return "  ".join([row[0].ljust(columns[0]), *(cell.rjust(c) for cell, c in zip(row[1:], columns[1:], strict=True))])


def _bar(bar: Bar, axis: Axis) -> str:
    begin, end = round(axis.at(bar.operation.called)), round(axis.at(bar.ends))
    last = ">" if bar.ends == float("inf") else "|"
    if end == begin:
        return " " * begin + last
    return f"{' ' * begin}|{'=' * (end - begin - 1)}{last}"


def _span(span: Span, axis: Axis) -> str:
    begin, end = round(axis.at_clock(span.begin)), round(axis.at_clock(span.end))
    return " " * begin + ("-" if span.kind == "leader" else "#") * (end - begin + 1)
