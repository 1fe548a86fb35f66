"""The scenarios of elections, of PreVote and CheckQuorum, and of transfers of the leadership."""

from __future__ import annotations

import msgspec
from scenario_steps import (
    Observed,
    candidate,
    cluster_of,
    die,
    exchange,
    hand_over,
    judged_recovery,
    seen,
    stand,
    win,
)
from sim_scenarios import deaf_leader, in_sim, many_elections, one_long_cut, quiet_cluster

from cluster import TIMING, command, entries
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.state.features import Features

PRE_VOTE = msgspec.structs.replace(TIMING, features=Features(pre_vote=True))
CHECK_QUORUM = msgspec.structs.replace(TIMING, features=Features(check_quorum=True))
PRE_VOTE_AND_CHECK_QUORUM = msgspec.structs.replace(TIMING, features=Features(pre_vote=True, check_quorum=True))

A, B, C = command("a"), command("b"), command("c")


# ---- elections -------------------------------------------------------------------------------------------------------


def vote_not_persisted(parts: Parts) -> Observed:
    """n2 votes for n1, restarts, and is asked by n3 in the same term."""
    return _voter_restarts(parts, persisted=True)


def send_before_persist(parts: Parts) -> Observed:
    """The same, but n2 loses power before its vote is on disk: then it must not have answered."""
    return _voter_restarts(parts, persisted=False)


def _voter_restarts(parts: Parts, *, persisted: bool) -> Observed:
    cluster = cluster_of(parts)
    candidate(cluster, "n1")
    candidate(cluster, "n3")
    cluster.deliver_from("n1", "n2")
    if persisted:
        cluster.persist("n2")
    cluster.crash("n2")
    cluster.restart("n2")
    exchange(cluster, "n3", "n2")
    cluster.deliver_from("n2", "n1")
    return seen(cluster)


def term_not_persisted(parts: Parts) -> Observed:
    """n1 and n2 go on to term 3 and restart. In which term do they commit next: above n3's entry of term 2?"""
    cluster = cluster_of(parts, logs={"n1": entries(1), "n2": entries(1), "n3": entries(1, 2)}, term=2)
    cluster.cut_off = frozenset({"n3"})
    candidate(cluster, "n1")
    cluster.deliver_from("n1", "n2")
    cluster.persist("n2")
    die(cluster, "n1", "n2")
    cluster.restart("n1")
    cluster.restart("n2")
    cluster.elect("n1")
    die(cluster, "n1")
    cluster.cut_off = frozenset()
    stand(cluster, "n3")
    stand(cluster, "n3")
    return seen(cluster)


def term_then_vote(parts: Parts) -> Observed:
    """n2, which voted for n1 in term 1, loses power while it enters term 2: after the first write, if there are two."""
    cluster = cluster_of(parts)
    candidate(cluster, "n1")
    exchange(cluster, "n1", "n2")
    candidate(cluster, "n3")
    candidate(cluster, "n3")
    cluster.deliver_from("n3", "n2")
    cluster.persist("n2")
    cluster.crash("n2")
    cluster.restart("n2")
    return seen(cluster)


def vote_cleared_same_term(parts: Parts) -> Observed:
    """n2 elects n1 and hears from it; the request of n3, which stood in the same term, comes late."""
    cluster = cluster_of(parts, logs={"n1": entries(1)}, term=1)
    candidate(cluster, "n3")
    win(cluster, "n1", "n2")
    exchange(cluster, "n1", "n2")
    exchange(cluster, "n3", "n2")
    return seen(cluster)


def stale_vote_counted(parts: Parts) -> Observed:
    """n2's vote of term 1 reaches n1 in term 2, in which n2 has elected n3."""
    cluster = cluster_of(parts)
    candidate(cluster, "n1")
    cluster.deliver_from("n1", "n2", "n3")
    cluster.persist("n2")
    cluster.persist("n3")
    candidate(cluster, "n1")
    win(cluster, "n3", "n2")
    cluster.deliver_from("n2", "n1")
    return seen(cluster)


