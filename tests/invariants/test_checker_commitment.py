"""leader_completeness, state_machine_safety, monotonicity: each way to violate them, with a similar correct run."""

from __future__ import annotations

import pytest

from event_scripts import (
    appends,
    applies,
    commits,
    follows,
    judged,
    leads,
    started,
    truncates,
    violated,
    votes,
)
from raft_chaos.invariants.events import Event

BOTH = [started("n1"), started("n2")]


# ---- leader_commits_own_term (§5.4.2) ----


def test_a_leader_commits_an_entry_of_an_earlier_term_by_itself() -> None:
    script = [*appends("n1", "1a"), leads("n1", 3), *appends("n1", "3b", after="1a"), commits("n1", 1, term=3)]
    verdict = judged(*BOTH, script)["leader_commits_own_term"]
    assert verdict.outcome == "violated"
    assert verdict.violations[0].witness == (*appends("n1", "1a"), leads("n1", 3), commits("n1", 1, term=3))


def test_a_leader_commits_it_along_with_one_of_its_own() -> None:
    script = [*appends("n1", "1a"), leads("n1", 3), *appends("n1", "3b", after="1a"), commits("n1", 2, term=3)]
    assert judged(*BOTH, script)["leader_commits_own_term"].outcome == "valid"


def test_a_follower_commits_what_the_leader_tells_it() -> None:
    script = [*appends("n1", "1a 3b"), leads("n1", 1), follows("n1", 3), commits("n1", 1, term=3)]
    assert judged(*BOTH, script)["leader_commits_own_term"].outcome == "unknown"


def test_a_commit_that_is_reported_after_the_leader_stepped_down_is_judged() -> None:
    script = [*appends("n1", "1a"), leads("n1", 3), follows("n1", 4), commits("n1", 1, term=3)]
    assert judged(*BOTH, script)["leader_commits_own_term"].outcome == "violated"


def test_a_restarted_leader_is_a_follower() -> None:
    script = [*appends("n1", "1a"), leads("n1", 3), started("n1", 2, 3, "n1", "1a"), *appends("n1", "1a", inc=2)]
    assert judged(*BOTH, script, commits("n1", 1, 3, inc=2))["leader_commits_own_term"].outcome == "unknown"


# ---- leader_completeness (§5.4.3) ----


@pytest.mark.parametrize("held", ["1a", "1a 2x"], ids=["lacks it", "holds another"])
@pytest.mark.parametrize("late", [False, True], ids=["commit seen first", "election seen first"])
def test_a_later_leader_without_a_committed_entry(held: str, late: bool) -> None:
    committed: list[Event] = [*appends("n1", "1a 1b"), commits("n1", 2, term=1)]
    elected: list[Event] = [*appends("n2", held), leads("n2", 3), *appends("n2", "3z", after=held)]
    parts = [elected, committed] if late else [committed, elected]
    verdict = judged(*BOTH, *parts)["leader_completeness"]
    assert verdict.outcome == "violated"
    assert verdict.violation_count == 1
    witness = verdict.violations[0].witness
    assert witness[0] == committed[1] and witness[1] == committed[2] and witness[-1] == leads("n2", 3)


def test_a_later_leader_holds_all_that_was_committed() -> None:
    script = [*appends("n1", "1a 1b 1c"), commits("n1", 2, term=1), *appends("n2", "1a 1b 2x"), leads("n2", 3)]
    verdicts = judged(*BOTH, script)
    assert violated(verdicts) == []
    assert verdicts["leader_completeness"].outcome == "valid"


def test_figure_8_an_old_entry_committed_late_may_miss_at_leaders_in_between() -> None:
    # 2b is of term 2, but it commits only in term 4 behind 4d: the leader of term 3 owes nothing.
    script = [*appends("n1", "1a 2b"), *appends("n2", "1a"), leads("n2", 3), *appends("n2", "3c", after="1a")]
    script += [*appends("n1", "4d", after="1a 2b"), commits("n1", 3, term=4)]
    assert violated(judged(*BOTH, script)) == []
    # The leader of term 5 does.
    assert violated(judged(*BOTH, script, leads("n2", 5))) == ["leader_completeness"]


