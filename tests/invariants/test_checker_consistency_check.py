"""consistency_check: n1 leads in term 2; what n2 rejects it to do, and what n2 may not reject."""

from __future__ import annotations

from itertools import count

import pytest

from event_scripts import follows, leads, started
from raft_chaos.invariants.events import ConfigurationUsed, Event, Members, MessageReceived, MessageSent
from raft_chaos.invariants.judge import Judge
from raft_chaos.invariants.verdict import Verdict

TERM = 2


class Script:
    """The events of n1 since it leads. The messages of n2 are numbered in the order of the calls."""

    def __init__(self) -> None:
        self.events: list[Event] = [started("n1"), leads("n1", TERM)]
        self._numbers = count(1)

    def sends(self, prev: int, *, to: str = "n2", kind: str = "AppendEntries") -> Script:
        self.events.append(MessageSent(node="n1", inc=1, t_us=0, to=to, number=1, type=kind, prev_log_index=prev))
        return self

    def answer(
        self, *, match: int = 0, rejected: int = 0, term: int = TERM, sender: str = "n2", inc: int = 1
    ) -> MessageReceived:
        return MessageReceived(
            node="n1",
            inc=1,
            t_us=0,
            sender=sender,
            sender_inc=inc,
            number=next(self._numbers),
            type="AppendEntriesReply",
            term=term,
            match_index=match,
            rejected_index=rejected,
        )

    def then(self, *events: Event) -> Script:
        self.events += events
        return self

    def acknowledged(self, match: int, *, sender: str = "n2") -> Script:
        return self.then(self.answer(match=match, sender=sender))

    def rejected(self, index: int, *, sender: str = "n2", inc: int = 1, term: int = TERM) -> Script:
        return self.then(self.answer(rejected=index, sender=sender, inc=inc, term=term))

    def other_input(self) -> Script:
        """Something else arrives, so all turns before it are over."""
        return self.then(
            MessageReceived(node="n1", inc=1, t_us=0, sender="n3", sender_inc=1, number=1, type="RequestVoteReply")
        )

    def verdict(self) -> Verdict | None:
        judge = Judge(voters=("n1", "n2", "n3"))
        judge.observe_all(self.events)
        return next((one for one in judge.verdicts() if one.invariant == "consistency_check"), None)

    @property
    def outcome(self) -> str | None:
        verdict = self.verdict()
        return None if verdict is None else verdict.outcome


def test_a_leader_that_sends_again_what_was_rejected_is_convicted() -> None:
    verdict = Script().sends(5).rejected(5).sends(5).other_input().verdict()
    assert verdict is not None and verdict.outcome == "violated"
    (violation,) = verdict.violations
    assert violation.message == (
        "n1 (incarnation 1) sent n2 what follows entry 5, although n2 had rejected what follows entry 5, the lowest "
        "one so far in term 2, and had acknowledged nothing"
    )
    assert [type(event) for event in violation.witness] == [MessageReceived, MessageSent]


def test_a_leader_that_goes_back_is_right_however_far_it_goes() -> None:
    assert Script().sends(5).rejected(5).sends(4).rejected(4).sends(0).acknowledged(6).sends(6).outcome == "valid"
    assert Script().sends(5).rejected(5).sends(3).rejected(3).sends(3).other_input().outcome == "violated"


def test_each_repetition_convicts_once() -> None:
    script = Script().sends(5)
    for _ in range(3):
        script.rejected(5).sends(5)
    verdict = script.other_input().verdict()
    assert verdict is not None and verdict.violation_count == 3


def test_without_a_rejection_there_is_no_verdict() -> None:
    assert Script().sends(5).sends(5).acknowledged(5).sends(5).other_input().verdict() is None


def test_a_message_of_the_turn_in_which_the_rejection_arrived_may_repeat_it() -> None:
    """A heartbeat was due in the same turn as the rejection arrived, and before it."""
    assert Script().sends(5).rejected(5).sends(5).sends(3).other_input().outcome == "valid"


