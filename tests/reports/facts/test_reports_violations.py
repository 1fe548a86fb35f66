"""Violations, and their witnesses as lines."""

from __future__ import annotations

from pathlib import Path

import report_builders as sample
from raft_chaos.invariants.verdict import Verdict, Violation
from raft_chaos.reports.facts.violations import witness_lines
from raft_chaos.reports.run.model import RunReport, build


def test_violations_name_what_the_checker_did_not_list(report: RunReport, tmp_path: Path) -> None:
    [split] = report.violations
    assert (split.message, split.unshown) == ("n1 and n3 both led term 2", 2)
    bare = sample.info(verdict="violated", invariants=[Verdict("log_matching", "violated", 3)])
    [row] = build(sample.save(tmp_path / "bare", bare)).violations
    assert row.message == "violated; the checker left no witness"


def test_a_witness_has_one_line_per_event() -> None:
    event = {"kind": "role_changed", "node": "n3", "inc": 2, "t_us": 8_590_977, "role": "leader", "term": 2}
    op = {"type": "ok", "process": 7, "client": "c0", "op": "c0/7", "f": "get", "key": "k", "t_us": 1, "value": "a b"}
    exited = {"kind": "node_exited", "node": "harness", "inc": 1, "t_us": 5, "exit_code": -6, "log_tail": "one\ntwo\n"}
    assert [line for item in (event, op, exited, "as told", [1, None]) for line in witness_lines(item)] == [
        "   8.591 s  n3/2       role_changed      role=leader term=2",
        '   0.000 s  c0         ok get            op=c0/7 key=k value="a b"',
        "   0.000 s  harness/1  node_exited       exit_code=-6",
        "            | one",
        "            | two",
        "as told",
        "[1,null]",
    ]


def test_a_violated_invariant_with_an_empty_message_still_counts(tmp_path: Path) -> None:
    verdict = Verdict("log_matching", "violated", 3, "", (Violation("log_matching", "", ""),), 1)
    run = sample.save(tmp_path / "run", sample.info(verdict="violated", invariants=[verdict]))
    assert len(build(run).violations) == 1
