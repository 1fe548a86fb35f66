"""learner_promotion: n1 leads term 1 with a learner, n3, and a shortest election timeout of 100 ms. Times are in ms."""

from __future__ import annotations

from typing import Any

import pytest

from raft_chaos.invariants.events import (
    HARNESS,
    ConfigurationUsed,
    EntryAppended,
    Event,
    FaultInjected,
    Members,
    MessageReceived,
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
LEARNING, PROMOTED = Members(voters=("n1", "n2"), learners=("n3",)), Members(voters=("n1", "n2", "n3"))


def at(ms: float, kind: type[Event], node: str = "n1", **fields: Any) -> Event:
    return kind(node=node, inc=1, t_us=round(ms * MS), **fields)


def entry(ms: float, index: int, members: Members | None = None, term: int = 1) -> Event:
    return at(ms, EntryAppended, index=index, term=term, digest=f"{index:016x}", size=1, members=members)


def answers(ms: float, match_index: int = 0, sender: str = "n3") -> Event:
    """An acknowledgement; of nothing, a rejection."""
    fields = {"sender": sender, "sender_inc": 1, "number": 1, "type": "AppendEntriesReply", "term": 1}
    return at(ms, MessageReceived, match_index=match_index, **fields)


def promotes(ms: float, index: int, term: int = 1) -> list[Event]:
    return [at(ms, ConfigurationUsed, index=index, members=PROMOTED), entry(ms + 5, index, PROMOTED, term)]


START = [
    at(0, Started, term=0, voted_for=None, last_index=0, digest=""),
    at(10, RoleChanged, role="leader", term=1, leader="n1"),
    entry(20, 1),
    at(30, ConfigurationUsed, index=2, members=LEARNING),
    entry(35, 2, LEARNING),
]
CAUGHT_UP = [answers(60, 2), answers(80, 2)]
MISSED = [entry(ms, index) for ms, index in ((100, 3), (120, 4), (140, 5))]


def verdict(*events: Event | list[Event], harness: tuple[Event, ...] = (VIRTUAL,)) -> Verdict | None:
    judge = Judge(voters=("n1", "n2", "n3"), pace=PACE)
    for part in (*events, *harness):
        for event in part if isinstance(part, list) else [part]:
            judge.observe(event)
    return next((one for one in judge.verdicts() if one.invariant == "learner_promotion"), None)


def outcome(*events: Event | list[Event], harness: tuple[Event, ...] = (VIRTUAL,)) -> str:
    found = verdict(*events, harness=harness)
    return found.outcome if found is not None else ""


def test_a_learner_that_has_caught_up_may_vote() -> None:
    assert outcome(START, CAUGHT_UP, promotes(90, 3)) == "valid"
    assert outcome(START, CAUGHT_UP) == ""  # nobody was promoted


def test_what_comes_while_it_answers_it_may_still_lack() -> None:
    assert outcome(START, CAUGHT_UP, MISSED, answers(150, 2), promotes(160, 6)) == "valid"


def test_a_learner_that_never_got_the_log_may_not_vote() -> None:
    found = verdict(START, answers(60), promotes(90, 3))
    assert found is not None and found.outcome == "violated"
    (violation,) = found.violations
    assert violation.message == (
        f"n1 (incarnation 1) gave n3 a vote (entry 3: {PROMOTED}), which had acknowledged entries up to 0 in this term "
        "(1); the log had 1 when it became a learner"
    )


@pytest.mark.parametrize(("acknowledged", "expected"), [(4, "violated"), (5, "valid")])
def test_a_learner_that_was_silent_needs_what_its_leader_had_when_it_answered_again(
    acknowledged: int, expected: str
) -> None:
    back = [answers(200), answers(210, acknowledged)]
    assert outcome(START, CAUGHT_UP, MISSED, back, promotes(220, 6)) == expected


def test_a_learner_that_is_silent_may_not_vote() -> None:
    assert outcome(START, CAUGHT_UP, promotes(180, 3)) == "valid"
    found = verdict(START, CAUGHT_UP, promotes(190, 3))
    assert found is not None and found.outcome == "violated"
    assert found.violations[0].message == (
        f"n1 (incarnation 1) gave n3 a vote (entry 3: {PROMOTED}), which had not answered for 110000 µs; the shortest "
        "election timeout is 100000 µs"
    )


def stream(behind_ms: int) -> list[Event]:
    """An entry every 20 ms, from 3 at 40 ms on. n3 answers as often, with all that the log had so long before."""
    seen: list[Event] = [answers(30)]
    for index, ms in enumerate(range(40, 400, 20), 3):
        seen += [entry(ms, index), answers(ms + 1, max(0, index - behind_ms // 20))]
    return seen


def test_a_learner_that_always_lacks_more_than_an_election_timeout_may_not_vote() -> None:
    assert outcome(START, stream(80), promotes(390, 21)) == "valid"
    found = verdict(START, stream(140), promotes(390, 21))
    assert found is not None and found.outcome == "violated"
    assert found.violations[0].message == (
        f"n1 (incarnation 1) gave n3 a vote (entry 21: {PROMOTED}), which had not acknowledged in this term (1) what "
        "the log had had the shortest election timeout before (100000 µs), but at best entries up to 13"
    )


def test_one_short_round_is_enough() -> None:
    """It had all once; since then it lacks more and more, but is not silent."""
    lags = [answers(ms, 8) for ms in range(160, 390, 20)]
    later = [one for one in stream(0) if isinstance(one, EntryAppended)]
    assert outcome(START, later[:6], answers(145, 8), later[6:], lags, promotes(390, 21)) == "valid"


def test_what_was_appended_is_known_once_it_is_durable() -> None:
    """The reports of what the log had come after the promotion, and before that of its own entry."""
    used, appended = promotes(390, 21)
    entries = [one for one in stream(140) if isinstance(one, EntryAppended)]
    heard = [one for one in stream(140) if isinstance(one, MessageReceived)]
    assert outcome(START, heard, used, entries, appended) == "violated"


def test_the_answer_of_another_node_is_none_of_its_own() -> None:
    others = [answers(ms, 5, sender="n2") for ms in range(80, 200, 20)]
    assert outcome(START, CAUGHT_UP, MISSED, others, answers(200), promotes(220, 6)) == "violated"


def test_a_configuration_of_another_leader_is_no_promotion_of_this_one() -> None:
    assert outcome(START, CAUGHT_UP, MISSED, answers(200), promotes(220, 6, term=2)) == "valid"


def test_a_leader_whose_clock_was_wrong_is_not_judged() -> None:
    clock = at(50, FaultInjected, HARNESS, fault="f1", type="clock", targets=("n1",), detail="")
    early = (START, CAUGHT_UP, MISSED, answers(200), promotes(220, 6))
    assert outcome(*early) == "violated"
    assert outcome(*early, harness=(clock, VIRTUAL)) == "valid"
    real = PhaseStarted(node=HARNESS, inc=1, t_us=900 * MS, phase="liveness", within_us=0)
    assert outcome(*early, harness=(real,)) == "violated"
    assert outcome(*early, harness=(clock, real)) == "valid"
