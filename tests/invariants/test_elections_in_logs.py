"""election_safety by lines of logs: they convict only what a check has shown, and only who says so of itself."""

from __future__ import annotations

import pytest

from raft_chaos.invariants.events import HARNESS, HarnessEvent, LeaderObserved, LogsFollowed, LogsLost
from raft_chaos.invariants.judge import Judge
from raft_chaos.invariants.verdict import Verdict


def said(node: str, term: int, *, inc: int = 1, reporter: str = "", text: str = "I lead") -> LeaderObserved:
    return LeaderObserved(
        node=HARNESS,
        inc=1,
        t_us=term,
        subject=node,
        subject_inc=inc,
        term=term,
        said=text,
        file="stderr" if text else "",
        line=7 if text else 0,
        reporter=reporter,
    )


def judged(*events: HarnessEvent, checked: bool | None = True) -> Verdict | None:
    judge = Judge(events_expected=False)
    if checked is not None:
        judge.observe(LogsFollowed(node=HARNESS, inc=1, t_us=0, checked=checked, target="my.toml"))
    for event in events:
        judge.observe(event)
    live = judge.new_violations()
    found = {verdict.invariant: verdict for verdict in judge.verdicts()}
    verdict = found.get("election_safety")
    assert bool(live) == (verdict is not None and verdict.outcome == "violated")
    return verdict


def test_two_nodes_that_say_so_of_one_term_are_convicted_with_the_raw_lines() -> None:
    first, second = said("n1", 3, text="became leader"), said("n2", 3)
    verdict = judged(first, second)
    assert verdict is not None and verdict.outcome == "violated"
    (violation,) = verdict.violations
    assert violation.witness == (first, second)
    assert "n1 (incarnation 1) logged 'became leader' (stderr, line 7)" in violation.message


def test_without_a_check_they_are_unknown_and_the_report_says_what_to_do() -> None:
    verdict = judged(said("n1", 3), said("n2", 3), checked=False)
    assert verdict is not None and verdict.outcome == "unknown" and not verdict.violations
    assert "`raft-chaos target check my.toml`" in verdict.reason


@pytest.mark.parametrize(
    "events",
    [
        [said("n1", 3), said("n2", 4), said("n1", 5)],
        [said("n1", 3), said("n1", 3, inc=2)],
        [said("n1", 3), said("n2", 3, reporter="n3"), said("n2", 3, reporter="n1")],
        [said("n1", 3), said("n2", 3, text="")],
    ],
    ids=["three terms", "a node that says it twice", "what others say of it", "what its status says"],
)
def test_a_right_cluster_is_not_convicted(events: list[LeaderObserved]) -> None:
    verdict = judged(*events)
    assert verdict is not None and verdict.outcome == "valid"
    verdict = judged(*events, checked=False)
    assert verdict is not None and verdict.outcome == "valid" and "has not shown to be right" in verdict.reason


def test_lines_that_were_not_read_leave_it_unknown() -> None:
    lost = LogsLost(node=HARNESS, inc=1, t_us=9, why="the pattern was given up")
    verdict = judged(said("n1", 3), lost)
    assert verdict is not None and (verdict.outcome, verdict.reason) == ("unknown", "the pattern was given up")
    verdict = judged(said("n1", 3), lost, said("n2", 3))
    assert verdict is not None and verdict.outcome == "violated", "what was read is enough"


def test_a_log_that_says_nothing_leaves_it_unknown() -> None:
    verdict = judged()
    assert verdict is not None and verdict.outcome == "unknown" and "no line of a log says" in verdict.reason


def test_a_target_without_such_lines_has_no_such_verdict() -> None:
    assert judged(said("n1", 3, text=""), said("n2", 3, text=""), checked=None) is None