def vote_counted_twice(parts: Parts) -> Observed:
    """Five nodes; n1 has the vote of n2 alone, whose answer arrives twice."""
    cluster = cluster_of(parts, 5)
    candidate(cluster, "n1")
    cluster.deliver_from("n1", "n2")
    cluster.persist("n2")
    answer = list(cluster.network)
    cluster.deliver_from("n2", "n1")
    cluster.network += answer
    cluster.deliver_from("n2", "n1")
    return seen(cluster)


def no_up_to_date_check(parts: Parts) -> Observed:
    """n3 never had what n1 and n2 committed, and asks n2 for its vote."""
    cluster = cluster_of(parts)
    cluster.cut_off = frozenset({"n3"})
    cluster.elect("n1")
    die(cluster, "n1")
    cluster.cut_off = frozenset()
    stand(cluster, "n3")
    stand(cluster, "n3")
    return seen(cluster)


def half_is_majority(parts: Parts) -> Observed:
    """Of four nodes, n1 and n2 elect n1, and n3 and n4 elect n3, in the same term."""
    cluster = cluster_of(parts, 4)
    candidate(cluster, "n1")
    candidate(cluster, "n3")
    exchange(cluster, "n1", "n2")
    exchange(cluster, "n3", "n4")
    return seen(cluster)


def timer_not_reset(parts: Parts) -> Observed:
    """Leaders are killed and cut off; a voter's timer goes on, and runs out soon after its vote."""
    return in_sim(parts, many_elections(1))


def stale_append_resets_timer(parts: Parts) -> Observed:
    """The leader hears nobody. n3 does not hear it and lacks its last entries, so only the node that hears it can lead;
    but that one gets AppendEntries of an earlier term for ever."""
    return in_sim(parts, deaf_leader(1))


def denied_vote_resets_timer(parts: Parts) -> Observed:
    """Leaders are killed and cut off, so nodes that lack entries stand for election, and wake up those that do not."""
    return in_sim(parts, many_elections(1))


def heartbeat_keeps_timer(parts: Parts) -> Observed:
    """Clients have pauses, so a timer runs out while the leader has nothing but heartbeats to send."""
    return in_sim(parts, quiet_cluster(1))


def stale_leader_named(parts: Parts) -> Observed:
    """n2 follows n1 in term 1, and n3 stands in term 2. n2 votes for it."""
    cluster = cluster_of(parts)
    stand(cluster, "n1")
    candidate(cluster, "n3")
    cluster.deliver_from("n3", "n2")
    cluster.persist_all("n2")
    return seen(cluster)


def quorum_check_ignores_heartbeats(parts: Parts) -> Observed:
    """The same: in a pause of the clients nothing is committed."""
    return in_sim(parts, quiet_cluster(1))


def election_storm(parts: Parts) -> Observed:
    """The same links as those of many elections: no vote is back within a heartbeat interval."""
    return in_sim(parts, many_elections(1))


def sticky_voter_without_check_quorum(parts: Parts) -> Observed:
    """The same: n3 stands for election, and needs the vote of the node that hears the leader."""
    return in_sim(parts, deaf_leader(1))


def voter_refuses_elected_leader(parts: Parts) -> Observed:
    """Leaders are killed and cut off, until two nodes stand for election in one term."""
    return in_sim(parts, many_elections(1))


def candidate_ignores_conflicting_leader(parts: Parts) -> Observed:
    """The same, until one of the two has entries that the other lacks."""
    return in_sim(parts, many_elections(9))


# ---- PreVote and CheckQuorum -----------------------------------------------------------------------------------------


def prevote_ignores_lower_term(parts: Parts) -> Observed:
    """n3 stands in term 2 with the shorter log, and n2 dies. n1 must learn the term: only it can be elected."""
    logs = {"n1": entries(1, 1), "n2": entries(1), "n3": entries(1)}
    cluster = cluster_of(parts, logs=logs, term=1, timing=PRE_VOTE)
    cluster.tick("n3")
    exchange(cluster, "n3", "n2")
    cluster.persist_all("n3")
    die(cluster, "n2")
    for _ in range(60):
        cluster.tick(min(("n1", "n3"), key=lambda name: cluster[name].core.deadline_us))
        cluster.settle()
    return judged_recovery(cluster, 2_000_000)


