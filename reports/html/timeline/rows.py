"""The data of the picture, as plain rows: times in seconds, latencies in milliseconds, texts that are safe to show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from raft_chaos.reports.facts.elections import ElectionRow
from raft_chaos.reports.facts.faults import FaultRow
from raft_chaos.reports.facts.moments import Moment
from raft_chaos.reports.facts.timeline import Timeline
from raft_chaos.reports.text import US_PER_MS, US_PER_S, visible

Rows = list[dict[str, Any]]

MOST_FAULTS = 600
MOST_FAULT_ROWS = 8
MOST_ELECTIONS = 400
LONGEST_TEXT = 200
LABELS = 5
"""Violations that are closer than this part of the run share a label."""


def phase_rows(timeline: Timeline) -> Rows:
    return [{"s": _s(span.begin_us), "e": _s(span.end_us), "phase": span.phase} for span in timeline.phases]


def fault_bands(faults: Sequence[FaultRow], end_us: int) -> Rows:
    """The faults that fired, each in the first row that is free, and the last row if none is. Of very many faults only
    the longest are shown."""
    fired = [(row, row.injected_us, row.healed_us or end_us) for row in faults if row.injected_us is not None]
    longest = sorted(fired, key=lambda one: one[1] - one[2])[:MOST_FAULTS]
    free_from_us = [0] * MOST_FAULT_ROWS
    bands = []
    for row, begin_us, until_us in sorted(longest, key=lambda one: (one[1], one[0].id)):
        free = next((n for n, free_us in enumerate(free_from_us) if free_us <= begin_us), None)
        place = MOST_FAULT_ROWS - 1 if free is None else free
        free_from_us[place] = max(free_from_us[place], until_us)
        bands.append(
            {
                "s": _s(begin_us),
                "e": _s(until_us),
                "row": place,
                "shared": free is None,
                "id": _text(row.id),
                "kind": _text(row.kind),
                "on": _text(" ".join(f"{node}*" if node == row.leader else node for node in row.targets)),
                "seen": _text(row.seen),
                "effect": "moot" if row.moot else {True: "yes", False: "no", None: "not known"}[row.effective],
            }
        )
    return bands


def lane_rows(timeline: Timeline) -> Rows:
    """The spans of all nodes; pauses are rows of their own."""
    return [
        {
            "n": visible(lane.node),
            "state": span.state,
            "s": _s(span.begin_us),
            "e": _s(span.end_us),
            **({"term": span.term} if span.term is not None else {}),
            **({"merged": span.merged} if span.merged > 1 else {}),
        }
        for lane in timeline.lanes
        for span in [*lane.spans, *lane.paused]
    ]


def election_marks(elections: Sequence[ElectionRow]) -> Rows:
    """Of very many terms, those with a leader first."""
    shown = sorted(elections, key=lambda row: not row.leaders)[:MOST_ELECTIONS]
    return [
        {
            "t": _s(row.at_us),
            "term": row.term,
            "won": len(row.leaders),
            "leader": _text(" and ".join(row.leaders) or "none"),
            "stood": _text(" ".join(row.candidates)),
            "votes": _text(" ".join(f"{candidate}:{number}" for candidate, number in row.votes.items())),
            "took": None if row.took_us is None else row.took_us / US_PER_MS,
        }
        for row in sorted(shown, key=lambda row: row.at_us)
    ]


def commit_points(timeline: Timeline) -> Rows:
    return [{"n": visible(c.node), "inc": c.inc, "t": _s(c.t_us), "index": c.index} for c in timeline.commits]


def log_rows(timeline: Timeline) -> Rows:
    """Drawn by the page's script, beside a pinned moment."""
    return [
        {"n": visible(state.node), "t": _s(state.t_us), "last": state.last, "terms": state.terms}
        for state in timeline.logs
    ]


def op_points(timeline: Timeline) -> Rows:
    """`ms` is at least a microsecond, since its axis is logarithmic; `r` is the rank."""
    return [
        {
            "t": _s(point.t_us),
            "ms": max(1, point.took_us) / US_PER_MS,
            "end": point.end,
            "f": point.f,
            "key": _text(point.key),
            "op": _text(point.op),
            "r": round(point.rank, 5),
        }
        for point in timeline.service.points
    ]


def slice_rows(timeline: Timeline) -> Rows:
    """Rates are per second; `share` is the part of what waited that was served; none if nothing waited."""
    rows: Rows = []
    for one in timeline.service.slices:
        length_s = (one.end_us - one.begin_us) / US_PER_S or 1.0
        rows.append(
            {
                "s": _s(one.begin_us),
                "e": _s(one.end_us),
                "m": _s((one.begin_us + one.end_us) // 2),
                "ok": round(one.ok / length_s, 3),
                "fail": round(one.fail / length_s, 3),
                "unknown": round(one.unknown / length_s, 3),
                "waited": one.waited,
                "served": one.ok,
                "share": one.ok / one.waited if one.waited else None,
                "p50": None if one.p50_us is None else max(1, one.p50_us) / US_PER_MS,
                "p99": None if one.p99_us is None else max(1, one.p99_us) / US_PER_MS,
            }
        )
    return rows


def moment_rows(timeline: Timeline) -> Rows:
    """Only the first violation of each invariant. Of those close together, the first has the `label` of all."""
    firsts: dict[str, Moment] = {}
    for one in timeline.moments:
        firsts.setdefault(one.invariant, one)
    found: Rows = []
    labelled: dict[str, Any] | None = None
    for one in firsts.values():
        row = {"t": _s(one.t_us), "from": _s(one.from_us), "invariant": one.invariant, "message": _text(one.message)}
        if labelled is not None and one.t_us - round(labelled["t"] * US_PER_S) < timeline.end_us / LABELS:
            labelled["more"] += 1
            labelled["label"] = f"{labelled['invariant']} and {labelled['more']} more"
            row["label"] = ""
        else:
            labelled = row
            row |= {"label": one.invariant, "more": 0}
        found.append(row)
    return found


def _s(t_us: int) -> float:
    return t_us / US_PER_S


def _text(text: str) -> str:
    text = visible(text)
    return text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 1]}…"
