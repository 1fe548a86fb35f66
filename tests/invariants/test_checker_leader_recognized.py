"""leader_recognized: n1 is elected in term 2 at 1,000 µs, and judged is what n2 and n3 are at 1,100 µs.

Recovery's bound, 8,000 µs, gives these 100 µs.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from event_scripts import judged, started
from raft_chaos.invariants.events import (
    HARNESS,
    Event,
    FaultHealed,
    FaultInjected,
    NodeKilled,
    NodeLaunched,
    PhaseStarted,
    Role,
    RoleChanged,
    RunEnded,
)
from raft_chaos.invariants.verdict import Verdict

NODES = ("n1", "n2", "n3")


def at(t_us: int, kind: type[Event], **fields: object) -> Event:
    return kind(node=HARNESS, inc=1, t_us=t_us, **fields)


def role(node: str, t_us: int, role: Role, term: int, leader: str | None = None) -> Event:
    return RoleChanged(node=node, inc=1, t_us=t_us, role=role, term=term, leader=leader)


ELECTED = role("n1", 1_000, "leader", 2, "n1")
FOLLOWS = role("n2", 1_020, "follower", 2, "n1")
VOTED = role("n3", 980, "follower", 2)
FOLLOWED = role("n3", 1_090, "follower", 2, "n1")


def verdict(*nodes: Event, harness: Iterable[Event] = (), within_us: int = 8_000) -> Verdict | None:
    """The verdict on this history; None if nothing was judged. The harness's events come before the nodes' or after."""
    reported = [*map(started, NODES), *nodes]
    told = [at(0, NodeLaunched, subject=node, subject_inc=1) for node in NODES]
    ends = [at(2_000, PhaseStarted, phase="liveness", within_us=within_us), at(3_000, RunEnded, reason="done")]
    told += [*harness, *ends]
    first, second = (judged(one, other).get("leader_recognized") for one, other in ((told, reported), (reported, told)))
    assert first == second
    return first


def test_a_voter_of_the_loser_follows_nobody() -> None:
    found = verdict(VOTED, ELECTED, FOLLOWS)
    assert found is not None
    assert [violation.message for violation in found.violations] == [
        "n3 does not recognize n1 as the leader of term 2: 100 µs after the election it was in term 2 and followed "
        "nobody, although no fault was between the two"
    ]
    assert list(found.violations[0].witness) == [ELECTED, VOTED]


def test_all_follow_in_time() -> None:
    found = verdict(VOTED, ELECTED, FOLLOWS, FOLLOWED)
    assert found is not None and (found.outcome, found.judged) == ("valid", 2)
    late = verdict(VOTED, ELECTED, FOLLOWS, role("n3", 1_101, "follower", 2, "n1"))
    assert late is not None and late.outcome == "violated"


def test_a_node_of_a_later_term_is_right_not_to_follow() -> None:
    later = verdict(VOTED, ELECTED, FOLLOWS, role("n3", 1_050, "candidate", 3))
    assert later is not None and (later.outcome, later.judged) == ("valid", 2)
    before = verdict(role("n3", 900, "candidate", 3), ELECTED, FOLLOWS)
    assert before is not None and (before.outcome, before.judged) == ("valid", 1)


def test_a_leader_that_is_deposed_at_once_is_not_judged() -> None:
    assert verdict(VOTED, ELECTED, role("n1", 1_099, "follower", 3), FOLLOWS) is None


CUT = at(500, FaultInjected, fault="f1", type="partition", targets=("n1", "n3"), links=(("n1", "n3"),))
SLOW = at(500, FaultInjected, fault="f1", type="network", targets=("n3",))
DEAD = at(500, NodeKilled, subject="n3", subject_inc=1)


@pytest.mark.parametrize("fault", [CUT, SLOW, DEAD], ids=["cut", "slow", "dead"])
def test_a_node_that_a_fault_separates_is_not_judged(fault: Event) -> None:
    found = verdict(VOTED, ELECTED, FOLLOWS, harness=[fault])
    assert found is not None and (found.outcome, found.judged) == ("valid", 1)


def test_a_change_meanwhile_leaves_nothing_to_judge() -> None:
    assert verdict(VOTED, ELECTED, FOLLOWS, harness=[at(1_050, NodeKilled, subject="n3", subject_inc=1)]) is None


def test_late_frames_are_waited_for() -> None:
    def after(kind: str) -> list[Event]:
        on = at(100, FaultInjected, fault="f1", type=kind, targets=("n3",))
        return [on, at(201, FaultHealed, fault="f1", type=kind, effective=True)]

    assert verdict(VOTED, ELECTED, FOLLOWS, harness=after("network")) is None
    found = verdict(VOTED, ELECTED, FOLLOWS, harness=after("pause"))
    assert found is not None and found.outcome == "violated"


def test_real_time_is_not_judged() -> None:
    assert verdict(VOTED, ELECTED, FOLLOWS, within_us=0) is None
