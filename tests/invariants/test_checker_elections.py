"""election_safety, one_vote_per_term and term_has_candidate: each way to violate them, with a similar correct run."""

from __future__ import annotations

import pytest

from event_scripts import appends, follows, judged, leads, started, violated, votes
from raft_chaos.invariants.events import Event


def test_two_leaders_of_one_term() -> None:
    first, second = leads("n1", 3), leads("n2", 3)
    verdict = judged(started("n1"), started("n2"), first, second)["election_safety"]
    assert verdict.outcome == "violated"
    assert verdict.violations[0].witness == (first, second)
    assert "term 3" in verdict.violations[0].message


def test_a_dead_leader_still_counts() -> None:
    verdicts = judged(started("n1"), leads("n1", 2), started("n1", inc=2, term=2, voted_for="n1"), leads("n2", 2))
    assert violated(verdicts) == ["election_safety"]


def test_a_restarted_node_leads_its_old_term_again() -> None:
    script = [started("n1"), leads("n1", 2), started("n1", inc=2, term=2, voted_for="n1"), leads("n1", 2, inc=2)]
    assert violated(judged(script)) == ["election_safety"]


def test_a_node_leads_again_in_a_new_term() -> None:
    script = [started("n1"), leads("n1", 2), votes("n1", 3, "n2"), follows("n1", 3)]
    script += [leads("n1", 4), leads("n1", 4), leads("n2", 5)]
    verdicts = judged(script)
    assert violated(verdicts) == []
    assert verdicts["election_safety"].outcome == "valid"


def test_unknown_without_a_leader() -> None:
    assert judged(started("n1"), follows("n1", 2))["election_safety"].outcome == "unknown"


def test_two_votes_in_one_term() -> None:
    first, second = votes("n3", 2, "n1"), votes("n3", 2, "n2")
    verdict = judged(started("n3"), first, second)["one_vote_per_term"]
    assert verdict.outcome == "violated"
    assert verdict.violations[0].witness == (first, second)


def test_two_votes_in_one_term_across_a_restart() -> None:
    script = [started("n3"), votes("n3", 2, "n1"), started("n3", inc=2, term=2, voted_for="n1")]
    assert violated(judged(script, votes("n3", 2, "n2", inc=2))) == ["one_vote_per_term"]


def test_a_restart_forgets_the_vote() -> None:
    script = [started("n3"), votes("n3", 2, "n1"), started("n3", inc=2, term=2, voted_for=None)]
    assert violated(judged(script)) == ["one_vote_per_term"]


def test_a_restart_remembers_another_vote() -> None:
    script = [started("n3"), votes("n3", 2, "n1"), started("n3", inc=2, term=2, voted_for="n2")]
    assert violated(judged(script)) == ["one_vote_per_term"]


def test_a_vote_known_only_from_the_disk_binds() -> None:
    script = [started("n3"), started("n3", inc=2, term=2, voted_for="n1"), votes("n3", 2, "n2", inc=2)]
    assert violated(judged(script)) == ["one_vote_per_term"]


def test_votes_may_be_repeated_remembered_and_granted_again_in_the_next_term() -> None:
    script = [started("n3"), votes("n3", 2, "n1"), votes("n3", 2, "n1"), started("n3", 2, 2, "n1")]
    verdicts = judged(script, votes("n3", 3, "n2", inc=2), started("n3", 3, 4, None), votes("n3", 4, "n1", inc=3))
    assert violated(verdicts) == []
    assert verdicts["one_vote_per_term"].outcome == "valid"


def test_the_disk_may_hold_a_vote_that_no_event_reported() -> None:
    verdicts = judged(started("n3"), started("n3", inc=2, term=2, voted_for="n1"), votes("n3", 2, "n1", inc=2))
    assert violated(verdicts) == []


def test_unknown_without_a_vote() -> None:
    assert judged(started("n1"), appends("n1", "1a"))["one_vote_per_term"].outcome == "unknown"


# ---- term_has_candidate ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "stood",
    [
        [votes("n2", 3, "n2")],
        [votes("n3", 3, "n2")],
        [leads("n2", 3)],
        [started("n2", 2, 3, "n2")],
        [started("n2", 1, 3)],
    ],
)
def test_a_term_in_which_somebody_stood_may_be_entered(stood: list[Event]) -> None:
    script = [started("n1"), follows("n1", 3)]
    for order in ([script, stood], [stood, script]):
        assert judged(*order)["term_has_candidate"].outcome == "valid"


def test_a_term_in_which_nobody_stood_convicts_once() -> None:
    script = [started("n1"), votes("n2", 2, "n2"), follows("n1", 2), follows("n1", 3), follows("n3", 3)]
    verdict = judged(script)["term_has_candidate"]
    assert verdict.outcome == "violated"
    assert [one.message for one in verdict.violations] == [
        "n1 (incarnation 1) entered term 3, in which nobody stood for election"
    ]


def test_a_restart_in_a_term_shows_no_candidate_of_its_own() -> None:
    assert violated(judged(started("n1"), follows("n1", 3), started("n1", 2, 3))) == ["term_has_candidate"]
