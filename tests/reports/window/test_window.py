"""The window around a violation: its content, its positions, and that it stays small and safe."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import msgspec
import pytest

from raft_chaos.invariants.checkers.linearizability import Linearizability
from raft_chaos.invariants.events import HARNESS, Event, FaultHealed, FaultInjected, NodeKilled, RoleChanged, Started
from raft_chaos.invariants.history import Op
from raft_chaos.invariants.linearizability.check import check
from raft_chaos.invariants.linearizability.readers.history_file import ReadHistory
from raft_chaos.invariants.linearizability.readers.jsonl import history_of
from raft_chaos.invariants.rundir import RunDir, RunInfo
from raft_chaos.invariants.verdict import Verdict, Violation
from raft_chaos.reports.window.axis import Axis
from raft_chaos.reports.window.content import MOST_CORE, MOST_NEAR, Span, Window, window
from raft_chaos.reports.window.of_run import core_of_run, read_history, window_of_run
from raft_chaos.reports.window.overlay import spans_of
from raft_chaos.reports.window.picture import html, svg
from raft_chaos.reports.window.timeline import timeline
from raft_chaos.reports.write import EARLIER_PICTURE, FILE_OF, render, write_reports
from report_builders import save

MS = 1_000


class Clients:
    """A history by hand: each call and return on a key, with its time in milliseconds."""

    def __init__(self) -> None:
        self.ops: list[Op] = []
        self._made = 0

    def op(self, f: Any, called: int, returned: int | None, value: Any = None, **more: Any) -> str:
        """One operation of a client of its own; `value` is what it writes, or returns."""
        self._made += 1
        name = f"c{self._made}/1"
        common = {"process": self._made, "client": f"c{self._made}", "op": name, "f": f, "key": "x"}
        written = {} if f == "get" else {"value": value}
        self.ops.append(Op(type="invoke", t_us=called * MS, **common, **written))  # type: ignore[arg-type]
        if returned is not None:
            told = {"value": value} if f == "get" else {}
            self.ops.append(Op(type="ok", t_us=returned * MS, **common, **told, **more))  # type: ignore[arg-type]
        return name

    def sorted(self) -> list[Op]:
        return sorted(self.ops, key=lambda op: op.t_us)

    def history(self) -> ReadHistory:
        return history_of("h", enumerate(self.sorted(), 1))


def shown(clients: Clients, spans: list[Span] | None = None) -> Window:
    history = clients.history()
    answer = check(history.operations, "kv")
    assert answer.verdict == "violated"
    return window(history, [o.number for o in answer.core], answer.key, answer.argument, spans or [])


def stale() -> Clients:
    clients = Clients()
    clients.op("put", 100, 110, "a")
    clients.op("put", 200, 230, "b")
    clients.op("get", 1000, 1010, "a")
    return clients


def test_the_core_is_drawn_as_text_in_real_order() -> None:
    spans = [
        Span("leader", "n1 leads in term 1", 0, 205 * MS),
        Span("fault", "f1 partition n1", 150 * MS, None),
        Span("fault", "f0 kill n2", 0, 50 * MS),
    ]
    assert timeline(shown(stale(), spans), 80) == [
        "operation                 from s      to s",
        "----------------------  --------  --------",
        'write c1/1 of "a"       0.100000  0.110000  |==|',
        'write c2/1 of "b"       0.200000  0.230000              |=====|',
        'read c3/1 returned "a"  1.000000  1.010000                                  |==|',
        "n1 leads in term 1                          --------------",
        "f1 partition n1                                    #############################",
    ]


def test_a_timeline_fits_its_width_as_far_as_it_can() -> None:
    clients = Clients()
    clients.op("put", 1, 2, "long" * 50)
    clients.op("get", 3, 4)
    for width in (60, 80, 200):
        assert max(map(len, timeline(shown(clients), width))) <= max(width, 66)
    assert timeline(shown(clients), 1)


def test_an_operation_that_may_still_happen_has_no_end() -> None:
    clients = Clients()
    clients.op("put", 1, None, "a")
    clients.op("get", 2, 3, "a")
    clients.op("get", 4, 5)
    history = clients.history()
    answer = check(history.operations, "kv")
    lines = timeline(window(history, range(3), "x", answer.argument), 80)
    assert [line[-1] for line in lines[2:5]] == [">", "|", "|"]
    assert "(outcome unknown)" in lines[2]


def test_a_history_without_a_clock_shows_its_line_numbers() -> None:
    history = msgspec.structs.replace(stale().history(), ticks=0)
    answer = check(history.operations, "kv")
    drawn = window(history, [o.number for o in answer.core], "x", answer.argument)
    assert timeline(drawn, 80)[0].split() == ["operation", "lines"]
    assert "there is no clock" in svg(drawn)


# ---- what is chosen ----


def crowded(others: int) -> Clients:
    """A stale read among many other operations on its key and on another one."""
    clients = Clients()
    clients.op("put", 1, 2, "long ago")
    for number in range(others):
        clients.op("put", 10 + number, 11 + number, f"v{number}")
        clients.op("get", 10 + number, 100_000 + number, f"v{number}")
    clients.op("get", others + 20, others + 21, "long ago")
    return clients


@pytest.mark.parametrize("others", [3, 40, 4000])
def test_a_window_never_grows_with_its_history(others: int) -> None:
    drawn = shown(crowded(others))
    assert len(drawn.core) <= 3 and len(drawn.bars) <= len(drawn.core) + MOST_NEAR
    assert len(svg(drawn)) < 12_000
    assert (drawn.left_out > 0) == (others > 10)


def test_the_writer_of_the_read_value_is_in_the_window_however_long_ago() -> None:
    clients = Clients()
    clients.op("put", 1, 2, "a")
    clients.op("put", 3, 4, "a")
    for number in range(50):
        clients.op("put", 10 + number, 11 + number, f"v{number}")
    clients.op("get", 100, 101, "a")
    drawn = shown(clients)
    first = drawn.bars[0].operation
    assert (first.label, drawn.bars[0].core) == ("c2/1", False), "the later one of the two that wrote it"


def test_the_first_operations_of_a_large_core_are_drawn() -> None:
    clients = Clients()
    for number in range(100):
        clients.op("put", number, number + 1, f"v{number}")
    drawn = window(clients.history(), range(100), "x", "because")
    assert (len(drawn.core), drawn.cut) == (MOST_CORE, 100 - MOST_CORE)
    assert f"Not drawn: {100 - MOST_CORE} operations of the core" in svg(drawn)


def test_only_faults_and_leaders_of_the_same_time_are_drawn() -> None:
    spans = [Span("fault", f"f{n}", n * 100 * MS, (n * 100 + 50) * MS) for n in range(20)]
    assert [span.label for span in shown(stale(), spans).spans] == [f"f{n}" for n in range(1, 11)]


# ---- where it is drawn ----


def test_on_the_axis_order_is_exact_and_long_gaps_are_short() -> None:
    drawn = shown(stale())
    axis = Axis(drawn.bars, 100.0)
    moments = sorted({m for bar in drawn.bars for m in (bar.operation.called, bar.operation.returned) if m is not None})
    places = [axis.at(moment) for moment in moments]
    assert places[0] == 0 and places[-1] == pytest.approx(100) and places == sorted(set(places))
    gaps = [after - before for before, after in pairwise(places)]
    assert gaps[3] == max(gaps) and gaps[3] < 6 * gaps[0], "770 ms beside 10 ms"
    assert axis.at(float("inf")) == 100


def test_times_of_the_clock_lie_between_their_neighbours() -> None:
    axis = Axis(shown(stale()).bars, 100.0)
    assert axis.at_clock(105 * MS) == pytest.approx(axis.at(2) / 2), "half way through the first operation"
    assert (axis.at_clock(0), axis.at_clock(10**12), axis.at_clock(None)) == (0, 100, 100)


# ---- the picture ----


def test_a_picture_is_complete_and_self_contained() -> None:
    clients = Clients()
    clients.op("put", 1, 2, "<script>alert('&')</script>\x1b[31m\u202e")
    clients.op("get", 3, 4)
    drawn = shown(clients, [Span("fault", "f1 <kill> & more", 1 * MS, None)])
    picture = svg(drawn)
    tree = ElementTree.fromstring(picture)
    assert tree.tag.endswith("svg") and "<script" not in picture and "\x1b" not in picture and "\u202e" not in picture
    assert "href" not in picture and picture.count("http") == 1, "the name of the language alone"
    page = html(drawn)
    assert page.startswith("<!doctype html>") and picture in page and 'Not linearizable on key "x"'[:8] in page


def test_everything_is_drawn_inside_the_picture() -> None:
    tree = ElementTree.fromstring(svg(shown(crowded(40), [Span("leader", "n1", 0, None)])))
    width, height = float(tree.attrib["width"]), float(tree.attrib["height"])
    for element in tree.iter():
        x, y = float(element.attrib.get("x", 0)), float(element.attrib.get("y", 0))
        assert x >= 0 and x + float(element.attrib.get("width", 0)) <= width
        assert y >= 0 and y + float(element.attrib.get("height", 0)) <= height


# ---- of a saved run ----


def event(kind: type[Event], node: str, t_ms: int, **more: Any) -> Event:
    return kind(node=node, inc=1, t_us=t_ms * MS, **more)


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    """Not linearizable: a write is lost. n1 leads, then is killed, then n2 leads."""
    clients = stale()
    checker = Linearizability()
    for op in clients.sorted():
        checker.observe_op(op)
    verdict = checker.verdict()
    assert verdict.outcome == "violated"
    return save(
        tmp_path / "run",
        RunInfo(seed=1, state="finished", nodes=["n1", "n2"], verdict="violated", invariants=[verdict]),
        harness=[
            event(FaultInjected, HARNESS, 210, fault="f1", type="kill", targets=["n1"], leader="n1", detail=""),
            event(NodeKilled, HARNESS, 212, subject="n1", subject_inc=1),
            event(FaultHealed, HARNESS, 400, fault="f1", type="kill", effective=True, effect="", moot=""),
        ],
        nodes=[
            event(Started, "n1", 1, term=0, voted_for=None, last_index=0, digest=""),
            event(RoleChanged, "n1", 50, role="leader", term=1, leader="n1"),
            event(RoleChanged, "n2", 300, role="leader", term=2, leader="n2"),
            event(RoleChanged, "n2", 900, role="follower", term=3, leader=None),
        ],
        ops=clients.sorted(),
    )


def test_a_run_s_leaders_and_faults_are_known(run: RunDir) -> None:
    assert spans_of(run) == [
        Span("fault", "f1 kill n1", 210 * MS, 400 * MS),
        Span("leader", "n1 leads in term 1", 50 * MS, 212 * MS),
        Span("leader", "n2 leads in term 2", 300 * MS, 900 * MS),
    ]


def test_a_report_shows_the_violation_over_time(run: RunDir) -> None:
    text = render(run, "text").splitlines()
    at = next(number for number, line in enumerate(text) if line.startswith("   operation"))
    assert [line.split("  ")[1].strip() for line in text[at + 2 : at + 8]] == [
        'write c1/1 of "a"',
        'write c2/1 of "b"',
        'read c3/1 returned "a"',
        "n1 leads in term 1",
        "n2 leads in term 2",
        "f1 kill n1",
    ]
    assert 'write c1/1 of "a"' in render(run, "markdown")


def test_its_picture_is_in_the_page(run: RunDir) -> None:
    write_reports(run)
    picture = (run.path / FILE_OF["html"]).read_text(encoding="utf-8")
    assert "n2 leads in term 2" in picture and "f1 kill n1" in picture and "contradiction" in picture
    table = picture[picture.index("The same operations as a table") :]
    assert "write c1/1 of &#34;a&#34;" in table and table.count(">core<") == 3


def _window_of(run: RunDir, verdicts: list[Verdict]) -> Window | None:
    history = read_history(run, run.operations())
    return window_of_run(run, history, core_of_run(history, verdicts), verdicts)


def test_without_a_violation_there_is_no_window(run: RunDir) -> None:
    assert _window_of(run, []) is None
    info = run.load_info()
    run.history.write_bytes(b"")
    assert _window_of(run, info.invariants) is None, "its history does not have what the verdict names"


@pytest.mark.parametrize(
    "witness",
    [
        [{"type": "invoke"}],
        [{"type": "invoke", "op": ["c1/1"], "process": {}}],
        [{"type": "invoke", "op": "c1/1", "process": 1}, {"type": "invoke", "op": "gone", "process": 1}],
        ["text", 5, None],
    ],
)
def test_a_witness_that_somebody_edited_has_no_window(run: RunDir, witness: list[Any]) -> None:
    found = Violation("linearizability", "x: because", "rule", tuple(witness))
    assert _window_of(run, [Verdict("linearizability", "violated", 1, "", (found,), 1)]) is None


def test_a_new_report_removes_the_picture_of_an_earlier_version(run: RunDir) -> None:
    (run.path / EARLIER_PICTURE).write_text("outdated", encoding="utf-8")
    write_reports(run)
    assert not (run.path / EARLIER_PICTURE).exists()


def test_names_and_values_of_any_length_are_shortened() -> None:
    clients = Clients()
    clients.op("put", 1, 2, "v" * 100_000)
    clients.op("get", 3, 4)
    clients.ops = [msgspec.structs.replace(op, op=op.op * 50_000) for op in clients.ops]
    drawn = shown(clients)
    assert len(svg(drawn)) < 12_000 and len(drawn.argument) < 1_000


def test_operations_that_the_argument_names_count_towards_the_limit() -> None:
    clients = Clients()
    names = [clients.op("put", number, number, f"v{number}") for number in range(40)]
    clients.op("get", 100, 101, "v0")
    drawn = window(clients.history(), [40], "x", ", ".join(f"write {name}" for name in names))
    assert len(drawn.bars) == 1 + MOST_NEAR


def test_a_prefix_of_a_name_is_another_name() -> None:
    clients = Clients()
    for number in range(12):
        clients.op("put", number * 10, number * 10 + 1, f"v{number}")
    drawn = window(clients.history(), [11], "x", "because of write c10/1")
    assert [bar.operation.label for bar in drawn.bars] == ["c10/1", "c12/1"]
