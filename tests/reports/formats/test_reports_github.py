"""GitHub: the summary, and annotations that nothing can break out of."""

from __future__ import annotations

from pathlib import Path

import pytest

import report_builders as sample
from raft_chaos.invariants.rundir import RunDir
from raft_chaos.invariants.verdict import Verdict, Violation
from raft_chaos.reports.formats import github
from raft_chaos.reports.run.model import build


def test_github_gets_the_summary_and_an_annotation(
    violated: RunDir, vacuous: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    lines = github.publish([build(violated), build(vacuous)], "# §5.2\n")
    assert summary.read_text(encoding="utf-8") == "before\n# §5.2\n\n"
    assert lines == [
        f"::error title=election_safety violated (seed 42)::n1 and n3 both led term 2%0A{sample.REPRO}",
        f"::warning title=unknown (seed 9)::fault f3 (pause of n5) had no effect%0A{sample.REPRO}",
    ]


def test_github_commands_cannot_be_broken_out_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    violation = Violation("a:b,c", "100% lost\n::error::x", "r")
    info = sample.info(verdict="violated", repro="", invariants=[Verdict("a:b,c", "violated", 1, "", (violation,), 1)])
    [line] = github.publish([build(sample.save(tmp_path / "run", info))], "")
    assert line == "::error title=a%3Ab%2Cc violated (seed 42)::100%25 lost ::error::x"


def test_outside_github_nothing_is_published(violated: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    assert github.publish([build(violated)], "# report") == []
    assert not (tmp_path / "summary.md").exists()
