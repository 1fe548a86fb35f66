"""The whole reports, as a person, a script and a CI server get them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from junitparser import Error, Failure, JUnitXml, Skipped

import sample_runs as sample
from raft_chaos.invariants.events import Event, FaultInjected, RoleChanged
from raft_chaos.invariants.rundir import RunDir
from raft_chaos.invariants.verdict import Verdict, Violation
from raft_chaos.reports.formats import github
from raft_chaos.reports.run.model import build
from raft_chaos.reports.run.pages import text_page
from raft_chaos.reports.write import FILE_OF, render, render_campaign, render_report, write_reports


@pytest.fixture
def violated(tmp_path: Path) -> RunDir:
    return sample.five_nodes(tmp_path / "violated", sample.violated_info())


@pytest.fixture
def valid(tmp_path: Path) -> RunDir:
    return sample.five_nodes(tmp_path / "valid", sample.info(seed=7))


@pytest.fixture
def vacuous(tmp_path: Path) -> RunDir:
    info = sample.info(seed=9, verdict="unknown", vacuous=["fault f3 (pause of n5) had no effect"])
    return sample.five_nodes(tmp_path / "vacuous", info)


@pytest.fixture
def interrupted(tmp_path: Path) -> RunDir:
    return sample.five_nodes(tmp_path / "interrupted", sample.info(state="running", verdict=None, invariants=[]))


# ---- text ----


@pytest.mark.parametrize("world", ["sim", "lockstep"])
def test_in_virtual_time_the_command_repeats_every_event(violated: RunDir, world: str) -> None:
    info = violated.load_info()
    info.world, info.trace_sha256, info.stats["deliveries"] = world, "ab" * 32, 17
    violated.save_info(info)
    text = render(violated, "text")
    assert text.splitlines()[-2:] == ["Reproduce, event for event:", sample.REPRO]
    assert "SHA-256" in text and "ab" * 32 in text and "over 17 deliveries" in text


def test_a_failing_report_starts_with_the_violation_and_ends_with_the_command(violated: RunDir) -> None:
    lines = render(violated, "text").splitlines()
    assert lines[:14] == [
        "VIOLATED election_safety (seed 42, live, raft with mutant double_vote, 5 nodes,",
        "  24.7 s)",
        "",
        "Violations",
        "==========",
        "1. election_safety: n1 and n3 both led term 2",
        "   rule: §5.2: at most one leader a term",
        "      8.412 s  n1/1       role_changed      role=leader term=2 leader=n1",
        "      8.591 s  n3/1       role_changed      role=leader term=2 leader=n3",
        "   ... and 2 more of election_safety",
        "",
        "Invariants",
        "==========",
        "invariant        verdict   judged  finding",
    ]
    assert lines[-2:] == ["Reproduce (this repeats the schedule, not the interleaving):", sample.REPRO]
    assert max(map(len, lines)) <= 80 or max(lines, key=len).startswith("directory")


def test_violated_invariants_come_before_unknown_and_valid_ones(violated: RunDir) -> None:
    text = render(violated, "text")
    assert (
        text.index("election_safety  VIOLATED") < text.index("linearizability  UNKNOWN") < text.index("log_matching ")
    )


def test_an_ineffective_fault_stands_out(violated: RunDir) -> None:
    lines = render(violated, "text").splitlines()
    [pause] = [line for line in lines if line.startswith("f3 ")]
    assert pause.split()[:6] == ["f3", "pause", "n5", "12.000", "14.000", "NO"]
    [kill] = [line for line in lines if line.startswith("f1 ")]
    assert kill.split()[:6] == ["f1", "kill", "n1*", "1.300", "3.001", "yes"]


def test_a_node_that_never_caught_up_stands_out(violated: RunDir) -> None:
    lines = render(violated, "text").splitlines()
    [row] = [line for line in lines if line.startswith("n5 ") and "NEVER" in line]
    assert row.split() == ["n5", "2", "0", "1", "0", "NEVER", "F"]


def test_a_valid_run_has_no_command_to_repeat_it(valid: RunDir) -> None:
    text = render(valid, "text")
    assert text.startswith("VALID (seed 7, live, raft, 5 nodes, 24.7 s)\n")
    assert "Violations" not in text and sample.REPRO not in text


def test_an_interrupted_run_says_so(interrupted: RunDir) -> None:
    text = render(interrupted, "text")
    assert text.startswith("UNKNOWN (seed 42")
    assert "INTERRUPTED: the controller did not finish this run" in text
    assert "f2 " in text and text.splitlines()[-1] == sample.REPRO


def test_a_vacuous_run_says_why(vacuous: RunDir) -> None:
    assert "VACUOUS: fault f3 (pause of n5) had no effect" in render(vacuous, "text")
    assert "VACUOUS: fault f3 (pause of n5) had no effect" in render(vacuous, "markdown")


def test_outside_live_the_time_is_virtual(valid: RunDir, tmp_path: Path) -> None:
    assert "24.7 s virtual" in render(sample.five_nodes(tmp_path / "sim", sample.info(world="sim")), "text")
    assert "virtual" not in render(valid, "text")


def test_many_terms_without_a_leader_are_one_row(tmp_path: Path) -> None:
    events: list[Event] = [
        RoleChanged(node=f"n{1 + term % 2}", inc=1, t_us=term * 100_000, role="candidate", term=term, leader=None)
        for term in range(1, 301)
    ]
    events.append(RoleChanged(node="n1", inc=1, t_us=40_000_000, role="leader", term=301, leader="n1"))
    text = render(sample.save(tmp_path / "run", sample.info(), nodes=events), "text")
    assert [line.split() for line in text.splitlines() if line.endswith(("none", " n1"))] == [
        ["1-300", "0.100", "n2", "n1", "300", "terms", "without", "a", "leader", "none"],
        ["301", "40.000", "n1"],
    ]


# ---- Markdown ----


def test_markdown_has_the_witness_as_a_block_and_the_command_last(violated: RunDir) -> None:
    page = render(violated, "markdown")
    assert page.startswith("# VIOLATED election_safety (seed 42")
    assert "## Violated: election_safety\n\nn1 and n3 both led term 2\n\nRule: §5.2" in page
    assert "```text\n   8.412 s  n1/1       role_changed " in page
    assert page.endswith(f"```sh\n{sample.REPRO}\n```\n")
    assert "| f1      | kill      | n1\\*" in page


def test_a_witness_cannot_close_its_block(tmp_path: Path) -> None:
    violation = Violation("log_matching", "m", "r", ("```", "# not a title"))
    info = sample.info(verdict="violated", invariants=[Verdict("log_matching", "violated", 1, "", (violation,), 1)])
    page = render(sample.save(tmp_path / "run", info), "markdown")
    assert "````text\n```\n# not a title\n````\n" in page


# ---- JSON ----


def test_the_json_document(violated: RunDir) -> None:
    document = json.loads(render(violated, "json"))
    assert {key: document[key] for key in ("verdict", "state", "seed", "world", "target", "mutant")} == {
        "verdict": "violated",
        "state": "finished",
        "seed": 42,
        "world": "live",
        "target": "raft",
        "mutant": "double_vote",
    }
    assert document["run_dir"] == str(violated.path)
    assert document["invariants"] == {
        "election_safety": "violated",
        "linearizability": "unknown",
        "log_matching": "valid",
    }
    assert document["repro"] == sample.REPRO
    assert document["vacuous"] == []
    assert document["violations"][0]["message"] == "n1 and n3 both led term 2"
    assert document["stats"]["ops_ok"] == 50 and document["stats"]["faults_fired"] == 3
    assert document["tables"]["elections"][0]["took_us"] == 16_400


# ---- JUnit ----


def _cases(xml: str) -> dict[str, Any]:
    [suite] = JUnitXml.fromstring(xml.encode())
    return {case.name: case for case in suite}


def test_junit_has_a_case_for_each_invariant(violated: RunDir) -> None:
    xml = render(violated, "junit")
    cases = _cases(xml)
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
    cases = _cases(render(vacuous, "junit"))
    for name in ("not_vacuous", "conclusive"):
        [error] = cases[name].result
        assert isinstance(error, Error)
    assert "fault f3" in cases["not_vacuous"].result[0].message


def test_an_unknown_run_is_not_green_in_junit(tmp_path: Path, interrupted: RunDir) -> None:
    unsure = [Verdict("linearizability", "unknown", 0, "no operations")]
    unknown = sample.save(tmp_path / "unknown", sample.info(verdict="unknown", invariants=unsure))
    assert "linearizability" in _cases(render(unknown, "junit"))["conclusive"].result[0].text
    assert "INTERRUPTED" in _cases(render(interrupted, "junit"))["conclusive"].result[0].text


# ---- files, campaign, GitHub ----


def test_write_reports_leaves_all_four_in_the_run_directory(violated: RunDir) -> None:
    write_reports(violated)
    for fmt, name in FILE_OF.items():
        assert (violated.path / name).read_text(encoding="utf-8") == render(violated, fmt)


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
    assert lines[-3].startswith("First failure: seed 42, saved in ")
    assert lines[-1] == sample.REPRO
    page = render_campaign([build(valid), build(violated)], "markdown")
    assert page.startswith("# VIOLATED (2 runs: 1 violated, 1 valid)\n\n|   seed | verdict   |")
    assert page.endswith(f"```sh\n{sample.REPRO}\n```\n")


def test_campaign_documents(valid: RunDir, violated: RunDir) -> None:
    document = json.loads(render_campaign([build(valid), build(violated)], "json"))
    assert document["verdict"] == "violated"
    assert [run["seed"] for run in document["runs"]] == [7, 42]
    assert (document["stats"]["runs"], document["stats"]["violated"], document["stats"]["ops_ok"]) == (2, 1, 100)
    suites = JUnitXml.fromstring(render_campaign([build(valid), build(violated)], "junit").encode())
    assert [suite.name for suite in suites] == ["raft-chaos.live.raft.seed-7", "raft-chaos.live.raft.seed-42"]
    assert (suites.tests, suites.failures) == (10, 1)


def test_an_empty_campaign_is_unknown() -> None:
    assert render_campaign([], "text") == "UNKNOWN (0 runs)\n"
    assert json.loads(render_campaign([], "json"))["verdict"] == "unknown"


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


# ---- any text at all ----

# Surrogates are no JSON, so no run directory can hold them.
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.sampled_from(
    ["a|b", "one\ntwo", "\x1b[31m", "]]>", "\x00\x0b\ufffe", "```", "\u202eabc", "</failure>", "\u2028"]
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=ANY_TEXT, width=st.integers(min_value=1, max_value=120))
@example(text="invariant", width=80)  # a row of the table that begins as its header does
@example(text="\xa0", width=1)  # a blank that no line may begin with, where nothing but the indent has room
def test_no_text_breaks_a_report(tmp_path: Path, text: str, width: int) -> None:
    witness = (text, {"kind": text, "node": text, "inc": 1, "t_us": 5, text: text}, [text])
    verdicts = [
        Verdict("log_matching", "violated", 1, text, (Violation("log_matching", text, text, witness),), 2),
        Verdict(f"{text}!", "unknown", 0, text),
    ]
    fired = FaultInjected(node="harness", inc=1, t_us=1, fault=text, type=text, targets=(text,), detail=text)
    info = sample.info(
        verdict="violated", invariants=verdicts, vacuous=[text], repro=text, mutant=text, target=text, commit=text
    )
    run = sample.save(tmp_path / "run", info, harness=[fired])
    report = build(run)
    page = render_report(report, "markdown")
    for shown in (text_page(report, width), page):
        assert all(line.isprintable() for line in shown.split("\n"))
    assert json.loads(render_report(report, "json"))["vacuous"] == [text]
    [failure] = _cases(render_report(report, "junit"))["log_matching"].result
    assert isinstance(failure, Failure)
    lines = page.split("\n")
    at = lines.index("## Invariants")
    header, first = lines[at + 2], lines[at + 4]
    assert header.startswith("| invariant") and first.startswith("| log_matching") and _pipes(header) == _pipes(first)


def _pipes(row: str) -> int:
    """The pipes of a Markdown row that end a cell."""
    return row.replace("\\\\", "").replace("\\|", "").count("|")
