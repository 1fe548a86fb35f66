"""JUnit XML: a test suite for each run, a test case for each invariant.

A violated invariant is a failure, with its witness and the command that repeats it; an unknown one is skipped, with its
reason. CI servers show a suite of skipped cases as green, but an unknown run did not pass. So two more cases can be
errors: `not_vacuous` if the run proves nothing, and `conclusive` if the overall verdict is unknown.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from raft_chaos.invariants.verdict import Verdict
from raft_chaos.reports.facts.violations import ViolationRow
from raft_chaos.reports.run.layout import caveats
from raft_chaos.reports.run.model import RunReport
from raft_chaos.reports.run.pages import repro
from raft_chaos.reports.text import US_PER_S, visible


def junit_xml(reports: Sequence[RunReport]) -> str:
    """The document of these runs. Times of suites are in seconds, as the format requires."""
    document = JUnitXml("raft-chaos")
    for report in reports:
        document.add_testsuite(_suite(report))
    document.update_statistics()  # type: ignore[no-untyped-call]
    buffer = io.BytesIO()
    document.write(buffer, pretty=True)
    return buffer.getvalue().decode()


def _suite(report: RunReport) -> TestSuite:
    info = report.info
    suite = TestSuite(f"raft-chaos.{visible(info.world)}.{visible(info.target)}.seed-{info.seed}")
    if info.started_at:
        suite.timestamp = visible(info.started_at)
    properties = {
        "seed": str(info.seed),
        "verdict": report.verdict,
        "world": info.world,
        "target": info.target,
        "mutant": info.mutant or "",
        "commit": info.commit or "",
        "run_dir": str(report.path),
        "repro": info.repro,
        **{f"version.{name}": version for name, version in sorted(info.versions.items())},
    }
    for name, value in properties.items():
        if value:
            suite.add_property(visible(name), visible(value))
    suite.add_testcases(
        [*(_invariant(report, v) for v in report.invariants), _not_vacuous(report), _conclusive(report)]
    )
    return suite


def _case(report: RunReport, name: str) -> TestCase:
    return TestCase(visible(name), classname=f"raft_chaos.{visible(report.info.world)}.{visible(report.info.target)}")


def _invariant(report: RunReport, verdict: Verdict) -> TestCase:
    case = _case(report, verdict.invariant)
    if verdict.outcome == "violated":
        violations = [row for row in report.violations if row.invariant == verdict.invariant]
        failure = Failure(violations[0].message, "violated")
        lines = [line for row in violations for line in _violation(row)]
        failure.text = "\n".join([*lines, *_repro(report)])
        case.result = failure
    elif verdict.outcome == "unknown":
        case.result = Skipped(visible(verdict.reason) or "unknown", "unknown")
    return case


def _violation(row: ViolationRow) -> list[str]:
    rule = [f"rule: {row.rule}"] if row.rule else []
    return [row.message, *rule, *row.witness, ""]


def _not_vacuous(report: RunReport) -> TestCase:
    case = _case(report, "not_vacuous")
    if reasons := [visible(reason) for reason in report.info.vacuous]:
        error = Error(f"the run proves nothing: {reasons[0]}", "vacuous")
        error.text = "\n".join([*reasons, "", *_repro(report)])
        case.result = error
    return case


def _conclusive(report: RunReport) -> TestCase:
    case = _case(report, "conclusive")
    # A suite's time is the sum of its cases' times. The case of the whole run gets its time, the other cases none.
    case.time = round(report.duration_us / US_PER_S, 3)
    if report.verdict == "unknown":
        unsure = [verdict.invariant for verdict in report.invariants if verdict.outcome == "unknown"]
        error = Error("the overall verdict is unknown", "unknown")
        lines = [*caveats(report), *(visible(f"unknown: {name}") for name in unsure), "", *_repro(report)]
        error.text = "\n".join(lines)
        case.result = error
    return case


def _repro(report: RunReport) -> list[str]:
    command = repro(report)
    return ["Reproduce:", command] if command else []
