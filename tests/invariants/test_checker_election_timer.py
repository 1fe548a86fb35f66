"""election_timer: election timeouts of 100 to 200 ms. All times of this file are in ms."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from raft_chaos.invariants.checkers.configuration import Configuration
from raft_chaos.invariants.checkers.election_timer import ElectionTimer
from raft_chaos.invariants.events import (
    HARNESS,
    ConfigurationUsed,
    Event,
    FaultHealed,
    FaultInjected,
    Members,
    MessageReceived,
    NodePaused,
    NodeResumed,
    PhaseStarted,
    PreVoteStarted,
    Role,
    RoleChanged,
    Started,
    VoteGranted,
)
from raft_chaos.invariants.judge import Judge
from raft_chaos.invariants.pace import Pace
from raft_chaos.invariants.verdict import Verdict

MS = 1_000
PACE = Pace(20 * MS, 10, 1, (100 * MS, 200 * MS))
VIRTUAL = PhaseStarted(node=HARNESS, inc=1, t_us=900 * MS, phase="liveness", within_us=1)
REAL = PhaseStarted(node=HARNESS, inc=1, t_us=900 * MS, phase="liveness", within_us=0)


def at(ms: int, kind: type[Event], node: str = "n2", inc: int = 1, **fields: Any) -> Event:
    return kind(node=node, inc=inc, t_us=ms * MS, **fields)


def role(ms: int, role: Role, term: int, leader: str | None = None, node: str = "n2") -> Event:
    return at(ms, RoleChanged, node, role=role, term=term, leader=leader)


def told(ms: int, kind: type[Event], **fields: Any) -> Event:
    return at(ms, kind, HARNESS, **fields)


def received(ms: int, sender: str, type: str = "AppendEntries") -> Event:
    return at(ms, MessageReceived, sender=sender, sender_inc=1, number=1, type=type)


def voted(ms: int, candidate: str, term: int) -> Event:
    return at(ms, VoteGranted, candidate=candidate, term=term)


START = at(0, Started, term=0, voted_for=None, last_index=0, digest="")
LEADS = role(90, "leader", 1, "n1", node="n1")
FOLLOWS = role(100, "follower", 1, "n1")


def verdict(*reported: Event, harness: Iterable[Event] = (VIRTUAL,), pace: Pace | None = PACE) -> Verdict | None:
    """The verdict on what n2 reported after its start; the other streams are observed before it or after it."""
    n1 = [at(0, Started, "n1", term=0, voted_for=None, last_index=0, digest=""), LEADS]
    streams = [list(harness), n1, [START, *reported]]
    found = []
    for order in (streams, streams[::-1]):
        judge = Judge(voters=("n1", "n2", "n3"), pace=pace)
        for stream in order:
            judge.observe_all(stream)
        found.append({one.invariant: one for one in judge.verdicts()}.get("election_timer"))
    assert found[0] == found[1]
    return found[0]


def said(*reported: Event, harness: Iterable[Event] = (VIRTUAL,)) -> list[str]:
    found = verdict(*reported, harness=harness)
    return [] if found is None else [violation.message for violation in found.violations]


# ---- too soon -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "what"),
    [
        ((voted(50, "n1", 1),), "it voted for n1 in term 1 at 50000"),
        ((FOLLOWS, received(130, "n1"),), "AppendEntries of n1 arrived at 130000"),
        ((FOLLOWS,), "it followed n1 in term 1 at 100000"),
        ((role(110, "candidate", 1),), "it began the election of term 1 at 110000"),
        ((role(110, "candidate", 1), role(120, "leader", 1, "n2"), role(130, "follower", 2)), "it led no longer, in"),
        ((), "it started at 0"),
    ],
)  # fmt: skip
def test_an_election_too_soon_after_each_kind_of_reset(before: tuple[Event, ...], what: str) -> None:
    last_us = max((event.t_us for event in before), default=0)
    (message,) = said(*before, role(last_us // MS + 90, "candidate", 3))
    assert message.startswith("n2 (incarnation 1) began the election of term 3 90000 µs after ") and what in message
    assert not said(*before, role(last_us // MS + 100, "candidate", 3))


def told_to_stand(t_ms: int, term: int) -> Event:
    return at(t_ms, MessageReceived, sender="n1", sender_inc=1, number=1_000 + t_ms, type="TimeoutNow", term=term)


def test_a_node_whose_leader_tells_it_to_stand_waits_for_no_timer() -> None:
    """Only the election of the next term, and at that very time."""
    assert not said(FOLLOWS, received(130, "n1"), told_to_stand(140, 1), role(140, "candidate", 2))
    assert said(FOLLOWS, received(130, "n1"), told_to_stand(140, 0), role(140, "candidate", 2))
    assert said(FOLLOWS, received(130, "n1"), told_to_stand(140, 1), role(150, "candidate", 2))
    assert said(FOLLOWS, told_to_stand(140, 1), role(140, "candidate", 2), role(150, "candidate", 3)), (
        "its own next one"
    )
    again = (told_to_stand(140, 1), told_to_stand(145, 1))
    assert not said(FOLLOWS, received(130, "n1"), *again, role(140, "candidate", 2)), "it arrives twice"
    asks = at(140, PreVoteStarted, term=2)
    assert said(FOLLOWS, received(130, "n1"), told_to_stand(140, 1), asks), "it has nothing to ask for"


@pytest.mark.parametrize("soon", [voted(110, "n1", 1), role(110, "candidate", 1)])
def test_in_real_time_an_election_may_be_late_and_not_soon(soon: Event) -> None:
    assert said(soon, role(200, "candidate", 2), harness=[REAL])
    assert not said(soon, role(210, "candidate", 2), harness=[REAL])
    assert not said(soon, role(999, "candidate", 2), harness=[REAL]), "a busy machine makes any node late"


def test_in_real_time_a_node_whose_clock_was_ever_wrong_is_not_judged() -> None:
    """Its clock jumps at some time before the harness reports it."""
    soon = voted(50, "n1", 1), role(140, "candidate", 2)
    clock = [
        told(500, FaultInjected, fault="f1", type="clock", targets=("n2",)),
        told(600, FaultHealed, fault="f1", type="clock", effective=True),
    ]
    other = told(500, FaultInjected, fault="f1", type="clock", targets=("n3",))
    assert verdict(*soon, harness=[*clock, REAL]) is None
    assert said(*soon, harness=[other, REAL])
    assert said(*soon, harness=[*clock, VIRTUAL]), "in virtual time it jumps when that is reported"


def test_a_run_that_ended_before_its_liveness_phase_may_have_faults_that_are_not_reported() -> None:
    assert verdict(voted(50, "n1", 1), role(140, "candidate", 2), harness=()) is None


def test_a_message_of_the_very_time_of_the_election_may_have_come_after_it() -> None:
    assert not said(FOLLOWS, received(250, "n1"), role(250, "candidate", 2))


def test_a_message_that_may_be_of_an_earlier_term_is_no_certain_reset() -> None:
    """n1 led in term 1 already; the message of 330 ms may be one of those, and late."""
    again = role(310, "follower", 2, "n1")
    assert not said(FOLLOWS, received(250, "n1"), again, received(400, "n1"), role(410, "candidate", 3))
    assert not said(FOLLOWS, role(150, "follower", 2), received(160, "n1"), role(250, "candidate", 3))


def test_what_arrives_while_the_report_of_an_election_waits_comes_after_it() -> None:
    """The report is written behind the message, and bears the time of the election."""
    assert not said(FOLLOWS, received(150, "n1"), received(255, "n1"), role(250, "candidate", 2))


# ---- too late -------------------------------------------------------------------------------------------------------


def test_nothing_resets_the_timer_and_no_election_begins() -> None:
    (message,) = said(FOLLOWS, received(150, "n1"), received(200, "n3"), role(400, "candidate", 2))
    assert message == (
        "n2 (incarnation 1) began no election for 250000 µs after AppendEntries of n1 arrived at 150000 µs; its "
        "longest election timeout is 200000 µs"
    )
    assert not said(FOLLOWS, received(150, "n1"), received(200, "n3"), role(350, "candidate", 2))


def test_a_denied_vote_resets_nothing_and_a_repeated_one_does() -> None:
    entered, asked = role(50, "follower", 1), received(150, "n1", "RequestVote")
    assert said(entered, voted(50, "n3", 1), asked, role(300, "candidate", 2))
    assert not said(entered, voted(50, "n1", 1), asked, role(300, "candidate", 2))
    assert said(entered, voted(50, "n1", 1), role(120, "follower", 2), asked, role(300, "candidate", 3))


def test_a_later_term_alone_resets_nothing() -> None:
    assert said(FOLLOWS, role(200, "follower", 2), role(350, "candidate", 3))


def test_a_leader_has_no_timer() -> None:
    stood = role(150, "candidate", 1), role(160, "leader", 1, "n2")
    assert not said(*stood, role(800, "follower", 2), role(950, "candidate", 3))
    assert not said(*stood)
    assert said(*stood, role(800, "follower", 2), role(1_050, "candidate", 3))


def test_messages_of_a_leader_before_the_report_that_it_is_followed() -> None:
    """It waits until the new term is durable; the third message is of another node."""
    assert not said(received(150, "n1"), received(250, "n1"), role(100, "follower", 1, "n1"), role(440, "candidate", 2))
    assert said(received(150, "n1"), received(250, "n3"), role(100, "follower", 1, "n1"), role(440, "candidate", 2))
    parts = [received(ms, "n1", "InstallSnapshot") for ms in (150, 250)]
    assert not said(*parts, role(100, "follower", 1, "n1"), role(440, "candidate", 2)), (
        "a snapshot is of the leader, too"
    )


def test_a_heartbeat_in_time_keeps_it_a_follower_for_ever() -> None:
    beats = [received(ms, "n1") for ms in range(150, 5_000, 50)]
    assert not said(FOLLOWS, *beats, role(5_100, "candidate", 2))


def test_after_its_last_report_nothing_is_complete() -> None:
    """It may have begun an election, and died before that was durable."""
    assert not said(FOLLOWS, received(150, "n1"), received(800, "n1"))
    assert said(FOLLOWS, received(150, "n1"), received(800, "n1"), role(990, "candidate", 2))


def test_a_pause_excuses_lateness_only() -> None:
    pause = [told(200, NodePaused, subject="n2", subject_inc=1), told(390, NodeResumed, subject="n2", subject_inc=1)]
    assert not said(FOLLOWS, role(400, "candidate", 2), harness=[VIRTUAL, *pause])
    assert said(FOLLOWS, role(180, "candidate", 2), harness=[VIRTUAL, *pause])
    other = [told(200, NodePaused, subject="n3", subject_inc=1)]
    assert said(FOLLOWS, role(400, "candidate", 2), harness=[VIRTUAL, *other])


def test_starvation_excuses_lateness_only() -> None:
    starved = [told(200, FaultInjected, fault="f1", type="starve", targets=("n2",))]
    assert not said(FOLLOWS, role(400, "candidate", 2), harness=[VIRTUAL, *starved])
    assert said(FOLLOWS, role(180, "candidate", 2), harness=[VIRTUAL, *starved])
    before = [told(50, FaultInjected, fault="f1", type="starve", targets=("n2",))]
    before += [told(90, FaultHealed, fault="f1", type="starve", effective=True)]
    assert said(FOLLOWS, role(400, "candidate", 2), harness=[VIRTUAL, *before])


def test_a_wrong_clock_excuses_both() -> None:
    clock = [
        told(160, FaultInjected, fault="f1", type="clock", targets=("n2",)),
        told(170, FaultHealed, fault="f1", type="clock", effective=True),
    ]
    assert not said(FOLLOWS, role(400, "candidate", 2), harness=[VIRTUAL, *clock])
    assert not said(FOLLOWS, role(180, "candidate", 2), harness=[VIRTUAL, *clock])
    assert said(FOLLOWS, role(250, "candidate", 2), role(300, "candidate", 3), harness=[VIRTUAL, *clock])


def test_unknown_timeouts_are_not_judged() -> None:
    assert verdict(FOLLOWS, role(110, "candidate", 2), pace=None) is None
    assert verdict(FOLLOWS, role(110, "candidate", 2), pace=Pace(20 * MS, 10, 1)) is None


# ---- a long run -----------------------------------------------------------------------------------------------------


def kept_bytes(events: Iterable[Event]) -> int:
    """How much memory the state after so many events takes, with the events that it keeps."""
    tracemalloc.start()
    try:
        judge = ElectionTimer(PACE, Configuration(("n1", "n2", "n3")))
        observe = judge.handlers()
        for event in events:
            observe[(type(event), event.type) if isinstance(event, MessageReceived) else type(event)](event)
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def test_what_has_been_decided_is_not_kept() -> None:
    """Ten times as many messages between the same reports take no more memory."""

    def run(messages: int) -> Iterator[Event]:
        yield START
        for term in range(1, 6):
            yield role(term * 100_000, "follower", term, "n1")
            yield voted(term * 100_000, "n3", term)
            for number in range(messages):
                ms = term * 100_000 + number
                yield received(ms, "n3", "RequestVote" if number % 2 else "AppendEntries")
        yield role(600_000, "candidate", 6)

    assert kept_bytes(run(10_000)) < kept_bytes(run(1_000)) + 10_000


def test_requests_that_no_report_ever_follows_are_not_kept_for_ever() -> None:
    """A node that was taken out of the cluster asks again and again, and nobody heeds it (§6)."""

    def run(requests: int) -> Iterator[Event]:
        yield START
        yield FOLLOWS
        for number in range(requests):
            yield received(200 + number, "n9", "RequestVote")

    assert kept_bytes(run(40_000)) < kept_bytes(run(10_000)) + 10_000


# ---- pre-votes ------------------------------------------------------------------------------------------------------


def asks(ms: int, term: int) -> Event:
    return at(ms, PreVoteStarted, term=term)


def test_a_question_for_pre_votes_begins_when_the_timer_runs_out() -> None:
    (message,) = said(FOLLOWS, received(130, "n1"), asks(220, 2))
    assert "n2 (incarnation 1) asked for pre-votes of term 2 90000 µs after AppendEntries of n1 arrived" in message
    assert not said(FOLLOWS, received(130, "n1"), asks(230, 2))


def test_the_election_after_a_question_has_no_timer() -> None:
    asked = FOLLOWS, asks(210, 2), role(210, "follower", 1)
    assert not said(*asked, role(215, "candidate", 2))
    (message,) = said(*asked, role(215, "candidate", 3))
    assert "began the election of term 3 5000 µs after it asked for pre-votes of term 2" in message


@pytest.mark.parametrize("between", [role(220, "follower", 1, "n1"), voted(220, "n3", 1)])
def test_what_makes_a_question_void_starts_the_timer_anew(between: Event) -> None:
    asked = FOLLOWS, asks(210, 2), role(210, "follower", 1), between
    assert said(*asked, role(225, "candidate", 2))
    assert not said(*asked, role(320, "candidate", 2))


def test_a_node_that_asks_again_and_again_is_not_late() -> None:
    asking = [asks(ms, 2) for ms in range(210, 900, 150)]
    assert not said(FOLLOWS, *asking)
    (message,) = said(FOLLOWS, *asking, asks(1100, 2))
    assert "began no election for" in message and "after it asked for pre-votes of term 2" in message


# ---- nodes without a vote (§6) ---------------------------------------------------------------------------------------


def uses(ms: int, *voters: str, learners: tuple[str, ...] = ()) -> Event:
    return at(ms, ConfigurationUsed, index=5, members=Members(voters=voters, learners=learners))


STOOD = role(800, "candidate", 1)


def test_a_node_without_a_vote_need_not_begin_an_election() -> None:
    assert len(said(STOOD)) == 1, "it waited for 800 ms"
    assert said(uses(50, "n1", "n3"), uses(700, "n1", "n2", "n3"), STOOD) == []
    assert said(uses(50, "n1", "n3", learners=("n2",)), uses(700, "n1", "n2", "n3"), STOOD) == []
    assert len(said(uses(50, "n1", "n2"), STOOD)) == 1, "it votes, by any members"


def test_a_joint_voter_votes() -> None:
    joint = at(50, ConfigurationUsed, index=5, members=Members(voters=("n1", "n3"), old_voters=("n1", "n2", "n3")))
    assert len(said(joint, STOOD)) == 1


def test_it_must_again_once_it_may_vote() -> None:
    assert len(said(uses(20, "n1", "n3"), uses(60, "n1", "n2", "n3"), FOLLOWS, STOOD)) == 1


def test_one_that_begins_one_too_soon_is_convicted_whether_it_votes_or_not() -> None:
    early = role(150, "candidate", 2)
    assert len(said(FOLLOWS, uses(110, "n1", "n3"), early)) == 1


@pytest.mark.parametrize("kind", ["AppendEntries", "InstallSnapshot"])
def test_what_a_leader_sends_counts_although_the_report_that_the_node_follows_it_comes_later(kind: str) -> None:
    """The report waits for a slow disk, and meanwhile parts of a snapshot arrive."""
    arrived = [received(ms, "n1", kind) for ms in range(150, 450, 50)]
    assert said(*arrived, FOLLOWS, received(450, "n1", kind), role(600, "candidate", 2)) == []
    assert len(said(*arrived[:1], FOLLOWS, received(450, "n1", kind), role(600, "candidate", 2))) == 1