def test_the_turn_is_over_when_the_node_reports_a_new_role() -> None:
    repeated = Script().sends(5).rejected(5).sends(5)
    assert repeated.outcome == "valid"
    assert repeated.then(follows("n1", TERM + 1)).outcome == "violated"


def test_a_crash_may_have_cut_the_reports_of_a_turn_short() -> None:
    assert Script().sends(5).rejected(5).sends(5).then(started("n1", inc=2)).other_input().outcome == "valid"


def test_a_snapshot_is_an_answer_to_a_rejection_too() -> None:
    script = (
        Script().sends(5).rejected(5).sends(9, kind="InstallSnapshot").other_input().sends(9, kind="InstallSnapshot")
    )
    assert script.acknowledged(9).sends(9).other_input().outcome == "valid"


def test_a_rejection_of_what_lies_above_the_lowest_may_be_outdated() -> None:
    """7 was sent after 5 was acknowledged, and overtook what follows 5; the leader has gone back to 5 and on since."""
    assert Script().sends(5).acknowledged(5).sends(7).rejected(7).sends(7).other_input().outcome == "valid"


def test_a_late_rejection_of_what_was_acknowledged_since_is_outdated() -> None:
    script = Script().sends(5)
    late = script.answer(rejected=5)
    assert script.acknowledged(6).then(late).sends(6).other_input().outcome == "valid"


def test_an_acknowledgement_after_the_rejection_makes_it_outdated() -> None:
    """What goes back was not reported as sent, since the link was down; n2 got an earlier message a second time."""
    assert Script().sends(5).rejected(5).acknowledged(6).sends(6).other_input().outcome == "valid"


@pytest.mark.parametrize("term", [TERM - 1, TERM + 1])
def test_an_answer_to_another_leadership_obliges_to_nothing(term: int) -> None:
    assert Script().sends(5).rejected(5, term=term).sends(5).other_input().verdict() is None


def test_each_follower_and_each_leadership_counts_alone() -> None:
    assert Script().sends(5).sends(5, to="n3").rejected(5).sends(5, to="n3").sends(4).other_input().outcome == "valid"
    again = Script().sends(5).rejected(5).then(leads("n1", TERM + 1)).sends(5)
    assert again.other_input().outcome == "valid"


def test_a_follower_that_rejects_what_it_acknowledged_is_convicted() -> None:
    verdict = Script().sends(5).acknowledged(7).sends(7).rejected(7, inc=2).verdict()
    assert verdict is not None and verdict.outcome == "violated"
    (violation,) = verdict.violations
    assert violation.message == (
        "n2 (incarnation 2) rejected what follows entry 7 of n1, although it had acknowledged all up to 7 in this term "
        "(2), in incarnation 1"
    )
    assert "durable" in violation.rule
    assert Script().sends(5).acknowledged(7).sends(8).rejected(8, inc=2).outcome == "valid"


def test_a_rejection_that_was_sent_before_the_acknowledgement_is_only_late() -> None:
    script = Script().sends(7)
    rejection = script.answer(rejected=7)
    assert script.acknowledged(8).then(rejection).outcome == "valid"


def test_what_another_follower_acknowledged_does_not_count() -> None:
    assert Script().sends(5).acknowledged(7, sender="n3").rejected(5).sends(4).other_input().outcome == "valid"


def test_a_node_that_was_removed_is_judged_no_more() -> None:
    """When it is added again, the leader begins anew, and may ignore what it says about its first time."""
    removed, added = (
        ConfigurationUsed(node="n1", inc=1, t_us=0, index=index, members=Members(voters=voters))
        for index, voters in ((6, ("n1", "n3")), (7, ("n1", "n2", "n3")))
    )
    for judged, changes in (("violated", [added]), (None, [removed, added])):
        script = Script().sends(5).then(*changes)
        assert script.sends(5).rejected(5).sends(5).other_input().outcome == judged
