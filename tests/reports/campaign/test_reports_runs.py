"""Many run directories in one report."""

from __future__ import annotations

import json

from junitparser import JUnitXml

import report_builders as sample
from raft_chaos.invariants.rundir import RunDir
from raft_chaos.reports.campaign.runs import brief, one_line
from raft_chaos.reports.run.model import build
from raft_chaos.reports.write import render_campaign


def test_a_campaign_has_a_row_for_each_seed_worst_first(
    valid: RunDir, vacuous: RunDir, violated: RunDir, interrupted: RunDir
) -> None:
    lines = render_campaign([build(valid), build(vacuous), build(violated), build(interrupted)], "text").splitlines()
    assert lines[0] == "VIOLATED (4 runs: 1 violated, 2 unknown, 1 valid)"
    rows = [line.split()[:6] for line in lines if line.split()[1:2] in (["VIOLATED"], ["UNKNOWN"], ["valid"])]
    assert rows == [
        ["42", "VIOLATED", "2", "50/1/1", "3/2", "24.7"],
        ["9", "UNKNOWN", "2", "50/1/1", "3/2", "24.7"],
        ["42", "UNKNOWN", "2", "50/1/1", "3/2", "24.7"],
        ["7", "valid", "2", "50/1/1", "3/2", "24.7"],
    ]
    first = next(line for line in lines if line.startswith("First failure"))
    assert first.startswith("First failure: seed 42, saved in")
    assert lines[-1] == sample.REPRO
    page = render_campaign([build(valid), build(violated)], "markdown")
    head = "# VIOLATED (2 runs: 1 violated, 1 valid)\n\nINERT: no fault of the kind pause had an effect"
    assert page.startswith(head) and "|   seed | verdict   |" in page
    assert page.endswith(f"```sh\n{sample.REPRO}\n```\n")


def test_campaign_documents(valid: RunDir, violated: RunDir) -> None:
    document = json.loads(render_campaign([build(valid), build(violated)], "json"))
    assert document["verdict"] == "violated"
    assert [run["seed"] for run in document["runs"]] == [7, 42]
    assert (document["stats"]["runs"], document["stats"]["violated"], document["stats"]["ops_ok"]) == (2, 1, 100)
    suites = JUnitXml.fromstring(render_campaign([build(valid), build(violated)], "junit").encode())
    assert [suite.name for suite in suites] == ["raft-chaos.live.raft.seed-7", "raft-chaos.live.raft.seed-42"]
    assert (suites.tests, suites.failures) == (10, 1)


def test_the_line_of_a_run_begins_with_its_verdict_and_stays_short(violated: RunDir, vacuous: RunDir) -> None:
    info = violated.load_info()
    assert one_line(info, violated.path).startswith("VIOLATED  seed 42  election_safety; ")
    assert brief(info, violated.path)[1:] == ["  election_safety: n1 and n3 both led term 2"]
    info = vacuous.load_info()
    info.vacuous = ["fault f1 had no effect", "fault f2 had no effect", "fault f3 had no effect"]
    assert "UNKNOWN   seed 9  fault f1 had no effect; and 2 more; " in one_line(info, vacuous.path)
    info.vacuous += ["the run was cut short: interrupted by SIGINT"]
    assert "seed 9  the run was cut short: interrupted by SIGINT; " in one_line(info, vacuous.path)


def test_an_empty_campaign_is_unknown() -> None:
    assert render_campaign([], "text") == "UNKNOWN (0 runs)\n"
    assert json.loads(render_campaign([], "json"))["verdict"] == "unknown"