def test_figure_8_committing_the_old_entry_in_term_2_convicts_the_leader_of_term_3() -> None:
    script = [*appends("n1", "1a 2b"), commits("n1", 2, term=2), *appends("n2", "1a"), leads("n2", 3)]
    assert violated(judged(*BOTH, script)) == ["leader_completeness"]


def test_the_lowest_term_in_which_a_commit_was_seen_counts() -> None:
    late: list[Event] = [*appends("n1", "1a"), commits("n1", 1, term=4)]
    early: list[Event] = [started("n3"), *appends("n3", "1a"), commits("n3", 1, term=1)]
    assert violated(judged(*BOTH, late, leads("n2", 2))) == []
    assert violated(judged(*BOTH, late, leads("n2", 2), early)) == ["leader_completeness"]


def test_entries_that_a_leader_receives_after_its_election_do_not_count() -> None:
    elected = [*appends("n2", "1a"), leads("n2", 3), follows("n2", 4), *appends("n2", "1b", after="1a")]
    late: list[Event] = [*appends("n1", "1a 1b"), commits("n1", 2, term=1)]
    assert judged(*BOTH, elected, late)["leader_completeness"].outcome == "violated"


def test_a_lower_commit_of_a_follower_does_not_hide_a_violation() -> None:
    script = [*appends("n1", "1a 1b"), commits("n1", 2, term=1), started("n3"), *appends("n3", "1a")]
    script += [commits("n3", 1, term=1), *appends("n2", "1a"), leads("n2", 3)]
    assert violated(judged(*BOTH, script)) == ["leader_completeness"]


def test_contradicting_commits_are_each_compared_with_each_leader() -> None:
    one: list[Event] = [started("n1"), *appends("n1", "1a"), commits("n1", 1, term=1)]
    other: list[Event] = [started("n2"), *appends("n2", "1b"), commits("n2", 1, term=1)]
    elected: list[Event] = [started("n3"), *appends("n3", "1a"), leads("n3", 2)]
    for script in ([one, other, elected], [other, one, elected], [elected, one, other], [elected, other, one]):
        assert judged(*script)["leader_completeness"].outcome == "violated"


def test_unknown_without_an_election_after_a_commit() -> None:
    verdicts = judged(*BOTH, leads("n1", 1), appends("n1", "1a"), commits("n1", 1, term=1))
    assert verdicts["leader_completeness"].outcome == "unknown"


# ---- state_machine_safety (§5.4.3) ----


def test_two_nodes_apply_entries_of_different_terms() -> None:
    verdict = judged(*BOTH, applies("n1", 1, 1), applies("n2", 1, 2))["state_machine_safety"]
    assert verdict.outcome == "violated"
    assert verdict.violations[0].witness == (applies("n1", 1, 1), applies("n2", 1, 2))


def test_one_entry_leaves_two_states() -> None:
    verdict = judged(*BOTH, applies("n1", 1, 1, "x=1"), applies("n2", 1, 1, "x=2"))["state_machine_safety"]
    assert verdict.outcome == "violated"
    assert "different states" in verdict.violations[0].message


def test_a_replay_onto_a_state_that_was_not_reset() -> None:
    script = [*appends("n1", "1a"), commits("n1", 1, 1), applies("n1", 1, 1, "x=1"), started("n1", 2, 1, log="1a")]
    script += [*appends("n1", "1a", inc=2), commits("n1", 1, 1, inc=2), applies("n1", 1, 1, "x=11", inc=2)]
    assert violated(judged(started("n1"), script)) == ["state_machine_safety"]


@pytest.mark.parametrize("further", [2, 3], ids=["same index", "further"])
def test_two_nodes_commit_different_logs(further: int) -> None:
    script = [*appends("n1", "1a 1b"), commits("n1", 2, 1), *appends("n2", "1a 2x 2y"), commits("n2", further, 2)]
    verdict = judged(*BOTH, script)["state_machine_safety"]
    assert verdict.outcome == "violated"
    assert "from entry 2 on" in verdict.violations[0].message


