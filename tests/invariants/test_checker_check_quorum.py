"""check_quorum: three nodes, election timeouts of 100 to 200 ms, heartbeats of 20. All times of this file are in ms."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from msgspec.structs import replace

from raft_chaos.invariants.events import (
    HARNESS,
    CommitAdvanced,
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
    Role,
    RoleChanged,
    Started,
)
from raft_chaos.invariants.judge import Judge
from raft_chaos.invariants.pace import Pace
from raft_chaos.invariants.verdict import Verdict

MS = 1_000
PLAIN = Pace(20 * MS, 10, 1, (100 * MS, 200 * MS))
PACE = replace(PLAIN, check_quorum=True)
VIRTUAL = PhaseStarted(node=HARNESS, inc=1, t_us=900 * MS, phase="liveness", within_us=1)
REAL = PhaseStarted(node=HARNESS, inc=1, t_us=900 * MS, phase="liveness", within_us=0)


def at(ms: float, kind: type[Event], node: str = "n1", **fields: Any) -> Event:
    return kind(node=node, inc=1, t_us=round(ms * MS), **fields)


def role(ms: float, role: Role, term: int, leader: str | None = None) -> Event:
    return at(ms, RoleChanged, role=role, term=term, leader=leader)


def answer(ms: float, sender: str = "n2", term: int = 1) -> Event:
    """An acknowledgement; with term 0 a rejection."""
    return at(ms, MessageReceived, sender=sender, sender_inc=1, number=1, type="AppendEntriesReply", term=term)


def sends(ms: float) -> Event:
    return at(ms, MessageSent, to="n2", number=1, type="AppendEntries")


def told(ms: float, kind: type[Event], **fields: Any) -> Event:
    return at(ms, kind, HARNESS, **fields)


START = at(0, Started, term=0, voted_for=None, last_index=0, digest="")
LEADS = role(100, "leader", 1, "n1")


def verdict(
    *reported: Event, harness: Iterable[Event] = (VIRTUAL,), pace: Pace | None = PACE, nodes: int = 3
) -> Verdict | None:
    """The verdict on what n1 reported after it became leader; the harness's events come before or after that."""
    streams = [list(harness), [START, LEADS, *reported]]
    found = []
    for order in (streams, streams[::-1]):
        judge = Judge(voters=[f"n{number}" for number in range(1, nodes + 1)], pace=pace)
        for stream in order:
            judge.observe_all(stream)
        found.append({one.invariant: one for one in judge.verdicts()}.get("check_quorum"))
    assert found[0] == found[1]
    return found[0]


def said(*reported: Event, **how: Any) -> list[str]:
    found = verdict(*reported, **how)
    return [] if found is None else [violation.message for violation in found.violations]


# ---- too soon -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pace", [PLAIN, PACE])
@pytest.mark.parametrize("harness", [[VIRTUAL], [REAL]])
def test_a_leader_that_a_majority_acknowledges_must_not_step_down(pace: Pace, harness: list[Event]) -> None:
    (message,) = said(answer(150), role(240, "follower", 1), pace=pace, harness=harness)
    assert message.startswith("n1 (incarnation 1) stepped down in its own term 1, although a majority had")
    assert "within 90000 µs; its shortest election timeout is 100000 µs" in message
    assert not said(answer(150), role(250, "follower", 1), pace=pace, harness=harness)


def test_a_larger_term_deposes_any_leader() -> None:
    assert not said(answer(150), role(160, "follower", 2))


def test_only_acknowledgements_of_its_own_term_count() -> None:
    assert not said(answer(150, term=0), role(160, "follower", 1))


def test_of_five_nodes_two_others_must_have_acknowledged() -> None:
    assert not said(answer(150), answer(160), role(170, "follower", 1), nodes=5)
    assert said(answer(150), answer(160, "n3"), role(170, "follower", 1), nodes=5)
    assert not said(answer(150), answer(260, "n3"), role(270, "follower", 1), nodes=5), "one of them long ago"


# ---- too late -------------------------------------------------------------------------------------------------------


def test_a_leader_without_a_majority_must_not_lead_on() -> None:
    (message,) = said(answer(150), sends(271), sends(290))
    assert message.startswith("n1 (incarnation 1) led term 1 on, although no majority had answered for 121000 µs")
    assert not said(answer(150), sends(270))


def test_the_time_begins_with_the_leadership() -> None:
    assert not said(sends(220))
    assert said(sends(221))


def test_any_answer_keeps_it_a_leader() -> None:
    assert not said(answer(190, term=0), sends(300))
    assert said(answer(190), answer(300, "n3"), sends(330), nodes=5), "one of two, and this one alone"


def test_in_plain_raft_and_in_real_time_it_leads_on() -> None:
    assert not said(sends(900), pace=PLAIN)
    assert not said(sends(900), harness=[REAL])


# ---- what excuses ---------------------------------------------------------------------------------------------------


