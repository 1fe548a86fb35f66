"""Changes of the members (§6; thesis, chapter 4): what a leader refuses, which configuration a node uses, who decides,
and what becomes of nodes without a vote."""

from __future__ import annotations

from zlib import crc32

import pytest
from msgspec.structs import replace

from cluster import TIMING, Cluster, Server, command, entries
from raft_chaos.invariants.events import ConfigurationUsed
from raft_chaos.raft.replica.machine import Result
from raft_chaos.raft.replica.output import Reply
from raft_chaos.raft.state.configuration import Change, Configuration, encode_change, encode_configuration
from raft_chaos.raft.state.features import Features
from raft_chaos.raft.state.messages import (
    AppendEntries,
    AppendEntriesReply,
    Entry,
    InstallSnapshot,
    InstallSnapshotReply,
    RequestVote,
    RequestVoteReply,
    SaveSnapshot,
    TimeoutNow,
)
from raft_chaos.raft.state.timing import Timing

JOINT = replace(TIMING, features=Features(check_quorum=True, membership="joint"))
SINGLE = replace(TIMING, features=Features(check_quorum=True, membership="single"))
FIVE = ("n1", "n2", "n3", "n4", "n5")
SHORTEST_US, LONGEST_US = TIMING.election_timeout_min_us, TIMING.election_timeout_max_us


def led(size: int = 3, timing: Timing = JOINT) -> Cluster:
    """n1 leads, and has committed its first entry, which all have."""
    cluster = Cluster(size, timing=timing)
    cluster.elect("n1")
    cluster.heartbeat("n1")
    return cluster


def ask(cluster: Cluster, change: Change, leader: str = "n1") -> None:
    cluster.step(cluster[leader], lambda: cluster[leader].submit(encode_change(change)))


def changed(cluster: Cluster, change: Change, leader: str = "n1") -> None:
    """The change is done, and all have heard of it."""
    ask(cluster, change, leader)
    cluster.settle()
    if cluster[leader].leads():
        cluster.heartbeat(leader)
    assert answer(cluster[leader]) == ""


def answer(server: Server) -> str | None:
    """Why the last change is refused, "" if it is done; None without an answer, or if nobody knows."""
    last: Reply | None = server.replies[-1] if server.replies else None
    if last is None or last.result is None:
        return None
    return last.result.error or ""


def exchange(cluster: Cluster, one: str, *others: str) -> None:
    for other in others:
        cluster.deliver_from(one, other)
        cluster.persist_all(other)
        cluster.deliver_from(other, one)


def voters(server: Server) -> tuple[str, ...]:
    return server.core.configuration.voters


def config_entry(term: int, configuration: Configuration) -> Entry:
    return Entry(term, encode_configuration(configuration))


def follower(*log: Entry, timing: Timing = JOINT) -> Server:
    """n1 of n1 to n5, which has this log on its disk."""
    return Server(peers=FIVE[1:], log=log, timing=timing)


# ---- refusals --------------------------------------------------------------------------------------------------------


def test_without_the_feature_nobody_changes_the_members() -> None:
    cluster = led(timing=TIMING)
    ask(cluster, Change(remove=("n3",)))
    assert answer(cluster["n1"]) == (
        "the members of this cluster are fixed; start its nodes with the feature membership"
    )
    assert cluster["n1"].core.log.last_index == 1


def test_a_node_that_does_not_lead_takes_no_change() -> None:
    cluster = led()
    assert not cluster["n2"].submit(encode_change(Change(remove=("n3",))))
    assert cluster["n2"].core.log.last_index == 1


def test_a_leader_waits_until_an_entry_of_its_term_is_committed() -> None:
    """Otherwise an earlier leader's change could be committed too (Ongaro, raft-dev, July 2015)."""
    cluster = Cluster(3, timing=JOINT)
    cluster.tick("n1")
    cluster.persist_all("n1")
    exchange(cluster, "n1", "n2")
    assert cluster["n1"].leads() and cluster["n1"].core.commit_index == 0
    ask(cluster, Change(remove=("n3",)))
    assert answer(cluster["n1"]) == "this leader has not committed an entry of its term yet; try again"
    cluster.settle()
    ask(cluster, Change(remove=("n3",)))
    cluster.settle()
    assert answer(cluster["n1"]) == "" and voters(cluster["n1"]) == ("n1", "n2")


