"""The picture of a diagram: every mark has its data, and the plotting library draws it."""

from __future__ import annotations

import re
from itertools import pairwise

import msgspec
import pytest

from raft_chaos.reports.html.explain import explain_html, explain_picture
from raft_chaos.reports.html.palette import LIGHT
from raft_chaos.reports.html.spacetime import NO_EVENTS, left_out, spacetime_part
from raft_chaos.reports.spacetime.diagram import Diagram, NodeState
from raft_chaos.reports.spacetime.of_run import diagram_of_run
from raft_chaos.reports.spacetime.shapes import Shapes, cells, log_window
from raft_chaos.reports.spacetime.vega import spec
from raft_chaos.reports.story.story import tell, text
from report_builders import Trace


def trace_of_two_leaders() -> Trace:
    trace = Trace("n1", "n2", "n3")
    trace.starts("n1", "n2", "n3")
    trace.wins("n1", 1, "n2")
    trace.appends("n1", 1, 1)
    trace.dies("n2", term=1)
    trace.send("n3", "n1", "rv")
    trace.wins("n3", 1, "n2")
    return trace


@pytest.fixture(scope="module")
def trace() -> Trace:
    return trace_of_two_leaders()


@pytest.fixture(scope="module")
def diagram(trace: Trace) -> Diagram:
    made = diagram_of_run(trace.items, tell(trace.items, trace.violation("election_safety")))
    assert made is not None
    return made


def test_rows_go_down_in_order_and_the_axis_never_goes_back(diagram: Diagram) -> None:
    rows = Shapes(diagram).rows()
    heights = [one["y"] for one in rows]
    assert heights == sorted(set(heights))
    times = [float(one["time"]) for one in rows if one["time"]]
    assert times == sorted(set(times)) and times


def test_a_lost_message_ends_on_its_way(diagram: Diagram) -> None:
    lost = next(one for one in Shapes(diagram).arrows() if one["fate"] == "lost")
    assert (lost["x1"], lost["whole"]) == (2.0, 0)  # from n3, to the left, not as far as n1
    assert 0 < lost["x2"] < 2
    assert lost["hover"]["what"] == "never arrives"


def test_a_life_is_cut_where_its_state_changes(diagram: Diagram) -> None:
    shapes = Shapes(diagram)
    lives = [one for one in shapes.lives() if one["x"] == 1]  # n2: it votes, is killed, and starts again
    assert [one["state"] for one in lives] == ["down", "follower", "down", "follower"]
    assert all(one["y2"] == other["y1"] for one, other in pairwise(lives))
    assert lives[-1]["y2"] == shapes.height


def test_every_mark_draws_data_that_exists(diagram: Diagram) -> None:
    made = spec(diagram, LIGHT, with_logs=True)
    names = {one["name"] for one in made["data"]}
    for mark in made["marks"]:
        if mark["type"] != "group":
            assert mark["from"]["data"] in names
    signals = [one["name"] for one in made["signals"]]
    assert len(signals) == len(set(signals)) and {"c", "W", "at", "mask"} <= set(signals)
    masks = next(one["value"] for one in made["signals"] if one["name"] == "masks")
    assert {len(mask) for mask in masks} == {len(diagram.rows)}
    assert len(masks) == len(diagram.rows) + 1


def test_the_legend_names_what_is_there_and_nothing_else(diagram: Diagram) -> None:
    legend = next(one["values"] for one in spec(diagram, LIGHT)["data"] if one["name"] == "legend")
    said = [one["text"] for one in legend]
    assert {"elected; its term", "votes", "crashes or exits", "message that never arrives"} <= set(said)
    assert not {"truncates its log", "is paused or resumed", "message that is late"} & set(said)


def test_the_logs_are_shown_at_their_ends() -> None:
    states = {"n1": NodeState("up", "leader", 3, None, 18, ((1, 15), (3, 5))), "n2": NodeState(log=((1, 2),))}
    window = log_window(states)
    assert (window.start, window.stop - 1, len(window)) == (7, 20, 14)
    assert cells(states["n1"], window)[-3:] == [(18, 3, True), (19, 3, False), (20, 3, False)]
    assert cells(states["n2"], window) == []


@pytest.mark.slow  # it loads the plotting library
def test_the_image_is_complete_and_says_what_it_shows(trace: Trace, diagram: Diagram) -> None:
    violation = trace.violation("election_safety")
    image = explain_picture(diagram, violation)
    assert image.startswith("<svg") and image.rstrip().endswith("</svg>")
    for said in (
        "n1",
        "n3",
        "RequestVoteReply",
        "never arrives",
        "term 1 has two leaders",
        "Election Safety",
        "The logs",
    ):
        assert said in image, said
    assert not re.search(r'(href|src)="(?!#)', image)
    assert LIGHT["leader"] in image


def test_the_page_has_the_diagram_its_steps_and_the_story(
    trace: Trace, diagram: Diagram, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raft_chaos.reports.html.page.library", lambda: "bGlicmFyeQ==")
    violation = trace.violation("election_safety")
    story = text(tell(trace.items, violation))
    made = explain_html(diagram, violation, story, "run <b>x</b>", [("Next", "raft-chaos shrink x")])
    for said in ("class Spacetime", 'class="spec"', 'class="steps"', "aria-live", "RequestVoteReply", "run &lt;b&gt;"):
        assert said in made, said
    assert "<b>x</b>" not in made
    part = spacetime_part(diagram)
    assert [one["number"] for one in part.steps["rows"]] == [row.number for row in diagram.rows]
    assert "3 nodes" in part.label and "leader in term 1" in part.label


def test_a_page_without_a_diagram_says_why(trace: Trace) -> None:
    made = explain_html(None, trace.violation("election_safety"), ["line"], "run x", [])
    assert NO_EVENTS in made and "class Spacetime" not in made


def test_what_is_left_out_is_said(diagram: Diagram) -> None:
    assert left_out(diagram).startswith(f"All {diagram.turns} turns")
    longer = msgspec.structs.replace(diagram, turns=4_000)
    assert left_out(longer).startswith(f"{len(diagram.rows)} of the 4000 turns")
