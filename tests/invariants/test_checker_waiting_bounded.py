"""waiting_bounded: n1 leads term 2, and two commands may wait there."""

from __future__ import annotations

import pytest

from event_scripts import follows, leads, started
from raft_chaos.invariants.events import EntryAppended, EntryApplied, Event, Members
from raft_chaos.invariants.judge import Judge
from raft_chaos.invariants.pace import Pace
from raft_chaos.invariants.verdict import Verdict

PACE = Pace(20_000, 10, 1, waiting=2)


def appended(index: int, *, term: int = 2, size: int = 1, members: Members | None = None) -> Event:
    return EntryAppended(
        node="n1", inc=1, t_us=0, index=index, term=term, digest=str(index), size=size, members=members
    )


def applied(index: int) -> Event:
    return EntryApplied(node="n1", inc=1, t_us=0, index=index, term=2, digest="d")


def verdict(*events: Event, pace: Pace = PACE) -> Verdict | None:
    judge = Judge(pace=pace)
    for event in (started("n1"), *events):
        judge.observe(event)
    return next((one for one in judge.verdicts() if one.invariant == "waiting_bounded"), None)


LED = (leads("n1", 2), appended(1, size=0), appended(2), appended(3))


def test_one_command_more_than_may_wait_is_a_violation() -> None:
    assert (found := verdict(*LED)) is not None and (found.outcome, found.judged) == ("valid", 2)
    found = verdict(*LED, appended(4), appended(5))
    assert found is not None and (found.outcome, found.violation_count) == ("violated", 1)
    (violation,) = found.violations
    assert violation.message == (
        "n1 (incarnation 1) took 3 commands in term 2 that it had not applied, from entry 2 on; at most 2 may wait"
    )
    assert violation.witness == (LED[2], appended(4))


@pytest.mark.parametrize(
    "between",
    [
        [applied(1), applied(2), appended(4)],
        [appended(4, size=0)],
        [appended(4, members=Members(voters=("n1",)))],
        [follows("n1", 3), appended(4, term=3)],
        [follows("n1", 3), leads("n1", 4), appended(4, term=4), appended(5, term=4)],
        [follows("n1", 2), appended(4)],
        [started("n1", inc=2), appended(4)],
    ],
    ids=["applied", "no command", "members", "another term", "another leadership", "follower", "start"],
)
def test_what_does_not_wait(between: list[Event]) -> None:
    found = verdict(*LED, *between)
    assert found is not None and found.outcome == "valid"


def test_there_is_no_verdict_without_a_small_limit() -> None:
    assert verdict(*LED, appended(4), pace=Pace(20_000, 10, 1)) is None
