"""The judge itself: which invariants it lists, polling, failures of a checker, and saved runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from event_scripts import History, commits, judged, leads, started, votes
from raft_chaos.invariants import events, history
from raft_chaos.invariants.checkers.base import KEPT_VIOLATIONS
from raft_chaos.invariants.checkers.client_history import MonotonicReads
from raft_chaos.invariants.checkers.client_keys import ClientKeys
from raft_chaos.invariants.checkers.elections import ElectionSafety
from raft_chaos.invariants.checkers.node_logs import NodeLogs
from raft_chaos.invariants.checkers.recovery import Recovery
from raft_chaos.invariants.events import HARNESS, Event, NodeLaunched, PhaseStarted, RunEnded
from raft_chaos.invariants.history import Op
from raft_chaos.invariants.judge import Judge, judge_run
from raft_chaos.invariants.rundir import RunDir, RunDirError, RunInfo
from tiny_cluster import TinyCluster

INVARIANTS = [
    "election_safety",
    "one_vote_per_term",
    "term_has_candidate",
    "leader_votes_quorum",
    "leader_append_only",
    "committed_log_append_only",
    "log_matching",
    "leader_commits_own_term",
    "quorum_log",
    "leader_completeness",
    "state_machine_safety",
    "monotonicity",
    "recovery",
    "acknowledged_writes",
    "monotonic_reads",
    "linearizability",
    "unexpected_exit",
]
BY_HISTORY = INVARIANTS[-4:]


def test_every_invariant_is_listed_and_unknown_at_first() -> None:
    verdicts = judged()
    assert list(verdicts) == INVARIANTS
    assert {verdict.outcome for verdict in verdicts.values()} == {"unknown"}
    assert {verdicts[name].reason for name in INVARIANTS[:-4]} == {"no events reported"}
    assert Judge().overall() == "unknown"


def test_a_stuck_cluster_that_reports_nothing_is_unknown() -> None:
    script = [
        PhaseStarted(node=HARNESS, inc=1, t_us=0, phase="liveness", bound_us=1, owed=("n1",)),
        RunEnded(node=HARNESS, inc=1, t_us=9, reason="done"),
    ]
    assert judged(script)["recovery"].reason == "no events reported"


def test_a_system_without_events_is_judged_by_its_history() -> None:
    h = History()
    h.put("c0", "a")
    h.read("c1", "a")
    h.read("c1", "a")
    launched = NodeLaunched(node=HARNESS, inc=1, t_us=0, subject="n1", subject_inc=1)
    verdicts = judged(launched, ops=h.ops, events_expected=False)
    assert {name: verdict.outcome for name, verdict in verdicts.items()} == dict.fromkeys(BY_HISTORY, "valid")


def test_violations_are_polled_once_and_the_first_few_kept() -> None:
    judge = Judge()
    assert judge.new_violations() == []
    judge.observe(leads("n1", 1))
    judge.observe(leads("n2", 1))
    assert [violation.invariant for violation in judge.new_violations()] == ["election_safety"]
    assert judge.new_violations() == []
    for number in range(3, 20):
        judge.observe(leads(f"n{number}", 1))
    assert len(judge.new_violations()) == KEPT_VIOLATIONS - 1
    verdict = judge.verdicts()[0]
    assert (len(verdict.violations), verdict.violation_count) == (KEPT_VIOLATIONS, 18)
    assert judge.overall() == "violated"


def failing(*_: object) -> None:
    raise KeyError("n9")


def test_a_checker_that_raises_is_unknown_and_the_others_continue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ElectionSafety, "_on_role", failing)
    verdicts = judged(started("n1"), leads("n1", 1), votes("n1", 1, "n1"), leads("n1", 2))
    assert verdicts["election_safety"].outcome == "unknown"
    assert verdicts["election_safety"].reason == "the checker itself failed: KeyError: 'n9'"
    assert verdicts["one_vote_per_term"].outcome == "valid"


def test_a_checker_that_raised_observes_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[object] = []

    def fail_once(_: object, *what: object) -> None:
        reported.append(what)
        failing()

    monkeypatch.setattr(ElectionSafety, "_on_role", fail_once)
    monkeypatch.setattr(MonotonicReads, "observe_op", fail_once)
    h = History()
    h.put("c0", "a")
    judged(leads("n1", 1), leads("n1", 2), ops=h.ops)
    assert len(reported) == 2


def test_a_violation_counts_even_if_its_reporter_never_reported_started() -> None:
    assert judged(votes("n1", 1, "n1"), votes("n1", 1, "n2"))["one_vote_per_term"].outcome == "violated"


def test_a_violation_found_before_the_failure_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    judge = Judge()
    for event in (started("n1"), leads("n1", 1), leads("n2", 1)):
        judge.observe(event)
    checker = judge._checkers[0]
    monkeypatch.setattr(checker, "verdict", failing)
    verdict = judge.verdicts()[0]
    assert verdict.outcome == "violated"
    assert "KeyError" in verdict.reason


def test_a_failing_verdict_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Recovery, "verdict", failing)
    assert judged(started("n1"))["recovery"].reason == "the checker itself failed: KeyError: 'n9'"


def test_a_view_that_raises_makes_all_checkers_that_use_it_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NodeLogs, "_on_truncated", failing)
    monkeypatch.setattr(ClientKeys, "observe", failing)
    h = History()
    h.put("c0", "a")
    cut = events.LogTruncated(node="n1", inc=1, t_us=0, from_index=1)
    verdicts = judged(started("n1"), leads("n1", 1), cut, commits("n1", 1, 1), ops=h.ops)
    assert verdicts.pop("linearizability").outcome == "valid", "it looks at the operations themselves"
    assert {verdict.outcome for verdict in verdicts.values()} == {"unknown"}
    assert all("KeyError" in verdict.reason for name, verdict in verdicts.items() if name != "unexpected_exit")


# ---- saved runs ----


def save(path: Path, streams: Sequence[list[Event]], h: History, *, reports_events: bool = True) -> RunDir:
    """A run directory as a controller leaves it: the last stream is the harness's."""
    run = RunDir(path)
    run.save_info(RunInfo(seed=7, reports_events=reports_events, nodes=["n1", "n2", "n3"]))
    for event in (event for stream in streams[:-1] for event in stream):
        file = run.node_events(event.node, event.inc)
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("ab") as lines:
            lines.write(events.encode(event))
    run.harness.write_bytes(b"".join(map(events.encode, streams[-1])))
    run.history.write_bytes(b"".join(map(history.encode, h.ops)))
    return run