@pytest.mark.parametrize("timing", [JOINT, SINGLE])
def test_one_change_is_under_way_at_a_time(timing: Timing) -> None:
    cluster = led(5, timing)
    ask(cluster, Change(remove=("n5",)))
    ask(cluster, Change(remove=("n4",)))
    assert answer(cluster["n1"]) == "another change is under way; try again"
    cluster.settle()
    ask(cluster, Change(remove=("n4",)))
    cluster.settle()
    assert voters(cluster["n1"]) == ("n1", "n2", "n3")


def test_while_the_voters_are_joint_the_change_is_under_way_although_its_first_entry_is_committed() -> None:
    cluster = led(5)
    ask(cluster, Change(remove=("n5",)))
    cluster.persist_all("n1")
    exchange(cluster, "n1", "n2", "n3")
    core = cluster["n1"].core
    assert core.commit_index == 2 and core.configuration_index == 3, "the second entry is not committed"
    ask(cluster, Change(remove=("n4",)))
    assert answer(cluster["n1"]) == "another change is under way; try again"


def test_one_voter_at_a_time() -> None:
    cluster = led(5, SINGLE)
    ask(cluster, Change(remove=("n4", "n5")))
    assert answer(cluster["n1"]) == "this cluster changes one voter at a time; ask for one, and then for the next"
    changed(cluster, Change(remove=("n4",)))
    changed(cluster, Change(remove=("n5",)))
    changed(cluster, Change(add=("n4", "n5")))
    assert cluster["n2"].core.configuration == Configuration(("n1", "n2", "n3"), (), ("n4", "n5"))


def test_a_leader_that_hands_over_takes_no_change() -> None:
    cluster = led()
    server = cluster["n1"]
    assert server.replica is not None
    server.replica.transfer("n2", server.now_us)
    ask(cluster, Change(remove=("n3",)))
    assert answer(server) == "this leader hands over to n2; try again"


# ---- learners --------------------------------------------------------------------------------------------------------


def with_learner() -> Cluster:
    """n3 has just become a learner of n1 and n2."""
    cluster = led()
    changed(cluster, Change(remove=("n3",)))
    ask(cluster, Change(add=("n3",)))
    cluster.persist_all("n1")
    exchange(cluster, "n1", "n2")
    return cluster


def test_a_learner_is_promoted_once_it_has_caught_up_and_not_before() -> None:
    cluster = with_learner()
    ask(cluster, Change(promote=("n3",)))
    assert answer(cluster["n1"]) == "promote n3: it has not caught up yet; try again"
    cluster.settle()
    cluster.heartbeat("n1")
    changed(cluster, Change(promote=("n3",)))
    assert voters(cluster["n3"]) == ("n1", "n2", "n3")