def prevote_enters_term(parts: Parts) -> Observed:
    """n1 asks n2."""
    cluster = cluster_of(parts, timing=PRE_VOTE)
    cluster.tick("n1")
    exchange(cluster, "n1", "n2")
    return seen(cluster)


def prevote_survives_leader(parts: Parts) -> Observed:
    """n1 hears the leader again before the answer of n3 comes."""
    cluster = cluster_of(parts, timing=PRE_VOTE)
    stand(cluster, "n2")
    cluster.tick("n1")
    cluster.deliver_from("n1", "n3")
    cluster.tick("n2")
    cluster.deliver_from("n2", "n1")
    cluster.deliver_from("n3", "n1")
    cluster.persist_all("n1")
    return judged_recovery(cluster, 2_000_000)


def pre_vote_without_log_check(parts: Parts) -> Observed:
    """n3 lacks the entry that n1 and n2 have committed, and asks n2."""
    cluster = cluster_of(parts, timing=PRE_VOTE)
    stand(cluster, "n1")
    cluster.submit("n1", A)
    for _ in range(2):
        exchange(cluster, "n1", "n2")
        cluster.persist_all("n1")
        cluster.persist_all("n2")
    die(cluster, "n1")
    cluster.tick("n3")
    exchange(cluster, "n3", "n2")
    cluster.persist_all("n3")
    return seen(cluster)


def pre_vote_while_led(parts: Parts) -> Observed:
    """n1 leads, n2 hears it, and n3, which hears nobody, asks n2. Later the timer of n2 runs out."""
    cluster = cluster_of(parts, timing=PRE_VOTE_AND_CHECK_QUORUM)
    stand(cluster, "n1")
    for _ in range(12):
        cluster.tick("n1")
        exchange(cluster, "n1", "n2")
    cluster.tick("n3")
    exchange(cluster, "n3", "n2")
    cluster.drop()
    cluster.tick("n2")
    cluster.persist_all("n2")
    return judged_recovery(cluster, 2_000_000)


def one_pre_vote_is_enough(parts: Parts) -> Observed:
    """n1 of five asks, and n2 alone answers."""
    cluster = cluster_of(parts, 5, timing=PRE_VOTE)
    cluster.tick("n1")
    exchange(cluster, "n1", "n2")
    cluster.persist_all("n1")
    return seen(cluster)


def pre_votes_accumulate(parts: Parts) -> Observed:
    """n1 of five asks twice; n2 answers the first time, and n3 the second time."""
    cluster = cluster_of(parts, 5, timing=PRE_VOTE)
    for voter in ("n2", "n3"):
        cluster.tick("n1")
        exchange(cluster, "n1", voter)
        cluster.drop()
    cluster.persist_all("n1")
    return seen(cluster)


def quorum_check_forgets_itself(parts: Parts) -> Observed:
    """n3 is dead, and n2 answers each heartbeat."""
    cluster = cluster_of(parts, timing=CHECK_QUORUM)
    stand(cluster, "n1")
    die(cluster, "n3")
    for _ in range(12):
        cluster.tick("n1")
        exchange(cluster, "n1", "n2")
    return judged_recovery(cluster, 2_000_000)


def _disturbed(parts: Parts, asked: str, *, restarts: bool = False) -> Observed:
    """n1 leads, n2 hears it, and n3, which hears nobody, stands for election. Its request reaches the node `asked`."""
    cluster = cluster_of(parts, timing=CHECK_QUORUM)
    stand(cluster, "n1")
    for _ in range(12):
        cluster.tick("n1")
        exchange(cluster, "n1", "n2")
    cluster.tick("n1")  # so that the request comes later than the last answer
    cluster.drop()
    if restarts:
        cluster.crash(asked)
        cluster.restart(asked)
    candidate(cluster, "n3")
    cluster.deliver_from("n3", asked)
    cluster.persist_all(asked)
    return judged_recovery(cluster, 2_000_000)


