"""leader_stickiness: n1 leads term 1, n2 follows it, and n3 stands for election in term 2. The shortest timeout is 100
ms. Times are in ms."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from raft_chaos.invariants.events import (
    HARNESS,
    Event,
    FaultHealed,
    FaultInjected,
    MessageReceived,
    MessageSent,
    PhaseStarted,
    RoleChanged,
    Started,
)
from raft_chaos.invariants.judge import Judge
from raft_chaos.invariants.pace import Pace
from raft_chaos.invariants.verdict import Verdict

MS = 1_000
PACE = Pace(20 * MS, 10, 1, (100 * MS, 200 * MS), check_quorum=True)
NODES = ("n1", "n2", "n3")
VIRTUAL = PhaseStarted(node=HARNESS, inc=1, t_us=9_000 * MS, phase="liveness", within_us=1)


def at(ms: float, kind: type[Event], node: str = "n2", **fields: Any) -> Event:
    return kind(node=node, inc=1, t_us=round(ms * MS), **fields)


def arrives(ms: float, type: str, sender: str, node: str = "n2", term: int = 0) -> Event:
    return at(ms, MessageReceived, node, sender=sender, sender_inc=1, number=1, type=type, term=term)


def role(ms: float, role: str, term: int, leader: str | None = None, node: str = "n2") -> Event:
    return at(ms, RoleChanged, node, role=role, term=term, leader=leader)


def starts(ms: float, node: str = "n2", term: int = 0) -> Event:
    return at(ms, Started, node, term=term, voted_for=None, last_index=0, digest="")


LEADS = [starts(0, "n1"), role(10, "leader", 1, "n1", "n1")]
FOLLOWS = [starts(0), arrives(20, "AppendEntries", "n1"), role(20, "follower", 1, "n1")]
STANDS = [starts(0, "n3"), role(390, "candidate", 2, None, "n3")]
HEARS = [arrives(ms, "AppendEntries", "n1") for ms in (150, 300, 350)]
ASKED = arrives(400, "RequestVote", "n3")
HEEDS = [ASKED, role(400, "follower", 2)]


def verdict(*events: Event, pace: Pace = PACE, harness: tuple[Event, ...] = (VIRTUAL,)) -> Verdict | None:
    judge = Judge(voters=NODES, pace=pace)
    for event in (*events, *harness):
        judge.observe(event)
    return next((one for one in judge.verdicts() if one.invariant == "leader_stickiness"), None)


def said(*events: Event, harness: tuple[Event, ...] = (VIRTUAL,)) -> list[str]:
    found = verdict(*events, harness=harness)
    return [] if found is None else [violation.message for violation in found.violations]


def test_a_node_that_hears_its_leader_follows_a_candidate() -> None:
    found = verdict(*LEADS, *FOLLOWS, *STANDS, *HEARS, *HEEDS)
    assert found is not None and found.outcome == "violated"
    (violation,) = found.violations
    assert violation.message == (
        "n2 (incarnation 1) followed n3 into term 2, although it had heard from its leader, n1, 50000 µs before; its "
        "shortest election timeout is 100000 µs"
    )
    assert violation.witness == (FOLLOWS[2], HEARS[-1], *HEEDS)


def test_the_order_in_which_nodes_are_told_does_not_matter() -> None:
    assert said(*FOLLOWS, *HEARS, *HEEDS, *STANDS, *LEADS) == said(*LEADS, *FOLLOWS, *STANDS, *HEARS, *HEEDS) != []


def test_a_leader_steps_down_for_a_candidate() -> None:
    heeds = [replace(event, node="n1") for event in HEEDS]
    assert said(*LEADS, *STANDS, *heeds) == [
        "n1 (incarnation 1) followed n3 into term 2, although it led; its shortest election timeout is 100000 µs"
    ]


def test_a_node_that_has_just_started_follows_a_candidate() -> None:
    assert said(*LEADS, *STANDS, starts(380, term=1), *HEEDS) == [
        "n2 (incarnation 1) followed n3 into term 2, although it had started only 20000 µs before; its shortest "
        "election timeout is 100000 µs"
    ]


def test_one_that_has_just_begun_to_follow_a_leader_follows_a_candidate() -> None:
    follows = [starts(0), arrives(350, "AppendEntries", "n1"), role(350, "follower", 1, "n1")]
    assert "had begun to follow n1 50000 µs before" in said(*LEADS, *follows, *STANDS, *HEEDS)[0]


def test_who_ignores_the_candidate_is_right() -> None:
    found = verdict(*LEADS, *FOLLOWS, *STANDS, *HEARS, ASKED)
    assert found is not None and (found.outcome, found.judged) == ("valid", 1)
    late = [arrives(200, "RequestVote", "n3")]  # it has heard its leader for the last time at 20
    assert verdict(*LEADS, *FOLLOWS, *STANDS, *late) is None


@pytest.mark.parametrize(
    ("before", "heeds"),
    [
        (HEARS[:1], HEEDS),  # it has heard nobody for long
        (HEARS, [arrives(400, "AppendEntriesReply", "n1"), *HEEDS]),  # that may be the cause
        (HEARS, [ASKED, arrives(400, "RequestVoteReply", "n1"), HEEDS[1]]),
        (HEARS, [ASKED, arrives(400, "RequestVote", "n1"), HEEDS[1]]),
        (HEARS, [ASKED, role(401, "follower", 2)]),  # by another message
        (HEARS, [ASKED, role(400, "follower", 2, "n3")]),  # it leads already
        ([*HEARS, role(380, "follower", 1)], HEEDS),  # it follows nobody
    ],
)
def test_doubts_are_in_favour_of_the_node(before: list[Event], heeds: list[Event]) -> None:
    assert said(*LEADS, *FOLLOWS, *STANDS, *before, *heeds) == []


def test_a_message_of_a_leader_that_led_before_may_be_of_that_term() -> None:
    led = [starts(0, "n1"), role(5, "leader", 1, "n1", "n1"), role(10, "leader", 2, "n1", "n1")]
    follows = [starts(0), role(20, "follower", 2, "n1")]
    stands = [starts(0, "n3"), role(390, "candidate", 3, None, "n3")]
    assert said(*led, *follows, *stands, *HEARS, ASKED, role(400, "follower", 3)) == []


def test_a_candidate_whose_leader_told_it_to_stand_is_heeded() -> None:
    told = [starts(0, "n3"), arrives(390, "TimeoutNow", "n1", "n3", term=1), STANDS[1]]
    assert said(*LEADS, *FOLLOWS, *told, *HEARS, *HEEDS) == []
    earlier = replace(told[1], term=0)
    assert said(*LEADS, *FOLLOWS, told[0], earlier, told[2], *HEARS, *HEEDS) != []


def test_a_candidacy_that_nobody_reported_is_not_judged() -> None:
    assert said(*LEADS, *FOLLOWS, *HEARS, *HEEDS) == []


def test_a_wrong_clock_counts_wrongly() -> None:
    fault = {"node": HARNESS, "fault": "f1", "type": "clock", "targets": ("n2",)}
    wrong = at(360, FaultInjected, **fault)
    right = at(370, FaultHealed, node=HARNESS, fault="f1", type="clock", effective=True)
    assert said(*LEADS, *FOLLOWS, *STANDS, *HEARS, *HEEDS, harness=(wrong, right, VIRTUAL)) == []
    over = replace(right, t_us=340 * MS)
    assert said(*LEADS, *FOLLOWS, *STANDS, *HEARS, *HEEDS, harness=(replace(wrong, t_us=330 * MS), over, VIRTUAL)) != []
    real = replace(VIRTUAL, within_us=0)
    assert said(*LEADS, *FOLLOWS, *STANDS, *HEARS, *HEEDS, harness=(real,)) != []
    assert said(*LEADS, *FOLLOWS, *STANDS, *HEARS, *HEEDS, harness=(wrong, right, real)) == []
    assert said(*LEADS, *FOLLOWS, *STANDS, *HEARS, *HEEDS, harness=()) == [], "not all faults are known yet"


def test_nothing_is_owed_without_check_quorum() -> None:
    assert verdict(*LEADS, *FOLLOWS, *STANDS, *HEARS, *HEEDS, pace=replace(PACE, check_quorum=False)) is None
    assert verdict(*LEADS, *FOLLOWS, *STANDS, *HEARS) is None, "nobody was asked"


# ---- pre-votes ------------------------------------------------------------------------------------------------------

PRE_ASKED = arrives(400, "PreVote", "n3")
ANSWERS = MessageSent(node="n2", inc=1, t_us=400 * MS, to="n3", number=7, type="PreVoteReply")
LATER = role(600, "follower", 1)


def granted(term: int = 2, number: int = 7) -> Event:
    answer = arrives(410, "PreVoteReply", "n2", "n3", term)
    assert isinstance(answer, MessageReceived)
    return replace(answer, number=number)


def test_a_node_that_hears_its_leader_grants_a_pre_vote() -> None:
    found = verdict(*LEADS, *FOLLOWS, *HEARS, PRE_ASKED, ANSWERS, LATER, granted())
    assert found is not None
    (violation,) = found.violations
    assert violation.message == (
        "n2 (incarnation 1) granted n3 a pre-vote for term 2, although it had heard from its leader, n1, 50000 µs "
        "before; its shortest election timeout is 100000 µs"
    )
    assert violation.witness == (FOLLOWS[2], HEARS[-1], PRE_ASKED, ANSWERS, granted())
    assert said(granted(), *FOLLOWS, *HEARS, PRE_ASKED, ANSWERS, LATER, *LEADS) == [violation.message], "in any order"


def test_a_leader_grants_a_pre_vote() -> None:
    asked, answers = replace(PRE_ASKED, node="n1"), replace(ANSWERS, node="n1")
    later, answer = role(600, "follower", 1, node="n1"), replace(granted(), sender="n1")
    (message,) = said(*LEADS, asked, answers, later, answer)
    assert "granted n3 a pre-vote for term 2, although it led" in message


@pytest.mark.parametrize(
    "events",
    [
        [*HEARS, PRE_ASKED, ANSWERS, LATER],  # nobody knows what it answered
        [*HEARS, PRE_ASKED, ANSWERS, LATER, granted(term=0)],  # it refused
        [*HEARS, PRE_ASKED, ANSWERS, LATER, granted(number=8)],  # another answer
        [*HEARS, PRE_ASKED, ANSWERS, granted()],  # a change of its role may still be reported
        [*HEARS, PRE_ASKED, ANSWERS, role(400, "follower", 1), granted()],
        [*HEARS, PRE_ASKED, ANSWERS, starts(500), LATER, granted()],  # or is lost
        [PRE_ASKED, ANSWERS, LATER, granted()],  # it has heard nobody for 380 ms
        [*HEARS, arrives(399, "PreVote", "n3"), ANSWERS, LATER, granted()],
    ],
)
def test_which_answers_are_right(events: list[Event]) -> None:
    assert said(*LEADS, *FOLLOWS, *events) == []
