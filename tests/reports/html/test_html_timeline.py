"""The picture of a run over time: what stands in its specification, and that it is bounded."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from raft_chaos.reports.facts.elections import ElectionRow
from raft_chaos.reports.facts.faults import FaultRow
from raft_chaos.reports.facts.moments import Moment
from raft_chaos.reports.html.palette import DARK, LIGHT
from raft_chaos.reports.html.timeline import rows
from raft_chaos.reports.html.timeline.spec import timeline_spec
from raft_chaos.reports.html.timeline.tracks import decades
from raft_chaos.reports.run.model import RunReport

S = 1_000_000


def titles(spec: dict[str, Any]) -> list[str]:
    """The titles of its tracks, from top to bottom."""
    found = []
    for mark in spec["marks"]:
        first = mark.get("marks", [{}])[0]
        text = first.get("encode", {}).get("update", {}).get("text", {})
        if first.get("type") == "text" and "value" in text:
            found.append(text["value"])
    return found


def data(spec: dict[str, Any], name: str) -> list[dict[str, Any]]:
    values: list[dict[str, Any]] = next(one for one in spec["data"] if one["name"] == name)["values"]
    return values


def test_it_has_a_track_for_everything_that_was_recorded(report: RunReport) -> None:
    spec = timeline_spec(report)
    assert [title.split()[0].rstrip(":") for title in titles(spec)] == [
        "Faults",
        "Elections",
        "Nodes",
        "Commit",
        "Latency",
        "Operations",
        "Availability",
    ]
    assert {row["n"] for row in data(spec, "lanes")} == {"n1", "n2", "n3", "n4", "n5"}
    assert [row["id"] for row in data(spec, "faults")] == [
        row.id for row in report.faults if row.injected_us is not None
    ]
    assert data(spec, "moments")[0]["invariant"] == "election_safety"
    assert "election_safety violated at 8.591 seconds" in spec["description"]
    msgspec.json.encode(spec)


def test_what_was_not_recorded_has_no_track(report: RunReport) -> None:
    bare = msgspec.structs.replace(
        report,
        faults=[],
        elections=[],
        timeline=msgspec.structs.replace(
            report.timeline, commits=[], service=msgspec.structs.replace(report.timeline.service, points=[])
        ),
    )
    assert titles(timeline_spec(bare)) == ["Nodes"]


def test_every_colour_that_it_names_is_in_both_palettes(report: RunReport) -> None:
    import re

    named = set(re.findall(r"\bc\.([a-z]+)", msgspec.json.encode(timeline_spec(report)).decode()))
    assert named and named <= set(LIGHT) and LIGHT.keys() == DARK.keys()


def fault(number: int, begin_us: int, end_us: int | None) -> FaultRow:
    return FaultRow(id=f"f{number}", kind="kill", targets=["n1"], injected_us=begin_us, healed_us=end_us)


def test_faults_stand_in_rows_without_overlaps_as_long_as_there_are_rows() -> None:
    bands = rows.fault_bands([fault(1, 0, 4 * S), fault(2, 1 * S, 2 * S), fault(3, 2 * S, None)], 9 * S)
    assert [(band["id"], band["row"], band["s"], band["e"]) for band in bands] == [
        ("f1", 0, 0, 4),
        ("f2", 1, 1, 2),
        ("f3", 1, 2, 9),
    ]


def test_faults_and_elections_are_bounded() -> None:
    bands = rows.fault_bands([fault(n, n * 1_000, n * 1_000 + n) for n in range(2_000)], 9 * S)
    assert len(bands) == rows.MOST_FAULTS and bands[-1]["id"] == "f1999", "the longest stay"
    many = [fault(n, 0, S) for n in range(20)]
    assert max(band["row"] for band in rows.fault_bands(many, S)) == rows.MOST_FAULT_ROWS - 1
    terms = [
        ElectionRow(term=n, candidates=["n1"], votes={}, leaders=["n1"] if n % 10 == 0 else [], at_us=n, took_us=None)
        for n in range(1_000)
    ]
    marks = rows.election_marks(terms)
    assert len(marks) == rows.MOST_ELECTIONS and sum(mark["won"] for mark in marks) == 100


@pytest.mark.parametrize(
    ("low", "high", "values"),
    [(0.8, 2_500, [1, 10, 100, 1000]), (2, 30, [2, 5, 10, 20]), (0.001, 0.001 * 1.5, [0.001])],
)
def test_the_axis_of_latencies_has_round_numbers(low: float, high: float, values: list[float]) -> None:
    assert decades(low, high) == pytest.approx(values)


def test_violations_at_nearly_one_time_share_a_label(report: RunReport) -> None:
    def moment(invariant: str, t_us: int) -> Moment:
        return Moment(invariant=invariant, message="", from_us=t_us, t_us=t_us)

    found = [moment("a", 10), moment("b", 11), moment("b", 12), moment("c", 13), moment("d", 90)]
    timeline = msgspec.structs.replace(report.timeline, end_us=100, moments=found)
    assert [(row["invariant"], row["label"]) for row in rows.moment_rows(timeline)] == [
        ("a", "a and 2 more"),
        ("b", ""),
        ("c", ""),
        ("d", "d"),
    ]
