"""followed_leader: n1 and n2 of three nodes, in a few terms."""

from __future__ import annotations

from raft_chaos.invariants.events import Event, Role, RoleChanged, Started
from raft_chaos.invariants.judge import Judge
from raft_chaos.invariants.verdict import Verdict


def role(node: str, role: Role, term: int, leader: str | None, inc: int = 1) -> Event:
    return RoleChanged(node=node, inc=inc, t_us=10, role=role, term=term, leader=leader)


def verdict(*events: Event) -> Verdict | None:
    judge = Judge(voters=("n1", "n2", "n3"))
    for event in (START, *events):
        judge.observe(event)
    return next((one for one in judge.verdicts() if one.invariant == "followed_leader"), None)


def outcome(*events: Event) -> str | None:
    found = verdict(*events)
    return found.outcome if found is not None else None


START = Started(node="n1", inc=1, t_us=0, term=0, voted_for=None, last_index=0, digest="")
LEADS = role("n1", "leader", 1, "n1")
FOLLOWS = role("n2", "follower", 1, "n1")


def test_a_node_follows_the_leader_of_its_term_in_whatever_order_the_two_report() -> None:
    assert outcome(LEADS, FOLLOWS) == outcome(FOLLOWS, LEADS) == "valid"


def test_a_node_that_keeps_the_leader_of_an_earlier_term_is_convicted() -> None:
    late = role("n2", "follower", 2, "n1")
    found = verdict(LEADS, FOLLOWS, late)
    assert found is not None and found.outcome == "violated"
    (violation,) = found.violations
    assert violation.message == "n2 (incarnation 1) followed n1 in term 2, which n1 never led"
    assert violation.witness == (late,)


def test_a_candidate_that_did_not_win_leads_nobody() -> None:
    assert outcome(role("n3", "candidate", 2, None), role("n2", "follower", 2, "n3")) == "violated"


def test_a_leader_that_has_died_has_led() -> None:
    assert outcome(LEADS, role("n1", "follower", 1, None, inc=2), FOLLOWS) == "valid"


def test_whoever_follows_nobody_is_not_judged() -> None:
    assert outcome(LEADS, role("n2", "follower", 2, None)) is None