def test_a_wrong_clock_excuses_both() -> None:
    clock = [
        told(160, FaultInjected, fault="f1", type="clock", targets=("n1",)),
        told(180, FaultHealed, fault="f1", type="clock", effective=True),
    ]
    assert not said(answer(150), role(170, "follower", 1), harness=[*clock, VIRTUAL])
    assert not said(answer(150), sends(300), harness=[*clock, VIRTUAL])
    assert said(answer(190), role(200, "follower", 1), harness=[*clock, VIRTUAL])
    assert not said(answer(190), role(200, "follower", 1), harness=[*clock, REAL]), "nobody knows when it was wrong"


def test_a_pause_excuses_lateness_only() -> None:
    pause = [told(160, NodePaused, subject="n1", subject_inc=1), told(290, NodeResumed, subject="n1", subject_inc=1)]
    assert not said(answer(150), sends(300), harness=[*pause, VIRTUAL])
    assert said(answer(150), role(240, "follower", 1), harness=[*pause, VIRTUAL])


def test_nothing_to_judge_is_no_verdict() -> None:
    assert verdict(pace=PLAIN) is None
    assert verdict(pace=None) is None
    assert verdict(pace=Pace(20 * MS, 10, 1)) is None
    found = verdict()
    assert found is not None
    assert (found.outcome, found.judged) == ("valid", 1)


# ---- other members (§6) ----------------------------------------------------------------------------------------------


def uses(ms: float, *voters: str, old: tuple[str, ...] = (), index: int = 5) -> Event:
    return at(ms, ConfigurationUsed, index=index, members=Members(voters=voters, old_voters=old))


def commits(ms: float, index: int) -> Event:
    return at(ms, CommitAdvanced, index=index, term=1)


GONE = role(200, "follower", 1)


@pytest.mark.parametrize(
    ("used", "answers", "too_soon"),
    [
        (uses(110, "n1", "n2", "n3"), ("n2",), True),
        (uses(110, "n1", "n3"), ("n2",), False),
        (uses(110, "n1", "n3", old=("n1", "n2")), ("n2",), False),
        (uses(110, "n1", "n3", old=("n1", "n2")), ("n2", "n3"), True),
        (uses(110, "n1"), (), True),
        (uses(110, "n2", "n3"), ("n2", "n3"), False),
    ],
)
def test_a_leader_may_step_down_by_the_members_that_it_uses(
    used: Event, answers: tuple[str, ...], too_soon: bool
) -> None:
    """One that does not vote has to, once that is committed."""
    found = said(used, *(answer(150, peer) for peer in answers), GONE)
    assert len(found) == too_soon, found


@pytest.mark.parametrize(
    ("reported", "too_soon"),
    [
        ([], False),  # nobody knows
        ([commits(200, 5)], False),
        ([commits(200, 4), commits(200, 5)], False),  # their reports have waited for the disk
        ([commits(300, 4)], False),  # it may be committed yet, before it is committed here
        ([commits(300, 5)], True),
        ([commits(200, 4), commits(300, 7)], True),
        ([at(250, Started, term=1, voted_for=None, last_index=5, digest=""), commits(300, 5)], False),
    ],
)
def test_a_leader_without_a_vote_leads_until_that_is_committed(reported: list[Event], too_soon: bool) -> None:
    found = said(uses(110, "n2", "n3"), answer(150, "n2"), answer(150, "n3"), GONE, *reported)
    assert len(found) == too_soon, found
    if found:
        assert found[0].endswith("; it has no vote by entry 5, which was not committed yet")
    assert not said(uses(110, "n2", "n3"), answer(150, "n2"), GONE, *reported), "it has lost its majority"
    committed = uses(110, "n2", "n3"), answer(150, "n2"), answer(150, "n3"), commits(200, 5), GONE
    assert not said(*committed, *reported), "it has reported the commit before"
    later = answer(150, "n2"), answer(150, "n3"), uses(210, "n2", "n3"), GONE
    assert not said(*later, *reported), "it uses these members since it stepped down"


def test_a_leader_must_step_down_by_the_members_that_it_uses() -> None:
    alive = [event for ms in range(110, 400, 10) for event in (answer(ms, "n2"), sends(ms + 1))]
    assert said(uses(105, "n1", "n2"), *alive) == []
    (found,) = said(uses(105, "n1", "n3"), *alive)
    assert "led term 1 on, although no majority had answered" in found
    late = [event for event in alive if event.t_us < 300 * MS]
    assert said(*late, uses(300, "n1", "n3"), sends(310), sends(400)) == [], "n3 counts as heard when it becomes one"


def test_a_restart_uses_the_first_members_again_until_it_reports_others() -> None:
    again = at(210, Started, term=1, voted_for=None, last_index=0, digest="")
    leads = role(300, "leader", 2, "n1")
    steps_down = role(350, "follower", 2)
    assert len(said(uses(110, "n1", "n3"), again, leads, answer(340, "n2", 2), steps_down)) == 1
    assert said(again, uses(220, "n1", "n3"), leads, answer(340, "n2", 2), steps_down) == []


def test_the_only_voter_needs_no_answers() -> None:
    """It has learners, whose answers count for nothing."""
    assert said(uses(105, "n1"), *(sends(ms) for ms in range(110, 500, 10))) == []
    assert len(said(*(sends(ms) for ms in range(110, 500, 10)))) == 1
