"""efficiency: nobody is convicted for what a cluster may need, and a storm is, by what its sender reports alone."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from event_scripts import started
from raft_chaos.invariants.checkers.efficiency import MOST_TIMES, PER_CLIENT, Efficiency
from raft_chaos.invariants.events import EntryAppended, Event, MessageSent
from raft_chaos.invariants.judge import Judge
from raft_chaos.invariants.pace import Pace
from raft_chaos.invariants.verdict import Verdict

WINDOW_US = 20_000
PACE = Pace(heartbeat_us=WINDOW_US, entries_per_message=10, clients=2)
NO_LOG = MOST_TIMES + 2 * PER_CLIENT
"""The most in a window for a node without entries."""


def sends(number: int, *, from_us: int = 0, to: str = "n2", kind: str = "AppendEntries", inc: int = 1) -> list[Event]:
    return [
        MessageSent(node="n1", inc=inc, t_us=from_us + place * 9_999 // number, to=to, number=place + 1, type=kind)
        for place in range(number)
    ]


def appends(number: int, inc: int = 1) -> list[Event]:
    return [
        EntryAppended(node="n1", inc=inc, t_us=0, index=index, term=1, digest=str(index))
        for index in range(1, number + 1)
    ]


def verdict(events: Iterable[Event], pace: Pace | None = PACE) -> Verdict:
    judge = Judge(pace=pace)
    for event in events:
        judge.observe(event)
    return next(one for one in judge.verdicts() if one.invariant == "efficiency")


@pytest.mark.parametrize("kind", ["AppendEntries", "RequestVote"])
def test_one_message_more_than_is_plausible_is_a_violation(kind: str) -> None:
    assert verdict([started("n1"), *sends(NO_LOG, kind=kind)]).outcome == "valid"
    found = verdict([started("n1"), *sends(NO_LOG + 1, kind=kind)])
    assert found.outcome == "violated"
    (violation,) = found.violations
    assert violation.message == (
        f"n1 (incarnation 1) sent 251 {kind} to n2 within 9959 µs, from 0 µs on; "
        "its whole log fits into 0, and at most 250 are plausible"
    )
    assert [event.number for event in violation.witness] == [1, NO_LOG + 1]


def test_a_long_log_may_be_sent_again_and_again() -> None:
    """81 entries are 9 messages: 81 for one burst that the network reorders, and 50 times 10."""
    most = 9 * 9 + MOST_TIMES * (1 + 9) + 2 * PER_CLIENT
    assert verdict([started("n1"), *appends(81), *sends(most)]).outcome == "valid"
    assert verdict([started("n1"), *appends(81), *sends(most + 1)]).outcome == "violated"


def test_each_peer_each_window_and_each_incarnation_counts_alone() -> None:
    many = [
        started("n1"),
        *sends(NO_LOG),
        *sends(NO_LOG, to="n3"),
        *sends(NO_LOG, kind="RequestVote"),
        *sends(NO_LOG, from_us=WINDOW_US + 1),
        started("n1", inc=2),
        *sends(NO_LOG, from_us=WINDOW_US + 2, inc=2),
    ]
    assert verdict(many).outcome == "valid"


def test_a_window_is_judged_when_the_next_one_begins() -> None:
    judge = Judge(pace=PACE)
    for event in [started("n1"), *sends(NO_LOG + 1)]:
        judge.observe(event)
    assert not judge.new_violations()
    judge.observe(sends(1, from_us=WINDOW_US)[0])
    assert [violation.invariant for violation in judge.new_violations()] == ["efficiency"]


def test_answers_are_not_limited_since_each_has_a_request() -> None:
    answers = sends(NO_LOG * 2, kind="AppendEntriesReply")
    assert verdict([started("n1"), *sends(1), *answers]).outcome == "valid"


def test_a_node_whose_beginning_is_lost_is_judged_too() -> None:
    assert verdict([*sends(NO_LOG + 1), *sends(1, from_us=WINDOW_US)]).outcome == "violated"


def test_many_events_at_once_give_the_same_verdict() -> None:
    events = [started("n1"), *appends(30), *sends(5_000), *sends(3, from_us=WINDOW_US)]
    one_by_one, at_once = Efficiency(PACE), Efficiency(PACE)
    for event in events:
        one_by_one.observe([event])
    at_once.observe(events)
    assert one_by_one.verdict() == at_once.verdict()


def test_without_a_pace_there_is_no_verdict() -> None:
    assert "efficiency" not in {one.invariant for one in Judge().verdicts()}
