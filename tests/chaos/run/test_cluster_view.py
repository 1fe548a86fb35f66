"""The view of a cluster keeps what it knows of a node over a restart, as far as the node still has it."""

from __future__ import annotations

import pytest

from builders.schedules import NODES
from raft_chaos.chaos.run.cluster_view import ClusterView
from raft_chaos.invariants.events import (
    CommitAdvanced,
    ConfigurationUsed,
    EntryAppended,
    Members,
    Started,
    VoteGranted,
)


def view_of_a_leader() -> ClusterView:
    """n1 leads in term 2. All nodes have its first entry; n3 voted for itself in that term."""
    view = ClusterView(NODES, lambda event, number, reporter: None)
    view.observe(VoteGranted(node="n3", inc=1, t_us=1, term=2, candidate="n3"))
    for node in NODES:
        view.status(node, "leader" if node == "n1" else "follower", 2)
        view.observe(EntryAppended(node=node, inc=1, t_us=2, index=1, term=2, digest="a"))
    return view


def restarted(view: ClusterView, last_index: int, voted_for: str | None) -> dict[str, list[str]]:
    """The roles after a restart of n2 and n3, with so much of their logs."""
    for node in ("n2", "n3"):
        view.gone(node)
        view.up(node)
        view.observe(Started(node=node, inc=2, t_us=3, term=2, voted_for=voted_for, last_index=last_index, digest="a"))
    return view.roles("n1")


def test_a_node_that_restarts_with_its_whole_log_holds_what_it_held() -> None:
    roles = restarted(view_of_a_leader(), 1, None)
    assert roles["holder"] == ["n2"] and "lacker" not in roles


def test_a_node_that_lost_what_it_had_not_synced_lacks_it() -> None:
    roles = restarted(view_of_a_leader(), 0, None)
    assert roles["lacker"] == ["n2"] and "holder" not in roles


@pytest.mark.parametrize(("voted_for", "dissenters"), [("n3", ["n2"]), ("n1", None), (None, None)])
def test_a_vote_outlives_a_restart(voted_for: str | None, dissenters: list[str] | None) -> None:
    assert restarted(view_of_a_leader(), 1, voted_for).get("dissenter") == dissenters


def test_whoever_a_committed_configuration_leaves_out_is_no_member() -> None:
    view = view_of_a_leader()
    gone = Members(voters=("n1", "n2"))
    view.observe(ConfigurationUsed(node="n1", inc=1, t_us=3, index=2, members=gone))
    assert view.members.includes("n3"), "it may be rolled back"
    view.observe(CommitAdvanced(node="n1", inc=1, t_us=4, index=2, term=2))
    assert not view.members.includes("n3")
    view.observe(
        ConfigurationUsed(node="n1", inc=1, t_us=5, index=3, members=Members(voters=gone.voters, learners=("n3",)))
    )
    view.observe(CommitAdvanced(node="n2", inc=1, t_us=6, index=3, term=2))
    assert not view.members.includes("n3"), "n2 does not use it yet"
    view.observe(CommitAdvanced(node="n1", inc=1, t_us=6, index=3, term=2))
    assert view.members.includes("n3")


def test_a_voter_is_added_when_its_leader_appends_that_it_is() -> None:
    happened = list[tuple[str, int, str]]()
    view = ClusterView(NODES, lambda *event: happened.append(event), NODES[:2])

    def used(node: str, index: int, **members: tuple[str, ...]) -> list[tuple[str, int, str]]:
        happened.clear()
        view.observe(ConfigurationUsed(node=node, inc=1, t_us=1, index=index, members=Members(**members)))
        return list(happened)

    for node in NODES:
        view.status(node, "leader" if node == "n1" else "follower", 2)
    happened.clear()
    assert used("n1", 2, voters=("n1", "n2"), learners=("n3",)) == []
    assert used("n1", 3, voters=("n1", "n2", "n3"), old_voters=("n1", "n2")) == [("voter_added", 1, "n1")]
    assert used("n1", 4, voters=("n1", "n2", "n3")) == [], "the end of joint consensus adds nobody"
    assert used("n2", 3, voters=("n1", "n2", "n3"), old_voters=("n1", "n2")) == [], "a follower only hears of it"
    assert used("n1", 5, voters=("n1", "n3")) == []
    assert used("n1", 6, voters=("n1", "n2", "n3")) == [("voter_added", 2, "n1")]


def test_a_cluster_may_begin_with_some_of_its_nodes() -> None:
    view = ClusterView(NODES, lambda event, number, reporter: None, NODES[:2])
    assert [view.members.includes(node) for node in NODES] == [True, True, False]
