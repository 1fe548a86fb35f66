"""session_expiry: nodes remember two sessions, and each client has one: that of its process."""

from __future__ import annotations

from raft_chaos.invariants.events import Started
from raft_chaos.invariants.history import EXPIRED, Op, OpType
from raft_chaos.invariants.judge import Judge
from raft_chaos.invariants.pace import Pace
from raft_chaos.invariants.verdict import Verdict

PACE = Pace(20_000, 10, 1, max_sessions=2)
START = Started(node="n1", inc=1, t_us=0, term=0, voted_for=None, last_index=0, digest="")


def line(process: int, number: int, type: OpType, index: int | None = None, error: str | None = None) -> Op:
    return Op(
        type=type,
        process=process,
        client=f"c{process}",
        op=f"c{process}/{number}",
        f="put",
        key="x",
        t_us=number,
        value="v",
        index=index,
        error=error,
    )


def answered(process: int, number: int, index: int) -> list[Op]:
    """A command, and its answer at this entry."""
    return [line(process, number, "invoke"), line(process, number, "ok", index)]


def refused(process: int, number: int) -> list[Op]:
    return [line(process, number, "invoke"), line(process, number, "fail", error=f"{EXPIRED}, or it began long ago")]


def verdict(*lines: list[Op], pace: Pace | None = PACE) -> Verdict | None:
    judge = Judge(voters=("n1",), pace=pace)
    judge.observe(START)
    for op in (op for some in lines for op in some):
        judge.observe_op(op)
    return next((one for one in judge.verdicts() if one.invariant == "session_expiry"), None)


def outcome(*lines: list[Op], pace: Pace | None = PACE) -> str | None:
    found = verdict(*lines, pace=pace)
    return found.outcome if found is not None else None


ONE_OTHER = [*answered(0, 1, 1), *answered(1, 1, 2), *answered(1, 2, 3)]
TWO_OTHERS = [*ONE_OTHER, *answered(2, 1, 4)]


def test_a_session_is_remembered_as_long_as_fewer_others_were_used_and_forgotten_after_that() -> None:
    assert outcome(ONE_OTHER, answered(0, 2, 4)) == "valid"
    assert outcome(TWO_OTHERS, refused(0, 2)) == "valid"


def test_one_that_is_remembered_too_long_is_convicted() -> None:
    found = verdict(TWO_OTHERS, answered(0, 2, 5))
    assert found is not None and found.outcome == "violated"
    (violation,) = found.violations
    assert violation.message == (
        "c0/2 was answered at entry 5, although 2 other sessions had been used since entry 1, the latest of its own; "
        "2 are remembered"
    )
    assert violation.witness == (TWO_OTHERS[1], line(0, 2, "ok", 5))


def test_entries_decide_in_whatever_order_the_answers_came() -> None:
    """The answer of entry 4 comes after that of entry 5."""
    late = [line(2, 1, "invoke"), *ONE_OTHER, *answered(0, 2, 5), line(2, 1, "ok", 4)]
    assert outcome(late) == "violated"
    later = [line(2, 1, "invoke"), *ONE_OTHER, *answered(0, 2, 4), line(2, 1, "ok", 5)]
    assert outcome(later) == "valid"


def test_one_that_is_forgotten_too_soon_is_convicted() -> None:
    found = verdict(ONE_OTHER, refused(0, 2))
    assert found is not None and found.outcome == "violated"
    (violation,) = found.violations
    assert violation.message == (
        "c0/2 was refused, since the session of c0/1 had expired, although at most 1 other sessions can have been used "
        "since; 2 are remembered"
    )


def test_a_command_that_failed_has_used_its_session_if_an_entry_decided_that() -> None:
    failed = [line(2, 1, "invoke"), line(2, 1, "fail", 4, "cas: the current value is another")]
    assert outcome(ONE_OTHER, failed, refused(0, 2)) == "valid"
    nowhere = [line(2, 1, "invoke"), line(2, 1, "fail", error="redirected")]
    assert outcome(ONE_OTHER, nowhere, refused(0, 2)) == "violated"


def test_a_command_of_unknown_outcome_may_have_used_its_session_at_any_time() -> None:
    unknown = [line(2, 1, "invoke"), line(2, 1, "info")]
    assert outcome(unknown, ONE_OTHER, refused(0, 2)) == "valid"
    assert outcome(ONE_OTHER, [line(2, 1, "invoke")], refused(0, 2)) == "valid"
    assert outcome(ONE_OTHER, unknown, answered(0, 2, 5)) == "valid"


def test_a_session_without_an_answer_may_be_older_than_all_that_is_known() -> None:
    assert outcome(answered(1, 1, 2), refused(0, 1)) is None


def test_only_a_system_that_says_how_many_it_remembers_is_judged() -> None:
    assert outcome(ONE_OTHER, refused(0, 2), pace=Pace(20_000, 10, 1)) is None
    assert outcome(ONE_OTHER, refused(0, 2), pace=None) is None
