"""stable_leadership: all is healed at 1,000 µs, and settled at 1,400 µs (recovery's bound: 4,000)."""

from __future__ import annotations

from event_scripts import judged, started
from raft_chaos.invariants.events import (
    HARNESS,
    Event,
    NodeExited,
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


LED = [role("n1", 1_100, "leader", 2, "n1"), *(role(node, 1_110, "follower", 2, "n1") for node in ("n2", "n3"))]


def verdict(*nodes: Event, harness: tuple[Event, ...] = (), within_us: int = 4_000) -> Verdict | None:
    """The verdict on this history; None if nothing was judged. The harness's events come before the nodes' or after."""
    reported = [*map(started, NODES), *nodes]
    told = [at(0, NodeLaunched, subject=node, subject_inc=1) for node in NODES]
    told += [*harness, at(1_000, PhaseStarted, phase="liveness", within_us=within_us), at(3_000, RunEnded, reason="")]
    first, second = (judged(one, other).get("stable_leadership") for one, other in ((told, reported), (reported, told)))
    assert first == second
    return first


def test_a_node_stands_against_a_leader_that_all_follow() -> None:
    stands = role("n3", 1_500, "candidate", 3)
    found = verdict(*LED, stands)
    assert found is not None
    assert [violation.message for violation in found.violations] == [
        "n3 entered term 3 although all nodes followed n1, the leader of term 2, and no fault was left"
    ]
    assert found.violations[0].witness[-1] == stands


def test_the_leader_stays() -> None:
    found = verdict(*LED)
    assert found is not None and found.outcome == "valid"


def test_before_all_has_settled_a_leader_may_be_deposed() -> None:
    found = verdict(*LED, role("n3", 1_300, "candidate", 3))
    assert found is None


def test_a_node_that_does_not_follow_may_depose_the_leader() -> None:
    assert verdict(*LED[:2], role("n3", 1_200, "candidate", 3), role("n3", 1_500, "candidate", 4)) is None


def test_a_node_that_has_ended_need_not_follow() -> None:
    gone = at(900, NodeExited, subject="n3", subject_inc=1, exit_code=1)
    found = verdict(*LED[:2], role("n2", 1_500, "candidate", 3), harness=(gone,))
    assert found is not None and found.outcome == "violated"


def test_real_time_is_not_judged() -> None:
    assert verdict(*LED, role("n3", 1_500, "candidate", 3), within_us=0) is None


def test_a_leader_that_ends_by_itself_is_not_deposed() -> None:
    """That is an unexpected exit, and the others must elect another leader."""
    gone = at(1_450, NodeExited, subject="n1", subject_inc=1, exit_code=70)
    elected = [role("n3", 1_500, "candidate", 3), role("n3", 1_510, "leader", 3, "n3")]
    reported = [*map(started, NODES), *LED, *elected]
    told = [at(0, NodeLaunched, subject=node, subject_inc=1) for node in NODES]
    told += [at(1_000, PhaseStarted, phase="liveness", within_us=4_000), gone, at(3_000, RunEnded, reason="")]
    for one, other in ((told, reported), (reported, told)):
        found = judged(one, other).get("stable_leadership")
        assert found is None or found.outcome != "violated"