def test_a_round_longer_than_an_election_timeout_begins_another_one() -> None:
    """Thesis, §4.2.1: only a learner that has just had a short round could not hold up the others for long."""
    cluster = with_learner()
    cluster.cut_off = frozenset({"n3"})
    for _ in range(1 + SHORTEST_US // TIMING.heartbeat_us):
        cluster.heartbeat("n1")
    cluster.submit("n1", command("a"))
    cluster.settle()
    cluster.cut_off = frozenset()
    cluster.tick("n1")
    progress = cluster["n1"].core.progress["n3"]
    goal = progress.goal
    while progress.match_index < goal:
        exchange(cluster, "n1", "n3")
    assert not progress.is_caught_up, "this round was long"
    assert progress.goal == cluster["n1"].core.log.last_index
    cluster.settle()
    cluster.submit("n1", command("b"))
    cluster.settle()
    assert progress.is_caught_up


def test_a_learner_that_is_silent_since_it_caught_up_is_not_promoted() -> None:
    cluster = with_learner()
    cluster.settle()
    cluster.heartbeat("n1")
    cluster.cut_off = frozenset({"n3"})
    for _ in range(1 + SHORTEST_US // TIMING.heartbeat_us):
        cluster.heartbeat("n1")
    ask(cluster, Change(promote=("n3",)))
    assert answer(cluster["n1"]) == "promote n3: it has not caught up yet; try again"


def test_a_learner_counts_in_no_majority() -> None:
    cluster = with_learner()
    cluster.settle()
    cluster.heartbeat("n1")
    before = cluster["n1"].core.commit_index
    cluster.submit("n1", command("a"))
    cluster.persist_all("n1")
    exchange(cluster, "n1", "n3")
    assert cluster["n3"].core.log.last_index == before + 1 and cluster["n1"].core.commit_index == before
    exchange(cluster, "n1", "n2")
    assert cluster["n1"].core.commit_index == before + 1


def test_a_learner_that_comes_back_catches_up_anew() -> None:
    """It is heard again before it has what it missed, and a cluster that needs its vote would wait for that."""
    cluster = with_learner()
    cluster.settle()
    cluster.heartbeat("n1")
    assert cluster["n1"].core.progress["n3"].is_caught_up
    cluster.cut_off = frozenset({"n3"})
    for number in range(1 + SHORTEST_US // TIMING.heartbeat_us):
        cluster.submit("n1", command(str(number)))
        cluster.settle()
        cluster.heartbeat("n1")
    cluster.cut_off = frozenset()
    cluster.tick("n1")
    exchange(cluster, "n1", "n3")  # the answer to one heartbeat
    ask(cluster, Change(promote=("n3",)))
    assert answer(cluster["n1"]) == "promote n3: it has not caught up yet; try again"
    cluster.settle()
    cluster.heartbeat("n1")
    changed(cluster, Change(promote=("n3",)))
    assert "n3" in voters(cluster["n1"])


def test_a_learner_does_not_keep_a_leader_that_hears_no_voter() -> None:
    cluster = with_learner()
    cluster.settle()
    cluster.crash("n2")
    for _ in range(2 + SHORTEST_US // TIMING.heartbeat_us):
        if cluster["n1"].leads():
            cluster.heartbeat("n1")
    assert not cluster["n1"].leads()


@pytest.mark.parametrize("configuration", [Configuration(("n2", "n3"), (), ("n1",)), Configuration(("n2", "n3"))])
@pytest.mark.parametrize("pre_vote", [False, True])
def test_a_node_without_a_vote_begins_no_election(configuration: Configuration, pre_vote: bool) -> None:
    timing = replace(JOINT, features=Features(check_quorum=True, membership="joint", pre_vote=pre_vote))
    server = follower(config_entry(1, configuration), timing=timing)
    server.receive("n2", AppendEntries(1, 1, 1, 1, []))  # it is committed
    server.persist_all()
    server.take_outbox()
    for _ in range(5):
        before_us = server.now_us
        server.tick()
        server.persist_all()
        assert before_us + SHORTEST_US <= server.core.deadline_us <= server.now_us + LONGEST_US, "the timer runs anew"
    server.receive("n2", TimeoutNow(1))
    assert (server.core.role, server.core.current_term, server.outbox) == ("follower", 1, [])


def test_a_node_without_a_vote_in_its_own_configuration_votes_all_the_same() -> None:
    """It may miss the entry that promotes it, and its vote be needed (etcd #10998)."""
    server = follower(config_entry(1, Configuration(("n2", "n3"))))
    server.now_us += LONGEST_US
    server.receive("n2", RequestVote(2, 1, 1))
    server.persist_all()
    assert server.outbox == [("n2", RequestVoteReply(2, True))]


# ---- which configuration a node uses ---------------------------------------------------------------------------------

SMALL = Configuration(("n1", "n2", "n3"))
LARGE = Configuration(("n1", "n2", "n3", "n4"))


def used(server: Server) -> list[tuple[int, tuple[str, ...]]]:
    return [(event.index, event.members.voters) for event in server.reported(ConfigurationUsed)]


def test_it_is_used_and_reported_when_it_is_appended_before_any_write() -> None:
    server = follower()
    server.receive("n2", AppendEntries(1, 0, 0, 0, [config_entry(1, SMALL)]))
    assert server.core.configuration == SMALL and server.core.configuration_index == 1
    assert used(server) == [(1, SMALL.voters)]
    assert server.under_way is not None, "nothing is durable yet"


def test_it_goes_with_its_entry() -> None:
    server = follower(*entries(1), config_entry(1, LARGE), config_entry(1, SMALL))
    server.receive("n2", AppendEntries(2, 2, 1, 0, [Entry(2, b"")]))
    assert (server.core.configuration_index, voters(server)) == (2, LARGE.voters)
    server.receive("n2", AppendEntries(2, 1, 1, 0, [Entry(2, b"")]))
    assert (server.core.configuration_index, voters(server)) == (0, FIVE), "that with which the cluster began"
    assert used(server) == [(3, SMALL.voters), (2, LARGE.voters), (0, FIVE)]


def test_another_one_at_the_same_index_takes_its_place() -> None:
    server = follower(*entries(1), config_entry(1, LARGE))
    server.receive("n2", AppendEntries(2, 1, 1, 0, [config_entry(2, SMALL)]))
    assert (server.core.configuration_index, server.core.configuration) == (2, SMALL)


def test_a_restart_uses_the_latest_in_the_log_committed_or_not() -> None:
    server = follower()
    server.receive("n2", AppendEntries(1, 0, 0, 0, [config_entry(1, LARGE), config_entry(1, SMALL)]))
    server.persist_all()
    server.crash()
    server.events.clear()
    server.start()
    assert (server.core.commit_index, server.core.configuration_index, server.core.configuration) == (0, 2, SMALL)
    assert used(server) == [(2, SMALL.voters)]


def test_what_was_not_durable_is_not_used_after_a_restart() -> None:
    server = follower()
    server.receive("n2", AppendEntries(1, 0, 0, 0, [config_entry(1, SMALL)]))
    server.crash()
    server.start()
    assert (server.core.configuration_index, voters(server)) == (0, FIVE)


COMPACTING = replace(JOINT, features=Features(check_quorum=True, membership="joint", snapshot_every=2))


def test_its_own_snapshot_keeps_it_over_a_restart() -> None:
    server = follower(timing=COMPACTING)
    server.receive("n2", AppendEntries(1, 0, 0, 2, [config_entry(1, SMALL), Entry(1, command("a"))]))
    server.persist_all()
    assert server.core.log.base_index == 2
    server.crash()
    server.start()
    assert (server.core.configuration_index, server.core.configuration) == (1, SMALL)
    server.receive("n2", AppendEntries(1, 2, 1, 2, [config_entry(1, LARGE)]))
    server.receive("n3", AppendEntries(2, 2, 1, 2, [Entry(2, b"")]))
    assert (server.core.configuration_index, server.core.configuration) == (1, SMALL), "rolled back to the snapshot's"


def snapshot_of(configuration: Configuration | None, at: int, *, index: int = 3, term: int = 2) -> InstallSnapshot:
    """A whole snapshot as a leader of term 2 sends it."""
    maker = Server(
        log=entries(*[1] * (index - 1), term), timing=replace(TIMING, features=Features(snapshot_every=index))
    )
    maker.receive("n2", AppendEntries(term, index, term, index, []))
    maker.persist_all()
    (saved,) = [record for batch in maker.disk for record in batch if isinstance(record, SaveSnapshot)]
    data = saved.snapshot.data
    return InstallSnapshot(2, index, term, saved.snapshot.digest, len(data), crc32(data), 0, data, 0, configuration, at)


@pytest.mark.parametrize(
    "log",
    [
        [*entries(1, 1), config_entry(1, SMALL)],
        [*entries(1), config_entry(1, SMALL), *entries(1)],
        [*entries(1), config_entry(1, SMALL)],
    ],
    ids=["its last entry replaced", "before its last entry", "in a shorter log"],
)
@pytest.mark.parametrize(
    ("configuration", "at"), [(LARGE, 1), (LARGE, 2), (LARGE, 3), (None, 0)], ids=["1", "2", "3", "the first"]
)
def test_a_snapshot_in_place_of_the_log_brings_its_own(
    log: list[Entry], configuration: Configuration | None, at: int
) -> None:
    """A configuration that was not committed goes with its entry, whatever its index (openraft #1808)."""
    server = follower(*log)
    server.receive("n2", snapshot_of(configuration, at))
    expected = configuration or Configuration(FIVE)
    assert (server.core.configuration_index, server.core.configuration) == (at, expected)
    server.persist_all()
    server.crash()
    server.start()
    assert (server.core.configuration_index, server.core.configuration) == (at, expected)


def test_a_snapshot_that_keeps_the_log_behind_it_keeps_its_configurations() -> None:
    log = [*entries(1, 1), Entry(2, command("x")), config_entry(2, SMALL)]
    server = follower(*log)
    server.receive("n2", snapshot_of(None, 0))
    assert server.core.log.base_index == 3
    assert (server.core.configuration_index, server.core.configuration) == (4, SMALL)


# ---- joint voters: both majorities -----------------------------------------------------------------------------------


def joint(*, pre_vote: bool = False) -> Cluster:
    """n1 leads, and has just appended that n3 n4 n5 are to take the place of n1 n2 n3; nobody else has that yet."""
    features = Features(check_quorum=True, membership="joint", first_voters=3, pre_vote=pre_vote)
    cluster = Cluster(5, timing=replace(TIMING, features=features))
    cluster.elect("n1")
    ask(cluster, Change(add=("n4", "n5")))
    cluster.settle()
    cluster.heartbeat("n1")
    cluster.heartbeat("n1")
    ask(cluster, Change(promote=("n4", "n5"), remove=("n1", "n2")))
    cluster.persist_all("n1")
    assert cluster["n1"].core.configuration == Configuration(("n3", "n4", "n5"), ("n1", "n2", "n3"))
    return cluster


@pytest.mark.parametrize(
    ("others", "decide"),
    [(("n2",), False), (("n4", "n5"), False), (("n2", "n4"), False), (("n2", "n4", "n5"), True), (("n3", "n4"), True)],
)
def test_commits_need_a_majority_of_the_old_voters_and_one_of_the_new(others: tuple[str, ...], decide: bool) -> None:
    cluster = joint()
    index = cluster["n1"].core.configuration_index
    exchange(cluster, "n1", *others)
    assert (cluster["n1"].core.commit_index >= index) is decide


@pytest.mark.parametrize(
    ("others", "decide"),
    [(("n2",), False), (("n4", "n5"), False), (("n2", "n4"), False), (("n2", "n4", "n5"), True), (("n3", "n4"), True)],
)
def test_reads_need_both_too(others: tuple[str, ...], decide: bool) -> None:
    cluster = joint()
    cluster.drop()
    cluster.read("n1", "x")
    exchange(cluster, "n1", *others)
    assert (cluster["n1"].replies[-1:] != [] and cluster["n1"].replies[-1].token == "x") is decide


@pytest.mark.parametrize("heard", [("n2",), ("n4", "n5"), ("n3", "n4")])
def test_a_leader_that_hears_one_majority_alone_steps_down(heard: tuple[str, ...]) -> None:
    """Nothing may become durable, so that the voters stay joint."""
    cluster = joint()
    server = cluster["n1"]
    for _ in range(2 + SHORTEST_US // TIMING.heartbeat_us):
        if server.leads():
            cluster.tick("n1")
        for peer in heard:
            cluster.step(server, lambda peer=peer: server.receive(peer, AppendEntriesReply(1, False, 0)))  # type: ignore[misc]
    assert server.leads() is (heard == ("n3", "n4"))


@pytest.mark.parametrize(
    ("others", "decide"),
    [
        (("n5",), False),
        (("n1", "n2"), False),
        (("n2", "n5"), False),
        (("n3", "n5"), False),
        (("n2", "n3"), True),
        (("n1", "n2", "n5"), True),
    ],
)
@pytest.mark.parametrize("pre_vote", [False, True])
def test_a_candidate_needs_votes_of_both(others: tuple[str, ...], decide: bool, pre_vote: bool) -> None:
    """n4 has the joint configuration."""
    cluster = joint(pre_vote=pre_vote)
    exchange(cluster, "n1", "n4")
    cluster.crash("n1")
    cluster.restart("n1")
    cluster.drop()
    cluster.now_us += LONGEST_US
    cluster.tick("n4")
    cluster.persist_all("n4")
    for _ in range(2 if pre_vote else 1):
        exchange(cluster, "n4", *others)
        cluster.persist_all("n4")
    # n1 has that entry, and so a log as up to date as n4's.
    assert cluster["n4"].leads() is decide


def test_a_new_leader_ends_joint_consensus_also_before_its_own_first_entry_is_committed() -> None:
    """n2 knows that the joint configuration is committed, and has not got the next one. No other can follow."""
    cluster = led(5)
    ask(cluster, Change(remove=("n5",)))
    cluster.persist_all("n1")
    exchange(cluster, "n1", "n2", "n3")
    cluster.persist_all("n1")
    for _ in range(2):  # first the next entry is rejected, and lost; then n2 hears of the commit alone
        cluster.drop()
        cluster.tick("n1")
        exchange(cluster, "n1", "n2")
    assert cluster["n2"].core.configuration.is_joint and cluster["n2"].core.commit_index == 2
    cluster.crash("n1")
    cluster.drop()
    cluster.now_us += LONGEST_US
    cluster.tick("n2")
    cluster.persist_all("n2")
    exchange(cluster, "n2", "n3", "n4")
    cluster.persist_all("n2")
    assert cluster["n2"].leads()
    cluster.settle()
    assert cluster["n2"].core.configuration == Configuration(("n1", "n2", "n3", "n4"))
    assert cluster["n2"].core.commit_index == cluster["n2"].core.log.last_index


# ---- who leaves ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("timing", [JOINT, SINGLE])
def test_a_leader_that_removes_itself_leads_until_that_is_committed_and_does_not_count_itself(timing: Timing) -> None:
    cluster = led(3, timing)
    ask(cluster, Change(remove=("n1",)))
    cluster.persist_all("n1")
    server = cluster["n1"]
    exchange(cluster, "n1", "n2")
    assert server.leads()
    if timing is SINGLE:
        assert server.core.commit_index == 1, "n1 and n2 are no majority of n2 and n3"
    exchange(cluster, "n1", "n3")
    for _ in range(3):
        cluster.persist_all("n1")
        exchange(cluster, "n1", "n2")
    assert server.leads() is (timing is JOINT), "the last entry of joint consensus is not on n3 yet"
    cluster.settle()
    assert not server.leads() and server.core.leader is None
    assert answer(server) == ""
    assert {cluster[name].core.commit_index for name in ("n1", "n2", "n3")} == {server.core.log.last_index}
    cluster.elect("n2")
    assert cluster["n2"].core.progress.keys() == {"n3"}


def test_a_member_whose_own_acknowledgement_ends_its_membership_gets_nothing_more() -> None:
    """The leader has nothing to say to it then, and keeps nothing about it. (It ended with a KeyError once.)"""
    cluster = led(4)
    ask(cluster, Change(remove=("n4",)))
    cluster.persist_all("n1")
    exchange(cluster, "n1", "n2")
    cluster.deliver_from("n1", "n4")
    cluster.persist_all("n4")
    server = cluster["n1"]
    before = len(cluster.traffic)
    cluster.deliver_from("n4", "n1")
    assert server.core.configuration == Configuration(("n1", "n2", "n3")), "n4's answer made both majorities"
    assert "n4" not in server.core.progress
    assert {packet.to for packet in cluster.traffic[before:] if packet.source == "n1"} == {"n2", "n3"}


@pytest.mark.parametrize(
    "late",
    [
        AppendEntriesReply(1, True, 1),
        AppendEntriesReply(1, False, 0, 1, 1, 0),
        InstallSnapshotReply(1, 1, 5, False),
        InstallSnapshotReply(1, 1, 5, True),
    ],
)
def test_answers_of_a_node_that_was_removed_are_ignored(late: AppendEntriesReply | InstallSnapshotReply) -> None:
    cluster = led()
    changed(cluster, Change(remove=("n3",)))
    server, before = cluster["n1"], len(cluster.traffic)
    cluster.step(server, lambda: server.receive("n3", late))
    assert len(cluster.traffic) == before and server.core.progress.keys() == {"n2"} and server.leads()


def test_a_removed_node_that_does_not_know_it_deposes_nobody() -> None:
    """With CheckQuorum the others hear their leader, and heed no candidate (§6, thesis §4.2.3)."""
    cluster = led(4)
    cluster.cut_off = frozenset({"n4"})
    changed(cluster, Change(remove=("n4",)))
    cluster.cut_off = frozenset()
    for _ in range(5):
        cluster.heartbeat("n1")
        cluster.step(cluster["n4"], lambda: setattr(cluster["n4"].core, "_election_deadline_us", cluster.now_us))
        cluster.tick("n4")
        cluster.persist_all("n4")
        cluster.deliver_from("n4", "n1", "n2", "n3")
    assert cluster["n4"].core.current_term > 1 and cluster["n4"].core.role == "candidate"
    assert cluster["n1"].leads() and {cluster[name].core.current_term for name in ("n1", "n2", "n3")} == {1}


def test_a_member_that_comes_back_is_known_anew() -> None:
    cluster = led()
    changed(cluster, Change(remove=("n3",)))
    cluster.submit("n1", command("a"))
    cluster.settle()
    changed(cluster, Change(add=("n3",)))
    cluster.heartbeat("n1")
    assert cluster["n3"].core.commit_index == cluster["n1"].core.commit_index
    changed(cluster, Change(promote=("n3",)))
    assert [voters(cluster[name]) for name in ("n1", "n2", "n3")] == [("n1", "n2", "n3")] * 3


def test_a_change_whose_leader_falls_has_no_answer() -> None:
    cluster = led()
    cluster.cut_off = frozenset({"n1"})
    ask(cluster, Change(remove=("n3",)))
    cluster.settle()
    assert cluster["n1"].replies == []
    for _ in range(2 + SHORTEST_US // TIMING.heartbeat_us):
        if cluster["n1"].leads():
            cluster.heartbeat("n1")
    assert [reply.result for reply in cluster["n1"].replies] == [None]


# ---- a leader that removes itself -----------------------------------------------------------------------------------


@pytest.mark.parametrize("timing", [JOINT, SINGLE])
def test_a_leader_on_a_slow_disk_that_removed_itself_answers_once_it_has_applied_that(timing: Timing) -> None:
    """The others are enough to commit it, so the leader steps down before the entry is durable on its own disk."""
    cluster = led(3, timing)
    ask(cluster, Change(remove=("n1",)))
    server = cluster["n1"]
    if timing is JOINT:  # the entry that makes the voters joint is durable, and the one behind it is not
        cluster.persist_all("n1")
        exchange(cluster, "n1", "n2", "n3")
    while server.leads():
        exchange(cluster, "n1", "n2", "n3")
    assert server.replies == [] and server.core.last_applied < server.core.commit_index
    cluster.persist_all("n1")
    assert [reply.result for reply in server.replies] == [Result(True)]


def removed_itself_alone(timing: Timing, size: int = 2) -> Cluster:
    """n1 has the entry that removes it, and falls before anybody else has it."""
    cluster = led(size, timing)
    ask(cluster, Change(remove=("n1",)))
    server = cluster["n1"]
    while voters(server) == ("n1", "n2") or server.core.configuration.is_joint:
        cluster.persist_all("n1")
        if server.core.configuration.is_joint:
            exchange(cluster, "n1", *(name for name in cluster.servers if name != "n1"))
    cluster.persist_all("n1")
    cluster.drop()
    cluster.crash("n1")
    cluster.restart("n1")
    assert not server.core.configuration.is_voter("n1") and cluster["n2"].core.configuration.is_voter("n1")
    return cluster


@pytest.mark.parametrize("timing", [JOINT, SINGLE])
def test_a_node_that_removed_itself_stands_until_that_is_committed(timing: Timing) -> None:
    """n2 needs n1's vote, and n1's log is newer: nobody else could ever be elected (thesis, §4.2.2)."""
    cluster = removed_itself_alone(timing)
    cluster.now_us += 2 * LONGEST_US
    for _ in range(2):
        cluster.tick("n2")
        cluster.settle()
        assert not cluster["n2"].leads(), "n1 does not vote for an older log"
    server = cluster["n1"]
    cluster.now_us += 2 * LONGEST_US  # nobody has heard a leader
    cluster.tick("n1")
    cluster.persist_all("n1")
    assert server.core.role == "candidate", "its own vote does not count"
    cluster.settle()
    assert not server.leads() and voters(cluster["n2"]) == ("n2",), "it led until that was committed"
    cluster.elect("n2")
    assert cluster.submit("n2", command("a"))
    cluster.settle()
    assert cluster["n2"].core.commit_index == cluster["n2"].core.log.last_index


def test_a_node_that_knows_that_its_removal_is_committed_stands_no_more() -> None:
    cluster = led(3, SINGLE)
    ask(cluster, Change(remove=("n1",)))
    cluster.settle()
    server = cluster["n1"]
    assert not server.leads() and server.core.commit_index >= server.core.configuration_index
    cluster.now_us += 2 * LONGEST_US
    cluster.tick("n1")
    assert (server.core.role, server.core.current_term) == ("follower", 1)


def test_a_learner_does_not_stand_although_that_is_not_committed() -> None:
    log = [
        Entry(1, b""),
        config_entry(1, Configuration(("n2", "n3"))),
        config_entry(1, Configuration(("n2", "n3"), (), ("n1",))),
    ]
    server = Server(log=log, timing=SINGLE)
    server.tick()
    assert (server.core.role, server.core.current_term) == ("follower", 1)