@pytest.mark.parametrize("bug", [None, "votes_twice", "loses_synced_entries", "commits_alone"])
def test_a_saved_run_gets_the_same_verdicts(tmp_path: Path, bug: str | None) -> None:
    streams = TinyCluster(5, bug).run(60).streams
    h = History()
    h.put("c0", "a")
    h.read("c1", None)
    run = save(tmp_path, streams, h)
    saved = judge_run(run)
    in_order = judged(*streams, ops=h.ops)
    assert [(v.invariant, v.outcome) for v in saved] == [(v.invariant, v.outcome) for v in in_order.values()]
    assert saved == judge_run(run)
    assert [v.outcome for v in saved if v.invariant == "acknowledged_writes"] == ["violated"]


def test_violations_of_one_moment_come_in_the_order_of_the_run(tmp_path: Path) -> None:
    """Two nodes forget their votes, and start again in the same microsecond."""
    before = [event for node in ("n1", "n2") for event in (started(node), votes(node, 1, node))]
    again = [started(node, inc=2, term=1) for node in ("n2", "n1")]
    run = save(tmp_path, [[*before, *again], []], History())
    by_time = ["n1", "n2"]
    assert [violation.witness[-1].node for violation in judge_run(run)[1].violations] == by_time
    run.order.write_text("n1/1 2\nn2/1 2\nn2/2 1\nn1/2 1\n")
    assert [violation.witness[-1].node for violation in judge_run(run)[1].violations] == by_time[::-1]


def test_verdicts_with_witnesses_are_saved_and_read_back(tmp_path: Path) -> None:
    run = save(tmp_path, TinyCluster(5, "votes_twice").run(60).streams, History())
    info = run.load_info()
    info.invariants = judge_run(run)
    run.save_info(info)
    plain = msgspec.to_builtins(info.invariants)
    assert msgspec.to_builtins(run.load_info().invariants) == plain
    assert any(verdict["violations"] for verdict in plain)


def test_a_saved_run_of_a_system_without_events(tmp_path: Path) -> None:
    run = save(tmp_path, [[]], History(), reports_events=False)
    assert [verdict.invariant for verdict in judge_run(run)] == BY_HISTORY


def test_a_run_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunDirError):
        judge_run(RunDir(tmp_path))


def test_a_log_order_that_clients_contradict_is_a_remark_and_no_violation() -> None:
    judge = Judge(events_expected=False)
    for number, (index, value) in enumerate([(5, "a"), (3, "b")]):
        common = {"process": number, "client": f"c{number}", "op": f"c{number}/1", "f": "put", "key": "x"}
        judge.observe_op(Op(type="invoke", t_us=2 * number, value=value, **common))  # type: ignore[arg-type]
        judge.observe_op(Op(type="ok", t_us=2 * number + 1, index=index, term=1, **common))  # type: ignore[arg-type]
    found = next(verdict for verdict in judge.verdicts() if verdict.invariant == "linearizability")
    assert found.outcome == "valid"
    assert found.reason.startswith("log order disagrees with the client history: write c1/1")
