"""The files of a run's report."""

from __future__ import annotations

from raft_chaos.invariants.rundir import RunDir
from raft_chaos.reports.write import FILE_OF, render, write_reports


def test_write_reports_leaves_all_formats_in_the_run_directory(violated: RunDir) -> None:
    write_reports(violated)
    for fmt, name in FILE_OF.items():
        assert (violated.path / name).read_text(encoding="utf-8") == render(violated, fmt)
