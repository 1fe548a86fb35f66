"""The report of a run for people: on a terminal and on GitHub."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from junitparser import Failure

import report_builders as sample
from raft_chaos.invariants.events import Event, FaultInjected, RoleChanged
from raft_chaos.invariants.rundir import RunDir
from raft_chaos.invariants.verdict import Verdict, Violation
from raft_chaos.reports.run.model import build
from raft_chaos.reports.run.pages import text_page
from raft_chaos.reports.write import render, render_report
from report_builders import junit_cases


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


CUT_SHORT = "the run was cut short: ended at the first violation"


def test_a_run_that_was_cut_short_says_so_in_one_line_after_the_violation(violated: RunDir) -> None:
    info = violated.load_info()
    info.vacuous = [CUT_SHORT, "fault f2 (partition) was never healed", "no leader was killed"]
    violated.save_info(info)
    lines = render(violated, "text").splitlines()
    assert lines[0].startswith("VIOLATED election_safety")
    place = lines.index("Violations")
    [at] = [number for number, line in enumerate(lines) if line.startswith("CUT SHORT: ended at the first violation; ")]
    assert at > place and lines[at + 1].startswith("  ")
    told = " ".join(" ".join(lines[at : at + 2]).split())
    assert told == "CUT SHORT: ended at the first violation; until then 53 operations, and 3 of 4 planned faults"
    assert not any(line.startswith("f4 ") for line in lines)
    assert "1 planned fault never fired, since the run was cut short" in lines


def test_a_run_that_ended_before_anything_was_asked_says_that(tmp_path: Path) -> None:
    info = sample.info(verdict="unknown", vacuous=["the run was cut short: interrupted by SIGINT", "no phase began"])
    page = render(sample.save(tmp_path / "run", info, schedule=sample.SCHEDULE), "text")
    words = " ".join(page.split())
    assert "CUT SHORT: interrupted by SIGINT; no client had asked for anything yet" in words
    assert "VACUOUS" not in page and "Faults" not in page


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


def test_markdown_has_the_witness_as_a_block_and_the_command_last(violated: RunDir) -> None:
    page = render(violated, "markdown")
    assert page.startswith("# VIOLATED election_safety (seed 42")
    assert "## Violated: election_safety\n\nn1 and n3 both led term 2\n\nRule: §5.2" in page
    assert "```text\n   8.412 s  n1/1       role_changed " in page
    assert page.endswith(f"```sh\n{sample.REPRO}\n```\n")
    assert re.search(r"^\| f1 +\| kill +\| n1\\\*", page, re.MULTILINE)


def test_a_witness_cannot_close_its_block(tmp_path: Path) -> None:
    violation = Violation("log_matching", "m", "r", ("```", "# not a title"))
    info = sample.info(verdict="violated", invariants=[Verdict("log_matching", "violated", 1, "", (violation,), 1)])
    page = render(sample.save(tmp_path / "run", info), "markdown")
    assert "````text\n```\n# not a title\n````\n" in page


# ---- any text at all ---------------------------------------------------------------------------------------------

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
    [failure] = junit_cases(render_report(report, "junit"))["log_matching"].result
    assert isinstance(failure, Failure)
    lines = page.split("\n")
    at = lines.index("## Invariants")
    header, first = lines[at + 2], lines[at + 4]
    assert header.startswith("| invariant") and first.startswith("| log_matching") and _pipes(header) == _pipes(first)


def _pipes(row: str) -> int:
    """The pipes of a Markdown row that end a cell."""
    return row.replace("\\\\", "").replace("\\|", "").count("|")
