"""pre_vote: n1 of n1 to n5 asks who would vote for it, and stands. Times are in ms."""

from __future__ import annotations

from typing import Any

import pytest

from raft_chaos.invariants.events import (
    CommitAdvanced,
    ConfigurationUsed,
    Event,
    Members,
    MessageReceived,
    PreVoteStarted,
    RoleChanged,
    Started,
)
from raft_chaos.invariants.judge import Judge
from raft_chaos.invariants.pace import Pace
from raft_chaos.invariants.verdict import Verdict

NODES = tuple(f"n{number}" for number in range(1, 6))
PACE = Pace(20_000, 10, 1, (100_000, 200_000), pre_vote=True)


def at(ms: int, kind: type[Event], **fields: Any) -> Event:
    return kind(node="n1", inc=1, t_us=ms * 1_000, **fields)


def asks(ms: int, term: int = 1) -> Event:
    return at(ms, PreVoteStarted, term=term)


def answers(ms: int, sender: str, term: int = 1, type: str = "PreVoteReply") -> Event:
    return at(ms, MessageReceived, sender=sender, sender_inc=1, number=1, type=type, term=term)


def stands(ms: int, term: int = 1) -> Event:
    return at(ms, RoleChanged, role="candidate", term=term, leader=None)


def uses(ms: int, *voters: str, old: tuple[str, ...] = ()) -> Event:
    return at(ms, ConfigurationUsed, index=2, members=Members(voters=voters, old_voters=old))


START = at(0, Started, term=0, voted_for=None, last_index=0, digest="")


def verdict(*events: Event, pace: Pace = PACE) -> Verdict | None:
    judge = Judge(voters=NODES, pace=pace)
    judge.observe_all([START, *events])
    return next((one for one in judge.verdicts() if one.invariant == "pre_vote"), None)


def said(*events: Event) -> list[str]:
    found = verdict(*events)
    assert found is not None
    return [violation.message for violation in found.violations]


def test_a_majority_would_vote_for_it() -> None:
    found = verdict(asks(150), answers(160, "n2"), answers(170, "n3"), stands(170))
    assert found is not None and (found.outcome, found.judged) == ("valid", 1)


def test_too_few_would() -> None:
    found = verdict(asks(150), answers(160, "n2"), stands(170))
    assert found is not None
    (violation,) = found.violations
    assert violation.message == (
        "n1 (incarnation 1) stood for election in term 1, which only n2 had granted beside itself"
    )
    assert [event.t_us for event in violation.witness] == [150_000, 160_000, 170_000]


def test_nobody_was_asked_about_that_term() -> None:
    never = ["n1 (incarnation 1) stood for election in term 1, and had not asked about it"]
    assert said(stands(170)) == never
    assert said(asks(150, 2), answers(160, "n2", 2), answers(160, "n3", 2), stands(170)) == never


@pytest.mark.parametrize(
    "granted",
    [
        [answers(160, "n2"), answers(165, "n2")],
        [answers(160, "n2"), answers(165, "n3", term=0)],  # a refusal
        [answers(160, "n2"), answers(165, "n3", term=2)],
        [answers(160, "n2"), asks(300), answers(310, "n3")],  # an answer to what it had asked before counts no more
    ],
)
def test_what_is_no_majority(granted: list[Event]) -> None:
    assert len(said(asks(150), *granted, stands(320))) == 1


def test_an_answer_that_is_late_counts_for_the_next_question() -> None:
    assert said(asks(150), asks(300), answers(301, "n2"), answers(302, "n3"), stands(302)) == []


def test_the_report_of_a_question_may_wait_for_the_disk() -> None:
    """An answer that comes in the meantime is to the question that was asked by then."""
    assert said(asks(150), answers(310, "n2"), asks(300), answers(320, "n3"), stands(320)) == []


def test_the_configuration_counts_that_it_uses_when_the_answers_come() -> None:
    three = uses(100, "n1", "n2", "n3")
    assert said(three, asks(150), answers(160, "n2"), stands(160)) == []
    assert said(uses(100, "n1", "n2", "n3", old=NODES), asks(150), answers(160, "n2"), stands(160)) != []
    assert said(asks(150), answers(160, "n2"), three, stands(170)) != []
    assert said(uses(100, "n1"), asks(150), stands(150)) == [], "its own vote is a majority"