def test_nodes_commit_and_apply_one_log_at_their_own_pace() -> None:
    script = [*appends("n1", "1a 1b 2c"), commits("n1", 1, 2), commits("n1", 3, 2), *appends("n2", "1a 1b 2c 2d")]
    script += [commits("n2", 2, 2), commits("n2", 4, 2), applies("n1", 1, 1), applies("n2", 1, 1)]
    verdicts = judged(*BOTH, script)
    assert violated(verdicts) == []
    assert verdicts["state_machine_safety"].outcome == "valid"


def test_an_uncommitted_tail_may_differ() -> None:
    script = [*appends("n1", "1a 1b"), commits("n1", 1, 1), *appends("n2", "1a 2x"), commits("n2", 2, 2)]
    assert violated(judged(*BOTH, script)) == []


# ---- monotonicity (Figure 2) ----

LOG = [started("n1"), *appends("n1", "1a 1b 1c")]


@pytest.mark.parametrize(
    "script",
    [
        [follows("n1", 3), follows("n1", 2)],
        [votes("n1", 3, "n2"), follows("n1", 2)],
        [follows("n1", 3), votes("n1", 2, "n2")],
        [follows("n1", 3), commits("n1", 1, 2)],
        [follows("n1", 3), started("n1", 2, 2, None, "1a 1b 1c")],
        [*appends("n1", "4d", after="1a 1b 1c"), started("n1", 2, 3, None, "1a 1b 1c 4d")],
        [commits("n1", 2, 1), commits("n1", 1, 1)],
        [commits("n1", 2, 1), commits("n1", 2, 1)],
        [commits("n1", 4, 1)],
        [commits("n1", 3, 1), applies("n1", 2, 1)],
        [commits("n1", 3, 1), applies("n1", 1, 1), applies("n1", 1, 1)],
        [commits("n1", 3, 1), applies("n1", 1, 1), applies("n1", 3, 1)],
        [commits("n1", 1, 1), applies("n1", 1, 1), applies("n1", 2, 1)],
        [applies("n1", 1, 1)],
        [commits("n1", 1, 1), started("n1", 2, 1, None, "1a 1b 1c"), applies("n1", 1, 1, inc=2)],
    ],
    ids=[
        "term of a role",
        "term after a vote",
        "term of a vote",
        "term of a commit",
        "term across a restart",
        "term below an entry's across a restart",
        "commit_index goes back",
        "commit_index repeated",
        "commit beyond the log",
        "applied from the middle",
        "applied twice",
        "applied with a hole",
        "applied beyond commit_index",
        "applied without a commit",
        "commit_index of the earlier incarnation",
    ],
)
def test_a_term_or_index_went_back(script: list[Event]) -> None:
    verdict = judged(LOG, script)["monotonicity"]
    assert verdict.outcome == "violated"
    assert verdict.violation_count == 1
    assert verdict.violations[0].witness[-1] == script[-1]


def test_commit_and_applied_start_again_with_each_incarnation() -> None:
    script = [leads("n2", 1), follows("n1", 1)]
    script += [commits("n1", 2, 1), applies("n1", 1, 1), applies("n1", 2, 1), commits("n1", 3, 1)]
    script += [started("n1", 2, 1, None, "1a 1b 1c"), *appends("n1", "1a 1b 1c", inc=2)]
    script += [
        votes("n1", 2, "n2", inc=2),
        follows("n1", 2, inc=2),
        commits("n1", 1, 2, inc=2),
        applies("n1", 1, 1, inc=2),
    ]
    verdicts = judged(LOG, script)
    assert violated(verdicts) == []
    assert verdicts["monotonicity"].outcome == "valid"


def test_an_entry_may_be_of_an_older_term_than_the_node() -> None:
    script = [started("n1"), follows("n1", 5), *appends("n1", "1a 2b"), votes("n1", 5, "n2"), truncates("n1", 2)]
    assert violated(judged(script)) == []
