"""The faults: which fired, and whether they had an effect."""

from __future__ import annotations

from pathlib import Path

import report_builders as sample
from raft_chaos.invariants.events import FaultHealed
from raft_chaos.reports.run.model import RunReport, build
from raft_chaos.reports.run.pages import text_page


def test_faults_say_whether_they_had_an_effect(report: RunReport) -> None:
    assert [(row.id, row.kind, row.effective) for row in report.faults] == [
        ("f1", "kill", True),
        ("f2", "partition", True),
        ("f3", "pause", False),
        ("f4", "partition", None),
    ]
    kill, _, _, never_fired = report.faults
    assert (kill.injected_us, kill.healed_us, kill.leader) == (1_300_000, 3_000_500, "n1")
    assert never_fired.injected_us is None
    assert [row.named for row in report.faults] == ["kill", "partition halves", "pause", "partition isolate_leader"]
    assert never_fired.seen == "never fired: due at leader_elected #9 + 50.0 ms"


def test_a_moot_fault_names_the_fault_that_prevented_its_effect(tmp_path: Path) -> None:
    healed = FaultHealed(
        node="harness", inc=1, t_us=9, fault="f2", type="partition", effective=False, effect="no frame", moot="f1"
    )
    report = build(sample.save(tmp_path / "run", sample.info(), harness=[healed]))
    [row] = report.faults
    assert (row.effective, row.moot, row.seen) == (False, "f1", "no frame (moot: f1)")
    assert "f2     partition     0.000  moot    no frame (moot: f1)" in text_page(report)
