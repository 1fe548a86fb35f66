"""The trace for ui.perfetto.dev: read as a viewer reads it, so that what the viewer would drop fails here."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from raft_chaos.api import run
from raft_chaos.invariants.events import FaultInjected, MessageReceived, MessageSent, NodeKilled
from raft_chaos.invariants.rundir import RunDir
from raft_chaos.reports.formats.perfetto import perfetto
from raft_chaos.reports.formats.trace_events import Lanes, Trace
from raft_chaos.reports.write import render, render_campaign

KEYS = {
    "M": {"ph", "name", "pid", "tid", "args"},
    "X": {"ph", "name", "cat", "pid", "tid", "ts", "dur", "args"},
    "i": {"ph", "name", "cat", "pid", "tid", "ts", "s", "args"},
    "s": {"ph", "name", "cat", "pid", "tid", "ts", "id"},
    "f": {"ph", "name", "cat", "pid", "tid", "ts", "id", "bp"},
    "C": {"ph", "name", "pid", "ts", "args"},
}
"""The fields of each phase of the format."""


@dataclass
class Viewed:
    """What a viewer shows: slices by track, and for each flow the slices at its two ends."""

    tracks: dict[tuple[str, str], list[dict[str, Any]]] = field(default_factory=dict)
    flows: list[tuple[dict[str, Any], dict[str, Any]]] = field(default_factory=list)
    instants: list[dict[str, Any]] = field(default_factory=list)
    counters: Counter[str] = field(default_factory=Counter)

    def of(self, process: str, track: str) -> list[dict[str, Any]]:
        return [one for (p, t), slices in self.tracks.items() if p == process and t == track for one in slices]


def view(text: str) -> Viewed:
    """Reads the trace as the viewer does: in the order of time, and of the file within the same time."""
    viewed, names, tracks = Viewed(), {}, {}
    open_: dict[tuple[int, int], list[dict[str, Any]]] = {}
    begun: dict[int, dict[str, Any]] = {}
    events = json.loads(text)["traceEvents"]
    for event in events:
        assert set(event) == KEYS[event["ph"]]
        if event["name"] == "process_name":
            names[event["pid"]] = event["args"]["name"]
        elif event["name"] == "thread_name":
            tracks[event["pid"], event["tid"]] = event["args"]["name"]
    for event in sorted((one for one in events if one["ph"] != "M"), key=lambda one: one["ts"]):
        if event["ph"] == "C":
            viewed.counters[names[event["pid"]]] += 1
            continue
        place = event["pid"], event["tid"]
        stack = open_.setdefault(place, [])
        while stack and stack[-1]["ts"] + stack[-1]["dur"] <= event["ts"]:
            stack.pop()
        match event["ph"]:
            case "X":
                assert event["dur"] > 0
                assert not stack or event["ts"] + event["dur"] <= stack[-1]["ts"] + stack[-1]["dur"], "it does not nest"
                stack.append(event)
                viewed.tracks.setdefault((names[event["pid"]], tracks[place]), []).append(event)
            case "s":
                assert event["id"] not in begun
                begun[event["id"]] = stack[-1]
            case "f":
                viewed.flows.append((begun.pop(event["id"]), stack[-1]))
            case "i":
                viewed.instants.append(event)
    assert not begun, "an arrow ends nowhere"
    return viewed


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    out = tmp_path_factory.mktemp("runs")
    done = run(seed=5, world="sim", nodes=3, duration=4, rate=30, mutant="vote_not_persisted", out=out)
    return RunDir(done.path)


@pytest.fixture(scope="module")
def viewed(saved: RunDir) -> Viewed:
    return view(perfetto(saved))


def node_events(saved: RunDir) -> Iterator[Any]:
    for stream in saved.node_streams():
        yield from stream


def test_every_message_that_arrived_is_an_arrow_between_its_slices(saved: RunDir, viewed: Viewed) -> None:
    arrived = [event for event in node_events(saved) if isinstance(event, MessageReceived)]
    sent = [event for event in node_events(saved) if isinstance(event, MessageSent)]
    assert len(viewed.flows) == len(arrived) > 100
    for start, end in viewed.flows:
        kind, _, _ = start["name"].partition(" to ")
        assert end["name"].startswith(f"{kind} from n") and start["args"]["number"] == end["args"]["number"]
        assert end["args"].get("under way us", 0) == end["ts"] - start["ts"]
    slices = [one for name in ("n1", "n2", "n3") for one in viewed.of(name, "messages")]
    assert Counter(one["cat"] for one in slices) == {"sent": len(sent), "received": len(arrived)}
    lost = {(e.node, e.inc, e.number) for e in sent} - {(e.sender, e.sender_inc, e.number) for e in arrived}
    assert sum(one["name"].endswith(", never received") for one in slices) == len(lost) > 0


def test_roles_and_kills_and_faults_have_their_tracks(saved: RunDir, viewed: Viewed) -> None:
    roles = [one for name in ("n1", "n2", "n3") for one in viewed.of(name, "role")]
    assert {one["cat"] for one in roles} == {"follower", "candidate", "leader"}
    assert all(one["name"] == f"{one['cat']}, term {one['args']['term']}" for one in roles)
    down = [one for name in ("n1", "n2", "n3") for one in viewed.of(name, "process")]
    harness = saved.harness_events()
    kills = [event for event in harness if isinstance(event, NodeKilled)]
    assert [one["ts"] for one in sorted(down, key=lambda one: one["ts"]) if "killed" in one["name"]] == [
        event.t_us for event in kills
    ]
    faults = [one for (_, track), slices in viewed.tracks.items() if track == "faults" for one in slices]
    assert {one["args"]["id"] for one in faults} == {e.fault for e in harness if isinstance(e, FaultInjected)}
    assert viewed.counters["n1"] > 10


def test_operations_are_slices_of_their_client(saved: RunDir, viewed: Viewed) -> None:
    invoked = [op for op in saved.operations() if op.type == "invoke"]
    ends = Counter(op.type for op in saved.operations() if op.type != "invoke")
    shown = [one for (process, _), slices in viewed.tracks.items() if process == "clients" for one in slices]
    assert len(shown) == len(invoked)
    assert Counter(one["cat"] for one in shown) == ends
    assert all(one["name"].endswith(one["cat"]) for one in shown if one["cat"] != "ok")


def test_violations_are_drawn_through_everything(saved: RunDir, viewed: Viewed) -> None:
    found = [one for one in viewed.instants if one["cat"] == "violation"]
    assert {one["name"] for one in found} == {"violated: one_vote_per_term"} and {one["s"] for one in found} == {"g"}
    assert "started" in found[0]["args"]["witness"] and found[0]["ts"] > 0


def test_an_empty_and_an_interrupted_run_have_a_trace(interrupted: RunDir, tmp_path: Path) -> None:
    assert view(perfetto(interrupted)).tracks
    interrupted.harness.unlink()
    interrupted.history.unlink()
    for files in interrupted.event_files().values():
        for _, file in files:
            file.unlink()
    assert not view(perfetto(interrupted)).tracks


def test_overlapping_slices_get_tracks_of_their_own() -> None:
    trace = Trace()
    lanes = Lanes(trace.process("p"), "faults")
    for number, (from_us, until_us) in enumerate([(0, 10), (5, 7), (6, 20), (7, 8), (10, 12)]):
        lanes.slice(f"f{number}", "fault", from_us, until_us)
    slices = {event["name"]: event["tid"] for event in trace.events if event["ph"] == "X"}
    assert slices == {"f0": 1, "f1": 2, "f2": 3, "f3": 2, "f4": 1}
    view(trace.encoded({}))


def test_it_is_a_format_of_report(saved: RunDir) -> None:
    document = json.loads(render(saved, "perfetto"))
    assert document["otherData"]["seed"] == 5 and document["otherData"]["repro"].startswith("raft-chaos run --seed 5")
    assert not (saved.path / "trace.json").exists()
    with pytest.raises(ValueError, match="a trace is of one run"):
        render_campaign([], "perfetto")
