"""repeated_answers: the second answer to a command that arrived again."""

from __future__ import annotations

from typing import Any

from raft_chaos.invariants.events import HARNESS, AnsweredAgain
from raft_chaos.invariants.judge import Judge
from raft_chaos.invariants.verdict import Verdict


def again(**fields: Any) -> AnsweredAgain:
    return AnsweredAgain(node=HARNESS, inc=1, t_us=0, client="c0", op="c0/3", **{"refused": False, **fields})


def judged(*events: AnsweredAgain, events_expected: bool = True) -> Verdict | None:
    judge = Judge(events_expected=events_expected)
    for event in events:
        judge.observe(event)
    return next((verdict for verdict in judge.verdicts() if verdict.invariant == "repeated_answers"), None)


def violation(*events: AnsweredAgain) -> str:
    verdict = judged(*events)
    assert verdict is not None and verdict.outcome == "violated" and verdict.violations[0].witness == events[-1:]
    return verdict.violations[0].message


def test_it_is_judged_only_where_a_command_arrived_again() -> None:
    assert judged() is None
    for events_expected in (True, False):
        verdict = judged(again(), events_expected=events_expected)
        assert verdict is not None and (verdict.outcome, verdict.judged) == ("valid", 1)


def test_the_first_answer_again_is_right_and_so_is_a_refusal() -> None:
    for right in (
        again(first_value="a", value="a"),
        again(first_value=["a", "b"], value=["a", "b"], first_index=7, index=7),
        again(first_value="a", first_index=7, value="a"),
        again(first_value="a", first_index=7, index=9, refused=True, error="serial 1 is older"),
    ):
        verdict = judged(right)
        assert verdict is not None and verdict.outcome == "valid"


def test_what_failed_must_fail_again() -> None:
    told = violation(again(first_refused=True, refused=True), again(first_refused=True, first_value="a", value="a"))
    assert told == "c0/3 had failed and, when it arrived again, it was carried out"


def test_another_value_is_wrong() -> None:
    told = violation(again(), again(first_value="a", value="b"))
    assert told == "c0/3 was answered 'a' and, when it arrived again, 'b'"


def test_the_answer_of_another_entry_is_wrong_even_if_it_is_equal() -> None:
    told = violation(again(first_value="a", value="a", first_index=7, index=9))
    assert (
        told == "c0/3 was answered with entry 7 and, when it arrived again, with entry 9, which holds another command"
    )
