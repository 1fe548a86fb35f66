"""A run read from its files: finished, unfinished, incomplete or damaged."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import msgspec
import pytest

import report_builders as sample
from raft_chaos.invariants.rundir import RunDir, RunDirError
from raft_chaos.reports.run.model import build
from raft_chaos.reports.write import Format, render


def test_numbers_of_the_run_json_outrank_the_counted_ones(tmp_path: Path) -> None:
    run = sample.five_nodes(tmp_path / "run", sample.info(stats={"leaders_elected": 7, "wall_s": 31.5}))
    stats = build(run).stats
    assert (stats["leaders_elected"], stats["wall_s"], stats["faults_effective"]) == (7, 31.5, 2)


def test_a_run_that_was_not_finished_is_never_valid(tmp_path: Path) -> None:
    for number, (state, verdict, told) in enumerate(
        [("running", None, "unknown"), ("running", "valid", "unknown"), ("running", "violated", "violated")]
    ):
        report = build(sample.save(tmp_path / str(number), sample.info(state=state, verdict=verdict)))
        assert report.interrupted
        assert report.verdict == told


def test_missing_and_empty_files_leave_tables_empty(tmp_path: Path) -> None:
    empty = build(sample.save(tmp_path / "empty", sample.info()))
    missing = RunDir(tmp_path / "missing")
    missing.path.mkdir()
    missing.save_info(sample.info())
    for report in (empty, build(missing)):
        assert (report.faults, report.elections, report.operations) == ([], [], [])
        assert [row.node for row in report.nodes] == sample.NODES
        assert report.duration_us == 0


def test_a_damaged_file_is_named_with_its_line(tmp_path: Path) -> None:
    run = sample.five_nodes(tmp_path / "run", sample.info(state="running"))
    with run.schedule.open("ab") as lines:
        lines.write(b"{not json}\n")
    with pytest.raises(RunDirError, match=r"schedule\.jsonl:7: "):
        build(run)


def test_a_sealed_run_whose_files_changed_is_unknown_and_shows_nothing_of_them(violated: RunDir) -> None:
    assert build(violated).verdict == "violated"
    name = "nodes/n1/events-0001.jsonl"
    with (violated.path / name).open("ab") as lines:
        lines.write(b"{not json}\n")
    report = build(violated)
    assert (report.verdict, report.invariants, report.violations, report.elections) == ("unknown", [], [], [])
    (reason,) = report.info.vacuous
    assert reason.startswith(f"{name}: has ")
    for form in set(get_args(Format)) - {"perfetto"}:
        assert name in render(violated, form)
    with pytest.raises(RunDirError, match=name):  # a trace is all evidence
        render(violated, "perfetto")


def test_only_a_run_without_a_seal_is_marked(violated: RunDir) -> None:
    assert build(violated).sealed and "UNSEALED" not in render(violated, "text")
    violated.save_info(msgspec.structs.replace(violated.load_info(), evidence=None))
    assert not build(violated).sealed
    assert "UNSEALED: run.json does not list the files" in render(violated, "text")
