"""heartbeats: three nodes, a heartbeat every 20 ms. All times of this file are in ms."""

from __future__ import annotations

from typing import Any

import pytest

from raft_chaos.invariants.events import (
    HARNESS,
    ConfigurationUsed,
    Event,
    FaultHealed,
    FaultInjected,
    Members,
    MessageReceived,
    MessageSent,
    NodePaused,
    NodeResumed,
    PhaseStarted,
    RoleChanged,
    Started,
)
from raft_chaos.invariants.judge import Judge
from raft_chaos.invariants.pace import Pace
from raft_chaos.invariants.verdict import Verdict

MS = 1_000
PACE = Pace(20 * MS, 10, 1, (100 * MS, 200 * MS))
VIRTUAL = PhaseStarted(node=HARNESS, inc=1, t_us=900 * MS, phase="liveness", within_us=1)
REAL = PhaseStarted(node=HARNESS, inc=1, t_us=900 * MS, phase="liveness", within_us=0)


def at(ms: float, kind: type[Event], node: str = "n1", **fields: Any) -> Event:
    return kind(node=node, inc=1, t_us=round(ms * MS), **fields)


def sends(ms: float, *to: str, type: str = "AppendEntries") -> list[Event]:
    return [at(ms, MessageSent, to=peer, number=1, type=type) for peer in to]


def told(ms: float, kind: type[Event], **fields: Any) -> Event:
    return at(ms, kind, HARNESS, **fields)


LEADS = at(10, RoleChanged, role="leader", term=1, leader="n1")
OF_ONE = [LEADS, *sends(10, "n2", "n3"), *sends(25, "n2"), *sends(40, "n2")]
"""n3 gets nothing for 30 ms."""


def verdict(*events: Event, pace: Pace | None = PACE, ends: Event = VIRTUAL) -> Verdict | None:
    judge = Judge(voters=("n1", "n2", "n3"), pace=pace)
    for event in (*events, ends):
        judge.observe(event)
    return next((one for one in judge.verdicts() if one.invariant == "heartbeats"), None)


def outcome(*events: Event, **how: Any) -> str | None:
    found = verdict(*events, **how)
    return found.outcome if found is not None else None


def test_a_leader_that_sends_to_all_in_time_is_right() -> None:
    assert outcome(LEADS, *sends(10, "n2", "n3"), *sends(30, "n2", "n3"), *sends(50, "n3", "n2")) == "valid"


def test_what_it_sends_to_one_does_not_count_for_another() -> None:
    found = verdict(*OF_ONE)
    assert found is not None and found.outcome == "violated"
    (violation,) = found.violations
    assert violation.message == (
        "n1 (incarnation 1), leader of term 1, had sent n3 nothing for 30000 µs; its heartbeat interval is 20000 µs"
    )
    assert violation.witness == (LEADS, OF_ONE[-1])


def test_a_leader_that_sends_nothing_at_all_is_late_with_the_next_that_it_sends() -> None:
    assert outcome(LEADS, *sends(10, "n2", "n3"), *sends(35, "n2", "n3")) == "violated"


def test_what_arrives_does_not_show_that_it_still_leads() -> None:
    """The report that it has stepped down waits for the disk, and has the time of the step."""
    answer = at(35, MessageReceived, sender="n2", sender_inc=1, number=1, type="AppendEntriesReply", term=1)
    deposed = at(20, RoleChanged, role="follower", term=2, leader=None)
    assert outcome(LEADS, *sends(10, "n2", "n3"), answer, deposed) in ("valid", None)


def test_from_its_election_on() -> None:
    assert outcome(LEADS, *sends(10, "n2"), *sends(29, "n2"), *sends(35, "n2")) == "violated"


def test_a_part_of_a_snapshot_is_a_heartbeat_too() -> None:
    snapshot = sends(30, "n3", type="InstallSnapshot")
    assert outcome(LEADS, *sends(10, "n2", "n3"), *snapshot, *sends(30, "n2"), *sends(45, "n2")) == "valid"


def test_who_is_no_member_gets_nothing_and_a_new_member_from_then_on() -> None:
    two, three = Members(voters=("n1", "n2")), Members(voters=("n1", "n2"), learners=("n3",))
    uses = at(5, ConfigurationUsed, index=1, members=two)
    assert outcome(uses, *OF_ONE) == "valid"
    joined = at(41, ConfigurationUsed, index=2, members=three)
    assert outcome(uses, *OF_ONE, joined, *sends(60, "n2", "n3")) == "valid"
    assert outcome(uses, *OF_ONE, joined, *sends(60, "n2"), *sends(70, "n2")) == "violated"


@pytest.mark.parametrize(
    "ended",
    [
        at(20, RoleChanged, role="follower", term=1, leader=None),
        at(20, Started, term=1, voted_for=None, last_index=0, digest=""),
    ],
)
def test_who_leads_no_more_owes_nothing(ended: Event) -> None:
    answer = at(50, MessageReceived, sender="n2", sender_inc=1, number=1, type="AppendEntriesReply", term=1)
    assert outcome(LEADS, *sends(10, "n2", "n3"), ended, answer) in ("valid", None)


@pytest.mark.parametrize(
    "excuse",
    [
        [told(15, NodePaused, subject="n1", subject_inc=1), told(30, NodeResumed, subject="n1", subject_inc=1)],
        [
            told(15, FaultInjected, fault="f1", type="clock", targets=("n1",)),
            told(30, FaultHealed, fault="f1", type="clock", effective=True),
        ],
        [
            told(15, FaultInjected, fault="f1", type="starve", targets=("n1",)),
            told(30, FaultHealed, fault="f1", type="starve", effective=True),
        ],
    ],
)
def test_a_leader_that_was_held_up_or_has_a_wrong_clock_is_excused_that_once(excuse: list[Event]) -> None:
    assert outcome(*OF_ONE, *excuse) == "valid"
    assert outcome(*excuse, *OF_ONE) == "valid"
    assert outcome(*excuse, *OF_ONE, *sends(55, "n2"), *sends(70, "n2")) == "violated"


def test_it_is_judged_in_virtual_time_and_for_our_own_raft_alone() -> None:
    assert outcome(*OF_ONE, ends=REAL) is None
    assert outcome(*OF_ONE, pace=None) is None
