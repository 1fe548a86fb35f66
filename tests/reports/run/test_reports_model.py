"""A run read from its files: finished, unfinished, incomplete or damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

import report_builders as sample
from raft_chaos.invariants.rundir import RunDir, RunDirError
from raft_chaos.reports.run.model import build


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
    run = sample.five_nodes(tmp_path / "run", sample.info())
    with run.schedule.open("ab") as lines:
        lines.write(b"{not json}\n")
    with pytest.raises(RunDirError, match=r"schedule\.jsonl:7: "):
        build(run)
