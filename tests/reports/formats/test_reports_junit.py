"""JUnit XML: which cases pass, fail, are skipped or are errors."""

from __future__ import annotations

from pathlib import Path

from junitparser import Error, Failure, JUnitXml, Skipped

import report_builders as sample
from raft_chaos.invariants.rundir import RunDir
from raft_chaos.invariants.verdict import Verdict
from raft_chaos.reports.write import render
from report_builders import junit_cases


def test_junit_has_a_case_for_each_invariant(violated: RunDir) -> None:
    xml = render(violated, "junit")
    cases = junit_cases(xml)
    assert list(cases) == ["election_safety", "linearizability", "log_matching", "not_vacuous", "conclusive"]
    [failure] = cases["election_safety"].result
    assert isinstance(failure, Failure) and failure.message == "n1 and n3 both led term 2"
    assert "n3/1       role_changed" in failure.text and failure.text.splitlines()[-1] == sample.REPRO
    [skipped] = cases["linearizability"].result
    assert isinstance(skipped, Skipped) and skipped.message == "the search took longer than 60 s"
    assert cases["log_matching"].is_passed and cases["not_vacuous"].is_passed
    [suite] = JUnitXml.fromstring(xml.encode())
    assert (suite.tests, suite.failures, suite.errors, suite.skipped, suite.time) == (5, 1, 0, 1, 24.7)
    properties = {item.name: item.value for item in suite.properties()}  # type: ignore[no-untyped-call]
    assert properties["seed"] == "42" and properties["mutant"] == "double_vote"


def test_a_vacuous_run_is_not_green_in_junit(vacuous: RunDir) -> None:
    cases = junit_cases(render(vacuous, "junit"))
    for name in ("not_vacuous", "conclusive"):
        [error] = cases[name].result
        assert isinstance(error, Error)
    assert "fault f3" in cases["not_vacuous"].result[0].message


def test_an_unknown_run_is_not_green_in_junit(tmp_path: Path, interrupted: RunDir) -> None:
    unsure = [Verdict("linearizability", "unknown", 0, "no operations")]
    unknown = sample.save(tmp_path / "unknown", sample.info(verdict="unknown", invariants=unsure))
    assert "linearizability" in junit_cases(render(unknown, "junit"))["conclusive"].result[0].text
    assert "INTERRUPTED" in junit_cases(render(interrupted, "junit"))["conclusive"].result[0].text