def leader_heeds_candidates(parts: Parts) -> Observed:
    """n3 stands for election, and asks the leader."""
    return _disturbed(parts, "n1")


def candidates_always_heeded(parts: Parts) -> Observed:
    """n3 stands for election, and asks n2, which hears the leader."""
    return _disturbed(parts, "n2")


def restart_forgets_leader(parts: Parts) -> Observed:
    """n3 stands for election, and asks n2, which has just restarted."""
    return _disturbed(parts, "n2", restarts=True)


def transfer_to_stale_log(parts: Parts) -> Observed:
    """n2 has not acknowledged the leader's last entry when it is to take over."""
    cluster = cluster_of(parts)
    stand(cluster, "n1")
    cluster.submit("n1", A)
    cluster.persist("n1")
    hand_over(cluster, "n1", "n2")
    cluster.settle()
    return seen(cluster)


def transfer_never_given_up(parts: Parts) -> Observed:
    """The leader's word to n2 is lost; for ten timeouts all follow this leader, and clients ask it again and again."""
    cluster = cluster_of(parts)
    stand(cluster, "n1")
    cluster.submit("n1", A)
    cluster.settle()
    hand_over(cluster, "n1", "n2")
    cluster.drop()
    for _ in range(100):
        cluster.submit("n1", B)
        stand(cluster, "n1")
    return judged_recovery(cluster, 1_000_000, 2, ("n1", "n2", "n3"))


def transfer_never_done(parts: Parts) -> Observed:
    """When all is healed, the leader is asked to hand over."""
    return in_sim(parts, one_long_cut(1))


def old_timeout_now(parts: Parts) -> Observed:
    """n1 tells n2 to stand, and n2 hears of that when n3 leads."""
    cluster = cluster_of(parts)
    stand(cluster, "n1")
    hand_over(cluster, "n1", "n2")
    candidate(cluster, "n3")
    exchange(cluster, "n3", "n2")
    cluster.persist_all("n3")
    exchange(cluster, "n3", "n2")
    cluster.now_us += 1_000
    cluster.deliver_from("n1", "n2")
    cluster.settle()
    return judged_recovery(cluster, 2_000_000)


def transfer_asks_for_pre_votes(parts: Parts) -> Observed:
    """n1 hands over to n2 while all hear it."""
    cluster = cluster_of(parts, timing=PRE_VOTE)
    stand(cluster, "n1")
    hand_over(cluster, "n1", "n2")
    cluster.settle()
    return judged_recovery(cluster, 2_000_000)


def loses_quorum_and_leads(parts: Parts) -> Observed:
    """The leader hears nobody, and all others hear it."""
    return in_sim(parts, deaf_leader(1, heard=True, features=CHECK_QUORUM.features))


SCENARIOS = (
    vote_not_persisted,
    term_not_persisted,
    term_then_vote,
    send_before_persist,
    vote_cleared_same_term,
    stale_vote_counted,
    vote_counted_twice,
    no_up_to_date_check,
    half_is_majority,
    timer_not_reset,
    stale_append_resets_timer,
    denied_vote_resets_timer,
    heartbeat_keeps_timer,
    stale_leader_named,
    quorum_check_ignores_heartbeats,
    election_storm,
    sticky_voter_without_check_quorum,
    voter_refuses_elected_leader,
    candidate_ignores_conflicting_leader,
    prevote_ignores_lower_term,
    prevote_enters_term,
    prevote_survives_leader,
    pre_vote_without_log_check,
    pre_vote_while_led,
    one_pre_vote_is_enough,
    pre_votes_accumulate,
    quorum_check_forgets_itself,
    loses_quorum_and_leads,
    leader_heeds_candidates,
    candidates_always_heeded,
    restart_forgets_leader,
    transfer_to_stale_log,
    transfer_never_given_up,
    transfer_asks_for_pre_votes,
    transfer_never_done,
    old_timeout_now,
)