def test_its_leader_told_it_to_stand() -> None:
    assert verdict(answers(170, "n2", 0, "TimeoutNow"), stands(170)) is None
    assert len(said(answers(169, "n2", 0, "TimeoutNow"), stands(170))) == 1
    again = answers(175, "n2", 0, "TimeoutNow")  # a copy comes before the report that it stood has waited for the disk
    assert verdict(answers(170, "n2", 0, "TimeoutNow"), again, stands(170)) is None


def test_a_start_forgets_what_was_granted() -> None:
    granted = [asks(150), answers(160, "n2"), answers(165, "n3")]
    assert len(said(*granted, START, stands(320))) == 1


def test_nothing_is_owed_without_pre_vote() -> None:
    assert verdict(stands(170), pace=Pace(20_000, 10, 1, (100_000, 200_000))) is None


# ---- what was committed before it asked -----------------------------------------------------------------------------

LED = RoleChanged(node="n2", inc=1, t_us=90_000, role="leader", term=3, leader="n2")
GRANTED = [answers(160, "n3", 5), answers(165, "n4", 5)]


def commits(ms: int, index: int = 7) -> Event:
    return CommitAdvanced(node="n2", inc=1, t_us=ms * 1_000, index=index, term=3)


def asks_with(ms: int, last_term: int, last_index: int) -> Event:
    return at(ms, PreVoteStarted, term=5, last_term=last_term, last_index=last_index)


def test_it_lacks_an_entry_that_was_committed_before_it_asked() -> None:
    asked = asks_with(150, 2, 9)
    found = verdict(LED, commits(100), asked, *GRANTED, stands(165, 5))
    assert found is not None
    (violation,) = found.violations
    assert violation.message == (
        "n1 (incarnation 1) stood for election in term 5, which a majority had granted, although its log ended with "
        "entry 9 of term 2: entry 7 of term 3 had been committed before it asked"
    )
    assert violation.witness == (commits(100), asked, *GRANTED, stands(165, 5))
    assert said(asked, *GRANTED, stands(165, 5), LED, commits(100)) == [violation.message], "nodes report in any order"


@pytest.mark.parametrize(("last_term", "last_index", "lacks"), [(3, 6, True), (3, 7, False), (4, 1, False)])
def test_which_logs_are_as_up_to_date(last_term: int, last_index: int, lacks: bool) -> None:
    assert bool(said(LED, commits(100), asks_with(150, last_term, last_index), *GRANTED, stands(165, 5))) is lacks


def test_what_was_committed_later_does_not_count() -> None:
    assert said(LED, commits(150), asks_with(150, 2, 9), *GRANTED, stands(165, 5)) == []
    assert len(said(LED, commits(100), commits(155, 8), asks_with(150, 2, 9), *GRANTED, stands(165, 5))) == 1
    asked_before = asks_with(99, 2, 9), asks_with(150, 2, 9)
    assert said(LED, commits(100), *asked_before, *GRANTED, stands(165, 5)) == [], "late answers to the first question"


@pytest.mark.parametrize(
    "learnt",
    [
        [commits(100)],  # a follower learns what others committed, and its term says nothing of the entry
        [LED, RoleChanged(node="n2", inc=1, t_us=95_000, role="follower", term=3, leader=None), commits(100)],
        [LED, Started(node="n2", inc=2, t_us=95_000, term=3, voted_for=None, last_index=7, digest=""), commits(100)],
    ],
)
def test_only_a_leaders_commit_tells_the_term_of_the_entry(learnt: list[Event]) -> None:
    assert said(*learnt, asks_with(150, 2, 9), *GRANTED, stands(165, 5)) == []


def test_other_members_may_have_committed_it() -> None:
    assert said(LED, commits(100), uses(110, "n1", "n3", "n4"), asks_with(150, 2, 9), *GRANTED, stands(165, 5)) == []


def test_members_that_it_uses_since_it_asked_may_not_be_those_that_granted() -> None:
    """It reports at once that it uses others, and only later that it stood before."""
    three = Members(voters=("n1", "n2", "n3"))
    leads = [LED, ConfigurationUsed(node="n2", inc=1, t_us=95_000, index=2, members=three), commits(100)]
    asked = asks_with(150, 2, 9)
    assert len(said(*leads, uses(140, "n1", "n2", "n3"), asked, *GRANTED, stands(165, 5))) == 1
    assert said(*leads, asked, *GRANTED, uses(170, "n1", "n2", "n3"), stands(165, 5)) == []


def test_a_file_of_an_older_version_does_not_say_where_its_log_ended() -> None:
    assert said(LED, commits(100), asks(150, 5), *GRANTED, stands(165, 5)) == []
