"""read_index: n1 answers c1, who reads x by ReadIndex. Times are in ms."""

from __future__ import annotations

import pytest

from raft_chaos.invariants.events import CommitAdvanced, Event, Started
from raft_chaos.invariants.history import Consistency, Op
from raft_chaos.invariants.judge import Judge
from raft_chaos.invariants.verdict import Verdict

MS = 1_000
START = Started(node="n1", inc=1, t_us=0, term=1, voted_for=None, last_index=0, digest="")


def commits(ms: float, index: int, *, node: str = "n1", inc: int = 1) -> Event:
    return CommitAdvanced(node=node, inc=inc, t_us=round(ms * MS), index=index, term=1)


def asks(ms: float, consistency: Consistency | None = "read_index") -> Op:
    return Op(
        type="invoke", process=1, client="c1", op="c1/0", f="get", key="x", t_us=round(ms * MS), consistency=consistency
    )


def answer(ms: float, index: int, consistency: Consistency | None = "read_index", *, inc: int = 1) -> Op:
    return Op(
        type="ok",
        process=1,
        client="c1",
        op="c1/0",
        f="get",
        key="x",
        t_us=round(ms * MS),
        value="a",
        index=index,
        term=1,
        consistency=consistency,
        node="n1",
        inc=inc,
    )


def verdict(*happened: Event | Op) -> Verdict | None:
    judge = Judge(voters=["n1", "n2", "n3"])
    for one in (START, *happened):
        if isinstance(one, Op):
            judge.observe_op(one)
        else:
            judge.observe(one)
    judge.verdicts()
    return next((one for one in judge.verdicts() if one.invariant == "read_index"), None)


def test_a_read_misses_what_its_node_knew_to_be_committed() -> None:
    known = commits(80, 7)
    found = verdict(commits(70, 6), known, commits(99.5, 9), asks(100), answer(120, 6))
    assert found is not None and found.outcome == "violated"
    (violation,) = found.violations
    assert violation.message == (
        "c1/0 read 'a' from 'x' at n1 (incarnation 1), which had applied up to entry 6, although it knew before that "
        "entry 7 is committed"
    )
    assert violation.witness == (known, asks(100), answer(120, 6))


def test_the_report_of_a_commit_may_come_later() -> None:
    found = verdict(asks(100), answer(120, 6), commits(80, 7))
    assert found is not None and found.outcome == "violated"


@pytest.mark.parametrize(
    "happened",
    [
        [commits(80, 7), asks(100), answer(120, 7)],
        [commits(80, 7), asks(100), answer(120, 8)],
        [commits(101, 7), asks(100), answer(120, 6)],  # after the client asked
        [commits(99.5, 7), asks(100), answer(120, 6)],  # too close to tell
        [commits(80, 7, node="n2"), asks(100), answer(120, 6)],  # n1 leads, and may not know it yet
        [commits(80, 7), START, asks(100), answer(120, 6, inc=2)],  # it may recover less
        [asks(100), answer(120, 0)],
    ],
)
def test_what_a_right_read_may_see(happened: list[Event | Op]) -> None:
    found = verdict(*happened)
    assert found is not None and (found.outcome, found.judged) == ("valid", 1)


def test_a_lease_promises_the_same_and_other_reads_do_not() -> None:
    found = verdict(commits(80, 7), asks(100, "lease"), answer(120, 6, "lease"))
    assert found is not None and found.outcome == "violated"
    for other in ("stale", None):
        assert verdict(commits(80, 7), asks(100, other), answer(120, 6, other)) is None  # type: ignore[arg-type]


def test_a_read_that_was_not_answered_says_nothing() -> None:
    failed = Op(type="fail", process=1, client="c1", op="c1/0", f="get", key="x", t_us=120_000, consistency="lease")
    assert verdict(commits(80, 7), asks(100, "lease"), failed) is None
