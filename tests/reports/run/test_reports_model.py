"""What is counted from a run's files."""

from __future__ import annotations

from pathlib import Path

import pytest

import sample_runs as sample
from raft_chaos.invariants.events import FaultHealed, RoleChanged, VoteGranted
from raft_chaos.invariants.rundir import RunDir, RunDirError
from raft_chaos.invariants.verdict import Verdict, Violation
from raft_chaos.reports.facts.violations import witness_lines
from raft_chaos.reports.run.model import RunReport, build
from raft_chaos.reports.run.pages import text_page


@pytest.fixture
def report(tmp_path: Path) -> RunReport:
    return build(sample.five_nodes(tmp_path / "run", sample.violated_info()))


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
    assert never_fired.seen == "never fired: due at leader_elected #9 + 50.0 ms"


def test_a_moot_fault_names_the_one_that_left_it_nothing_to_do(tmp_path: Path) -> None:
    healed = FaultHealed(
        node="harness", inc=1, t_us=9, fault="f2", type="partition", effective=False, effect="no frame", moot="f1"
    )
    report = build(sample.save(tmp_path / "run", sample.info(), harness=[healed]))
    [row] = report.faults
    assert (row.effective, row.moot, row.seen) == (False, "f1", "no frame (moot: f1)")
    assert "f2     partition     0.000  moot    no frame (moot: f1)" in text_page(report)


def test_elections_by_term(report: RunReport) -> None:
    first, split, third = report.elections
    assert (first.term, first.candidates, first.votes, first.leaders) == (1, ["n1"], {"n1": 3}, ["n1"])
    assert (first.at_us, first.took_us) == (276_400, 16_400)
    assert (split.candidates, split.votes, split.leaders) == (["n2", "n4"], {"n2": 2, "n4": 2}, [])
    assert (split.at_us, split.took_us) == (1_600_000, None)
    assert third.leaders == ["n2"]


def test_a_vote_that_is_reported_twice_counts_once_and_two_leaders_are_both_named(tmp_path: Path) -> None:
    vote = VoteGranted(node="n3", inc=1, t_us=5, term=7, candidate="n1")
    leads = [RoleChanged(node=n, inc=1, t_us=t, role="leader", term=7, leader=n) for n, t in (("n2", 9), ("n1", 8))]
    [row] = build(sample.save(tmp_path / "run", sample.info(), nodes=[vote, vote, *leads])).elections
    assert row.votes == {"n1": 1}
    assert row.leaders == ["n1", "n2"]


def test_nodes_keep_their_roles_over_restarts(report: RunReport) -> None:
    n1, n2, n3, _, n5 = report.nodes
    assert [" ".join(row.roles) for row in report.nodes] == ["F C L / F", "F C L", "F", "F C F", "F"]
    assert (n1.kills, n1.restarts, n1.pauses) == (1, 1, 0)
    assert (n5.kills, n5.restarts, n5.pauses) == (0, 0, 1)
    assert (n2.term, n2.commit_index, n3.term) == (3, 3, 3)


def test_catching_up_counts_from_the_liveness_phase(report: RunReport) -> None:
    n1, n2, *_, n5 = report.nodes
    assert (n1.behind, n1.catch_up_us) == (2, 41_500)
    assert (n2.behind, n2.catch_up_us) == (0, 0)
    # n5 has the entries, but never learnt that they are committed.
    assert (n5.behind, n5.catch_up_us) == (0, None)


def test_catching_up_counts_from_a_later_restart(tmp_path: Path) -> None:
    events = sample.NODE_EVENTS
    late = [
        sample._started("n2", 2, 21_000_000, last_index=2, term=3),
        *sample._entries("n2", 2, 21_001_000, 1, 2),
        *sample._entries("n2", 2, 21_200_000, 3),
        sample._commit("n2", 2, 21_250_000, 3, 3),
    ]
    run = sample.save(tmp_path / "run", sample.info(), nodes=[*events, *late], harness=sample.HARNESS_EVENTS)
    n2 = build(run).nodes[1]
    assert (n2.behind, n2.catch_up_us) == (1, 250_000)


def test_resources_are_means_and_maxima(report: RunReport) -> None:
    used = report.nodes[4].resources
    assert used is not None
    assert (used.samples, used.cpu_mean, used.cpu_max) == (2, 5.75, 8.5)
    assert (used.rss_max_bytes, used.open_files, used.threads) == (34 << 20, 12, 2)


def test_operations_by_function_with_latencies_of_the_ok_ones(report: RunReport) -> None:
    get, put, every = report.operations
    assert (get.function, get.invoked, get.open, get.p50_us) == ("get", 1, 1, None)
    assert (put.invoked, put.ok, put.fail, put.info, put.open) == (52, 50, 1, 1, 0)
    assert (put.p50_us, put.p99_us, put.max_us) == (25_000, 50_000, 50_000)
    assert (every.function, every.invoked, every.ok) == ("all", 53, 50)


def test_numbers_of_the_run_json_outrank_the_counted_ones(tmp_path: Path) -> None:
    run = sample.five_nodes(tmp_path / "run", sample.info(stats={"leaders_elected": 7, "wall_s": 31.5}))
    stats = build(run).stats
    assert (stats["leaders_elected"], stats["wall_s"], stats["faults_effective"]) == (7, 31.5, 2)


def test_a_run_that_was_not_finished_is_never_valid(tmp_path: Path) -> None:
    for number, (state, verdict, told) in enumerate(
        [("running", None, "unknown"), ("running", "valid", "unknown"), ("running", "violated", "violated")]
    ):
        report = build(sample.save(tmp_path / str(number), sample.info(state=state, verdict=verdict)))
        assert report.interrupted
        assert report.verdict == told


def test_missing_and_empty_files_leave_tables_empty(tmp_path: Path) -> None:
    empty = build(sample.save(tmp_path / "empty", sample.info()))
    missing = RunDir(tmp_path / "missing")
    missing.path.mkdir()
    missing.save_info(sample.info())
    for report in (empty, build(missing)):
        assert (report.faults, report.elections, report.operations) == ([], [], [])
        assert [row.node for row in report.nodes] == sample.NODES
        assert report.duration_us == 0


def test_a_damaged_file_is_named_with_its_line(tmp_path: Path) -> None:
    run = sample.five_nodes(tmp_path / "run", sample.info())
    with run.schedule.open("ab") as lines:
        lines.write(b"{not json}\n")
    with pytest.raises(RunDirError, match=r"schedule\.jsonl:7: "):
        build(run)


def test_violations_name_what_the_checker_did_not_list(report: RunReport, tmp_path: Path) -> None:
    [split] = report.violations
    assert (split.message, split.unshown) == ("n1 and n3 both led term 2", 2)
    bare = sample.info(verdict="violated", invariants=[Verdict("log_matching", "violated", 3)])
    [row] = build(sample.save(tmp_path / "bare", bare)).violations
    assert row.message == "violated; the checker left no witness"


def test_a_witness_is_one_line_an_event() -> None:
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
