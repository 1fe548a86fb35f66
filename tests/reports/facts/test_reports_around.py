"""What was around a violation of a system whose nodes report no events: clients, faults, leaders, and log lines."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

import report_builders as sample
from raft_chaos.invariants.events import HARNESS, FaultHealed, FaultInjected, LeaderObserved, NodeExited
from raft_chaos.invariants.history import Op
from raft_chaos.invariants.rundir import RunDir
from raft_chaos.invariants.verdict import Verdict, Violation
from raft_chaos.reports.facts.around import around_in, around_lines
from raft_chaos.reports.facts.log_lines import MOST_LINES, line_time, log_lines
from raft_chaos.reports.formats.json import run_document
from raft_chaos.reports.run.model import build
from raft_chaos.reports.run.pages import AROUND, markdown_page, text_page

NOON = datetime(2025, 3, 1, 12, tzinfo=UTC)
S = 1_000_000


def op(kind: str, name: str, t_s: float, f: str = "get", key: str = "k", value: str | None = None) -> Op:
    fields = {"type": kind, "process": 0, "client": name.split("/")[0], "op": name, "f": f, "key": key}
    return msgspec.convert({**fields, "t_us": round(t_s * S), "value": value}, Op)


WITNESS = (op("invoke", "c0/9", 5.0, "put", value="b"), op("ok", "r-n2/9", 6.0, value="a"))


def a_run(folder: Path, *more: Op, witness: tuple[object, ...] = WITNESS, reports_events: bool = False) -> RunDir:
    """A stale read of the node n2 at 6 s. f1 was over by then, f2 was not; n3 led, then n1."""
    wrong = Violation("acknowledged_writes", "a stale read", "a rule", witness)
    info = sample.info(
        verdict="violated",
        target="shelf",
        reports_events=reports_events,
        invariants=[Verdict("acknowledged_writes", "violated", 9, "", (wrong,), 1)],
    )
    at = {"node": HARNESS, "inc": 1}
    harness = [
        LeaderObserved(**at, t_us=1 * S, subject="n4", subject_inc=1),
        FaultInjected(**at, t_us=1 * S, fault="f1", type="kill", targets=("n4",), leader="n4"),
        LeaderObserved(**at, t_us=2 * S, subject="n3", subject_inc=1, term=2),
        FaultHealed(**at, t_us=2 * S, fault="f1", type="kill", effective=True, effect="killed n4"),
        FaultInjected(**at, t_us=4 * S, fault="f2", type="partition", targets=("n2", "n3"), leader="n3"),
        LeaderObserved(**at, t_us=5_500_000, subject="n1", subject_inc=1, term=3),
        FaultHealed(**at, t_us=7 * S, fault="f2", type="partition", effective=True, effect="9 frames held back"),
        FaultInjected(**at, t_us=8 * S, fault="f3", type="kill", targets=("n5",)),
    ]
    ops = sorted([*WITNESS, *more], key=lambda one: one.t_us)
    schedule = [{"kind": "op", "id": "r-n2/9", "client": "r-n2", "at_us": 0, "f": "get", "key": "k", "node": "n2"}]
    return sample.save(folder / "run", info, harness=harness, ops=ops, schedule=schedule)


def violation_of(run: RunDir) -> Violation:
    return run.load_info().invariants[0].violations[0]


def shown(run: RunDir, *, between: bool = True) -> list[str]:
    found = around_in(run, violation_of(run))
    assert found is not None
    return around_lines(found, 100, between=between)


def write_log(run: RunDir, node: str, *lines: str) -> None:
    run.node(node).mkdir(parents=True, exist_ok=True)
    (run.node(node) / "stderr.log").write_text("".join(f"{line}\n" for line in lines))


# ---- clients, faults, leaders ------------------------------------------------------------------------------------


def test_operations_of_the_key_before_and_after_are_shown(tmp_path: Path) -> None:
    others = [op("ok", f"c1/{number}", number, value="v") for number in range(1, 11)]
    elsewhere = [op("ok", "c2/1", 5.5, key="other", value="v")]
    lines = shown(a_run(tmp_path, *others, *elsewhere))
    assert lines[0] == "What clients saw of k around it:"
    names = [line.split()[3] for line in lines[1 : lines.index("Faults in force:")]]
    assert names == ["c1/1", "c1/2", "c1/3", "c1/4", "c0/9", "c1/5", "r-n2/9", "c1/6", "c1/7", "c1/8", "c1/9"]
    lines = shown(a_run(tmp_path / "2", *others), between=False)
    assert lines[0] == "What clients saw of k before and after:"
    assert [line.split()[3] for line in lines[1:8]] == ["c1/1", "c1/2", "c1/3", "c1/4", "c1/7", "c1/8", "c1/9"]


def test_the_middle_of_a_long_witness_is_left_out(tmp_path: Path) -> None:
    lines = shown(a_run(tmp_path, *(op("ok", f"c1/{n}", 5 + n / 100, value="v") for n in range(1, 51))))
    assert lines[0] == "What clients saw of k around it (22 lines in the middle are left out):"
    assert lines.index("Faults in force:") == 1 + 30


def test_only_faults_in_force_are_shown_or_the_last_one_before(tmp_path: Path) -> None:
    lines = shown(a_run(tmp_path))
    place = lines.index("Faults in force:")
    assert lines[place + 1] == "  f2 partition n2 n3*, from 4.000 s, healed 7.000 s: 9 frames held back"
    assert not any("f1" in line or "f3" in line for line in lines)
    early = (op("invoke", "c0/9", 2.5), op("ok", "c0/9", 3.0))
    lines = shown(a_run(tmp_path / "2", witness=early))
    place = lines.index("Faults in force: none; the last one before:")
    assert lines[place + 1] == "  f1 kill n4*, from 1.000 s, healed 2.000 s: killed n4"
    assert "Faults in force: none" in shown(a_run(tmp_path / "3", witness=(op("ok", "c0/9", 0.5),)))


def test_leaders_from_the_last_one_before_are_shown(tmp_path: Path) -> None:
    lines = shown(a_run(tmp_path))
    place = lines.index("Leaders that were observed, from the last one before it on:")
    assert [line.split(maxsplit=2)[2] for line in lines[place + 1 : place + 3]] == [
        "n3#1 says that it leads in term 2",
        "n1#1 says that it leads in term 3",
    ]


def test_the_report_has_it_in_each_form(tmp_path: Path) -> None:
    report = build(a_run(tmp_path))
    assert f"{AROUND}\n=====" in text_page(report) and f"## {AROUND}\n\n```text\nWhat clients" in markdown_page(report)
    assert [fault["id"] for fault in run_document(report)["around"]["faults"]] == ["f2"]


def test_a_run_of_nodes_with_events_has_a_better_story(tmp_path: Path) -> None:
    run = a_run(tmp_path, reports_events=True)
    report = build(run)
    assert (around_in(run, violation_of(run)), report.around) == (None, None)
    assert AROUND not in text_page(report) and "around" not in run_document(report)


# ---- logs --------------------------------------------------------------------------------------------------------


def test_the_asked_node_and_the_leaders_come_first(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    for node in sample.NODES:
        write_log(run, node, f"hello from {node}")
    logs = [line for line in shown(run) if line.endswith("its last lines (they carry no time):")]
    assert [line.split(",")[0] for line in logs] == ["n2", "n1", "n3"]
    assert "  | hello from n2" in shown(run)


def test_lines_with_times_are_those_around_the_moment(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    times = [NOON + timedelta(seconds=second) for second in range(20)]
    write_log(run, "n2", *(f"{time.isoformat()} line {number}" for number, time in enumerate(times)))
    write_log(run, "n1", f"{times[0].isoformat()} started", "  on port 1", f"{times[19].isoformat()} ended")
    lines = shown(run)
    place = lines.index("n2, stderr.log, around that moment:")
    assert [line.split()[-1] for line in lines[place + 1 : place + 6]] == ["4", "5", "6", "7", "8"]
    place = lines.index("n1, stderr.log, nothing near that moment; before it:")
    assert lines[place + 1 :][:2] == [f"  | {times[0].isoformat()} started", "  |   on port 1"]


def test_what_a_node_said_before_it_ended_is_not_shown_again(tmp_path: Path) -> None:
    """The witness has it."""
    exited = NodeExited(node=HARNESS, inc=1, t_us=6 * S, subject="n5", subject_inc=1, exit_code=1, log_tail="boom")
    run = a_run(tmp_path, witness=(exited,))
    write_log(run, "n5", "boom")
    write_log(run, "n1", "calm")
    assert [line for line in shown(run) if line.startswith("  |")] == ["  | calm"]
    assert "What clients saw" not in "".join(shown(run))


@pytest.mark.parametrize(
    ("line", "time"),
    [
        ("2025-03-01T12:00:00.5Z started", NOON + timedelta(seconds=0.5)),
        ("2025-03-01 14:00:00,250 +0200 INFO", NOON + timedelta(seconds=0.25)),
        ("[123] 2025/03/01 12:00:00.123456789 UTC [INF] x", NOON + timedelta(microseconds=123456)),
        ('{"level":"warn","ts":"2025-03-01T11:00:00.000-01:00","msg":"x"}', NOON),
        ('{"level":"info","ts":1740830400.25,"msg":"x"}', NOON + timedelta(seconds=0.25)),
        ("1740830400.250 n1 takes x", NOON + timedelta(seconds=0.25)),
        ("[1740830400] x", NOON),
        ("n1 has 1740830400 of them", None),
        ("no time at all 12:00:00", None),
        ("2025-13-01T12:00:00Z", None),
        ("9999-99-99 99:99:99", None),
        ('"ts":17408', None),
    ],
)
def test_times_in_many_forms_are_understood(line: str, time: datetime | None) -> None:
    assert line_time(line) == time


def test_a_time_without_a_zone_is_that_of_this_machine() -> None:
    assert line_time("2025-03-01 12:00:00 x") == datetime(2025, 3, 1, 12).astimezone()


def test_the_lines_nearest_to_the_moment_are_shown_and_long_ones_are_cut(tmp_path: Path) -> None:
    file = tmp_path / "stderr.log"
    times = [NOON + timedelta(milliseconds=number * 100) for number in range(40)]
    file.write_text("".join(f"{time.isoformat()} {number} {'x' * 500}\n" for number, time in enumerate(times)))
    found = log_lines("n1", file, NOON + timedelta(seconds=2))
    assert found is not None and [line.split()[1] for line in found.lines] == [str(n) for n in range(16, 24)]
    assert all(line.endswith("x ...") and len(line) < 250 for line in found.lines)


def test_a_hostile_log_is_bounded_and_visible(tmp_path: Path) -> None:
    file = tmp_path / "stderr.log"
    file.write_bytes(b"\xff\x00\x1b[2J\n" * 100_000 + b"last\x1b[31m\n")
    found = log_lines("n1", file, NOON)
    assert found is not None and len(found.lines) == MOST_LINES
    assert found.lines[-1] == "last\\x1b[31m" and all(line.isprintable() for line in found.lines)
    file.write_bytes(b"")
    assert log_lines("n1", file, NOON) is None and log_lines("n1", tmp_path / "none", NOON) is None
