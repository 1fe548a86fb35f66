"""Progress while a node hears nobody: PreVote alone loses it, and CheckQuorum owes more of it than plain Raft."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from builders.schedules import TIMING, fault, short
from raft_chaos.chaos.faults.partition import Partition
from raft_chaos.chaos.mutants import parts_of
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.chaos.run.sim.run import VirtualRun
from raft_chaos.raft.state.features import Features

PLAIN, PRE_VOTE, CHECK_QUORUM = Features(), Features(pre_vote=True), Features(check_quorum=True)
BOTH = Features(pre_vote=True, check_quorum=True)
HEARD_BY_ALL = {"leader": ["others"]}
HEARD_BY_ONE = {"leader": ["others"], "n3": ["leader"]}
"""By one of the two others, if n1 or n2 leads."""
FROM_US, LASTS_US = 400_000, 45 * TIMING.election_timeout_max_us


def progress(features: Features, grudge: dict[str, list[str]], seed: int, mutant: str | None = None) -> str | None:
    """The verdict on `liveness_under_fault` while the leader hears nobody; None if nothing was owed."""
    cut = fault("f1", FROM_US, Partition("one_way", grudge), LASTS_US)
    plan = short(cut, safety_us=(FROM_US, FROM_US + LASTS_US), seed=seed)
    plan = replace(plan, header=replace(plan.header, features=features))
    run = VirtualRun(plan, timing=TIMING, driver=MemoryDriver(parts_of(mutant)))
    return {one.invariant: one.outcome for one in run.go().analysis.invariants}.get("liveness_under_fault")


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_deaf_leader_that_one_of_three_does_not_hear_costs_plain_raft_and_check_quorum_nothing(seed: int) -> None:
    found = [progress(features, HEARD_BY_ONE, seed) for features in (PLAIN, CHECK_QUORUM, BOTH)]
    assert found[0] in ("valid", None), "not owed if n3 led, whom all others hear then"
    assert found[1:] == ["valid", "valid"]


def test_plain_raft_is_judged_in_some_of_these_seeds() -> None:
    assert "valid" in [progress(PLAIN, HEARD_BY_ONE, seed) for seed in (1, 2, 3)]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_with_pre_vote_alone_nothing_is_owed_while_a_member_hears_an_outsider(seed: int) -> None:
    """n3 lacks entries of the node that follows the deaf leader for ever, and is refused by it for ever."""
    assert progress(PRE_VOTE, HEARD_BY_ONE, seed) is None


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_deaf_leader_that_all_hear_is_owed_with_check_quorum_only(seed: int) -> None:
    assert [progress(features, HEARD_BY_ALL, seed) for features in (PLAIN, PRE_VOTE)] == [None, None]
    assert [progress(features, HEARD_BY_ALL, seed) for features in (CHECK_QUORUM, BOTH)] == ["valid", "valid"]
    assert progress(CHECK_QUORUM, HEARD_BY_ALL, seed, "loses_quorum_and_leads") == "violated"
