"""What valid verdicts do not cover: a footnote, once."""

from __future__ import annotations

from pathlib import Path

import report_builders as sample
from raft_chaos.invariants.verdict import Verdict
from raft_chaos.reports.facts.left_out import left_out
from raft_chaos.reports.run.model import build
from raft_chaos.reports.run.pages import text_page

WHY = "not judged here: 4 keys with cas"
VERDICTS = [
    Verdict("acknowledged_writes", "valid", 9, WHY),
    Verdict("monotonic_reads", "valid", 9, WHY),
    Verdict("linearizability", "unknown", 9, "it took too long"),
]


def test_a_reason_stands_once_with_all_names() -> None:
    assert left_out(VERDICTS) == [f"acknowledged_writes, monotonic_reads: {WHY}"]
    assert left_out(VERDICTS[2:]) == []


def test_the_table_of_a_report_has_it_below(tmp_path: Path) -> None:
    page = text_page(build(sample.save(tmp_path / "run", sample.info(verdict="unknown", invariants=VERDICTS))), 100)
    assert page.count(WHY) == 1
    assert f"\nacknowledged_writes, monotonic_reads: {WHY}\n" in page
    assert "it took too long" in page
