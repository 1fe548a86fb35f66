"""A short run for each mutant that shows its mistake: the inputs are the same for the mutant and the unmodified core.

A scenario makes a cluster of the given parts, drives it, and returns what was observed. It asserts nothing: where the
unmodified core behaves differently (refuses a vote, keeps an entry), the same steps just have another result.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import membership_scenarios
import msgspec
import old_entries_scenarios
import session_scenarios
import snapshot_scenarios
import storage_scenarios
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

from cluster import TIMING, Cluster, command, entries
from raft_chaos.invariants.events import HARNESS, AnsweredAgain
from raft_chaos.invariants.history import Consistency, Op
from raft_chaos.raft.replica.command import Command, encode_command
from raft_chaos.raft.replica.output import Reply
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.state.features import Features
from raft_chaos.raft.state.timing import Timing

Scenario: TypeAlias = Callable[[Parts], Observed]

PRE_VOTE = msgspec.structs.replace(TIMING, features=Features(pre_vote=True))
LEASES = msgspec.structs.replace(TIMING, features=Features(check_quorum=True, lease_reads=True))
CHECK_QUORUM = msgspec.structs.replace(TIMING, features=Features(check_quorum=True))
PRE_VOTE_AND_CHECK_QUORUM = msgspec.structs.replace(TIMING, features=Features(pre_vote=True, check_quorum=True))

A, B, C = command("a"), command("b"), command("c")


# ---- elections -------------------------------------------------------------------------------------------------------


def vote_not_persisted(parts: Parts) -> Observed:
    """n2 votes for n1, restarts, and is asked by n3 in the same term."""
    cluster = cluster_of(parts)
    candidate(cluster, "n1")
    candidate(cluster, "n3")
    cluster.deliver_from("n1", "n2")
    cluster.persist("n2")
    cluster.crash("n2")
    cluster.restart("n2")
    exchange(cluster, "n3", "n2")
    cluster.deliver_from("n2", "n1")
    return seen(cluster)


def send_before_persist(parts: Parts) -> Observed:
    """The same, but n2 loses power before its vote is on disk: then it must not have answered."""
    cluster = cluster_of(parts)
    candidate(cluster, "n1")
    candidate(cluster, "n3")
    cluster.deliver_from("n1", "n2")
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


# ---- replication: the follower's side --------------------------------------------------------------------------------


def ack_before_sync(parts: Parts) -> Observed:
    """n2 loses power with an unsynced entry of n1; n1, which may have counted n2, is gone as well."""
    cluster = cluster_of(parts)
    cluster.elect("n1")
    cluster.submit("n1", A)
    cluster.persist("n1")
    cluster.deliver_from("n1", "n2")
    cluster.deliver_from("n2", "n1")
    die(cluster, "n1", "n2")
    cluster.restart("n2")
    stand(cluster, "n3")
    return seen(cluster)


def truncate_on_stale_append(parts: Parts) -> Observed:
    """A heartbeat that n1 sent before its second entry reaches n2 after it."""
    cluster = cluster_of(parts)
    cluster.elect("n1")
    cluster.tick("n1")
    delayed = list(cluster.network)
    cluster.drop()
    cluster.submit("n1", A)
    cluster.persist("n1")
    exchange(cluster, "n1", "n2")
    cluster.network += delayed
    cluster.deliver_from("n1", "n2")
    cluster.persist_all("n2")
    die(cluster, "n1")
    stand(cluster, "n3")
    return seen(cluster)


def conflict_cut_too_far(parts: Parts) -> Observed:
    """n1 holds entry 1, which n2 committed, and knows nothing of the commit. At entry 2 its log differs from n2's."""
    cluster = cluster_of(parts)
    win(cluster, "n2", "n1")
    exchange(cluster, "n2", "n1")
    cluster.submit("n2", A)
    cluster.persist("n2")
    cluster.drop()
    win(cluster, "n1", "n2", "n3")
    cluster.drop()
    win(cluster, "n2", "n3")
    cluster.deliver_from("n2", "n1")
    cluster.persist_all("n1")
    die(cluster, "n2")
    stand(cluster, "n3")
    stand(cluster, "n3")
    return seen(cluster)


def conflict_cut_committed(parts: Parts) -> Observed:
    """Of its entries of term 1, n1 has committed the first; at the second its log differs from that of n2."""
    cluster = cluster_of(parts)
    cluster.elect("n1")
    cluster.submit("n1", A)
    cluster.persist_all("n1")
    cluster.drop()
    win(cluster, "n2", "n3")
    exchange(cluster, "n2", "n3")
    cluster.drop()
    die(cluster, "n2")
    cluster.restart("n2")
    win(cluster, "n2", "n3")
    exchange(cluster, "n2", "n1")
    return seen(cluster)


def durable_cursor_survives_truncation(parts: Parts) -> Observed:
    """n1's own entries of term 1 give way to one of n2; n1 leads again, and n3 alone has what n1 adds then."""
    cluster = cluster_of(parts)
    win(cluster, "n1", "n2")
    cluster.submit("n1", A, B)
    cluster.persist_all("n1")
    cluster.drop()
    win(cluster, "n2", "n3")
    exchange(cluster, "n2", "n1")
    exchange(cluster, "n2", "n1")
    cluster.drop()
    candidate(cluster, "n1")
    exchange(cluster, "n1", "n3")
    for _ in range(3):
        cluster.deliver_from("n1", "n3")
        cluster.persist_all("n3")
        cluster.deliver_from("n3", "n1")
    cluster.tick("n1")
    cluster.deliver_from("n1", "n3")
    return seen(cluster)


def rollback_committed(parts: Parts) -> Observed:
    """n2 acknowledged what n1 committed with it; it stands, and steps down for n3, which lacks the entry."""
    cluster = cluster_of(parts)
    cluster.elect("n1")
    cluster.submit("n1", A)
    cluster.persist("n1")
    exchange(cluster, "n1", "n2")
    die(cluster, "n1")
    candidate(cluster, "n2")
    cluster.drop()
    stand(cluster, "n3")
    stand(cluster, "n3")
    return seen(cluster)


def withdraw_before_step_down(parts: Parts) -> Observed:
    """n1 leads alone with an entry that nobody has, when it hears of n2's later term."""
    cluster = cluster_of(parts)
    cluster.elect("n1")
    cluster.cut_off = frozenset({"n1"})
    cluster.submit("n1", A)
    cluster.persist_all("n1")
    cluster.drop()
    stand(cluster, "n2")
    cluster.cut_off = frozenset()
    stand(cluster, "n2")
    return seen(cluster)


# ---- replication: the leader's side ----------------------------------------------------------------------------------


def hint_as_match(parts: Parts) -> Observed:
    """n2's log is of another term and one entry too short, so it hints at its end. Then n1 writes once more."""
    cluster = cluster_of(parts, logs={"n1": entries(1), "n2": entries(1, 2, 2), "n3": entries(1)}, term=2)
    win(cluster, "n1", "n3")
    cluster.drop()
    cluster.submit("n1", A, B)
    cluster.persist_all("n1")
    cluster.tick("n1")
    exchange(cluster, "n1", "n2")  # entry 1 matches, so n1 sends all the others
    cluster.drop()
    cluster.tick("n1")
    exchange(cluster, "n1", "n2")  # a heartbeat that is to follow entry 4
    cluster.submit("n1", C)
    cluster.persist("n1")
    die(cluster, "n1")
    stand(cluster, "n2")
    return seen(cluster)


def match_starts_valid(parts: Parts) -> Observed:
    """n1 is elected, writes its first entry, and is gone before anybody has it."""
    cluster = cluster_of(parts)
    win(cluster, "n1", "n2")
    die(cluster, "n1")
    stand(cluster, "n3")
    stand(cluster, "n3")
    return seen(cluster)


def stale_progress_kept(parts: Parts) -> Observed:
    """n2 lost the entries that it once acknowledged to n1; when n1 leads again, n4 alone has its new entry."""
    cluster = cluster_of(parts, 5)
    cluster.elect("n1")
    cluster.cut_off = frozenset({"n1", "n2"})
    cluster.submit("n1", A, B)
    cluster.settle()
    cluster.elect("n3")
    cluster.cut_off = frozenset()
    cluster.heartbeat("n3")
    win(cluster, "n1", "n4", "n5")
    exchange(cluster, "n1", "n4")
    die(cluster, "n1", "n4")
    stand(cluster, "n2")
    stand(cluster, "n2")
    return seen(cluster)


def retransmission_storm(parts: Parts) -> Observed:
    """The network repeats an answer of n2 again and again, while an entry is on its way to n2."""
    cluster = cluster_of(parts)
    cluster.elect("n1")
    cluster.submit("n1", A)
    cluster.persist_all("n1")
    cluster.deliver_from("n1", "n2")
    cluster.persist_all("n2")
    answer = next(packet for packet in cluster.network if packet.source == "n2")
    cluster.deliver_from("n2", "n1")
    cluster.submit("n1", B)
    for _ in range(300):
        cluster.deliver(answer)
    return seen(cluster)


def bytes_in_flight_leak(parts: Parts) -> Observed:
    """A client writes now and then, and fewer bytes may be on their way to a follower than a command has."""
    return in_sim(parts, quiet_cluster(1, features=Features(max_bytes_in_flight=20)))


def any_answer_opens_window(parts: Parts) -> Observed:
    """Each command fills the window of bytes. B is on its way to n2 and C waits when n2's answer to A arrives again."""
    cluster = cluster_of(parts, timing=msgspec.structs.replace(TIMING, max_bytes_in_flight=len(A)))
    cluster.elect("n1")
    cluster.submit("n1", A)
    cluster.deliver_from("n1", "n2")
    cluster.persist_all("n2")
    (answer,) = (packet for packet in cluster.network if packet.source == "n2")
    cluster.deliver_from("n2", "n1")
    cluster.submit("n1", B)
    cluster.submit("n1", C)
    cluster.deliver(answer)
    return seen(cluster)


def next_index_below_match(parts: Parts) -> Observed:
    """The network reorders two entries on their way to n2; that n2 rejected the later one, n1 hears long afterwards."""
    cluster = cluster_of(parts)
    cluster.elect("n1")
    cluster.submit("n1", A)
    cluster.submit("n1", B)
    first, second = (packet for packet in cluster.network if packet.to == "n2")
    cluster.drop()
    cluster.deliver(second)
    (rejection,) = cluster.network
    cluster.drop()
    cluster.deliver(first)
    cluster.deliver(second)
    cluster.settle()
    cluster.heartbeat("n1")
    cluster.deliver(rejection)
    return seen(cluster)


def whole_log_each_time(parts: Parts) -> Observed:
    """n2 lacks the last entry alone, and the log fits into one message: three heartbeats are enough."""
    cluster = cluster_of(parts, logs={"n1": entries(*[1] * 100), "n2": entries(*[1] * 99)}, term=1)
    win(cluster, "n1", "n2", "n3")
    for _ in range(3):
        cluster.heartbeat("n1")
    return seen(cluster)


# ---- commitment ------------------------------------------------------------------------------------------------------


def heartbeat_without_commit(parts: Parts) -> Observed:
    """After the last command nobody asks for anything."""
    return in_sim(parts, one_long_cut(1))


def entries_put_off_heartbeats(parts: Parts) -> Observed:
    """n3 is cut off, and gets no entries once 100 bytes of them are on their way. n2 gets one every 40 ms."""
    return in_sim(parts, one_long_cut(1, Features(max_bytes_in_flight=100)))


def silent_followers_left_alone(parts: Parts) -> Observed:
    """The same: n3 is cut off for 7 s, in which it gets nothing but heartbeats."""
    return in_sim(parts, one_long_cut(1, Features(max_bytes_in_flight=100)))


def no_no_op(parts: Parts) -> Observed:
    """A client's command comes right after an election."""
    cluster = cluster_of(parts)
    stand(cluster, "n1")
    cluster.submit("n1", A)
    cluster.settle()
    return seen(cluster)


def old_term_commit(parts: Parts) -> Observed:
    """Figure 8 (a) to (d) with three servers: n1 copies entry 2, of term 2, in term 4; n3 has one of term 3 there."""
    logs = {"n1": entries(1, 2), "n2": entries(1), "n3": entries(1, 3)}
    one_by_one = Timing(100_000, 200_000, 20_000, max_entries_per_message=1)
    cluster = cluster_of(parts, logs=logs, term=3, timing=one_by_one)
    win(cluster, "n1", "n2")
    exchange(cluster, "n1", "n2")  # refused: n2 ends at entry 1
    exchange(cluster, "n1", "n2")
    die(cluster, "n1")
    stand(cluster, "n3")
    stand(cluster, "n3")
    return seen(cluster)


def leader_counts_unsynced_self(parts: Parts) -> Observed:
    """n2 alone has n1's first entry on disk, and hears at once whether n1 has committed it."""
    cluster = cluster_of(parts)
    candidate(cluster, "n1")
    exchange(cluster, "n1", "n2")
    exchange(cluster, "n1", "n2")
    cluster.tick("n1")
    cluster.deliver_from("n1", "n2")
    return seen(cluster)


def commit_loop_break(parts: Parts) -> Observed:
    """All have entry 1, of term 1, and nobody knows it committed. n1 leads in term 2."""
    cluster = cluster_of(parts, logs={name: entries(1) for name in ("n1", "n2", "n3")}, term=1)
    cluster.elect("n1")
    cluster.submit("n1", A)
    for _ in range(10):
        cluster.heartbeat("n1")
    return judged_recovery(cluster, bound_us=200_000)


def commit_past_match(parts: Parts) -> Observed:
    """n1 commits entry 2 with n2, and tells n3 by a heartbeat that follows entry 1; n3 has another entry 2."""
    cluster = cluster_of(parts, logs={"n1": entries(1), "n2": entries(1), "n3": entries(1, 2)}, term=2)
    win(cluster, "n1", "n2")
    exchange(cluster, "n1", "n2")
    cluster.drop()
    cluster.tick("n1")
    exchange(cluster, "n1", "n3")
    return seen(cluster)


def follower_commit_regress(parts: Parts) -> Observed:
    """n2 learned of the second commit, n3 did not; both have the entry, and n3 becomes leader."""
    cluster = cluster_of(parts)
    cluster.elect("n1")
    cluster.heartbeat("n1")
    cluster.submit("n1", A)
    cluster.settle()
    cluster.tick("n1")
    cluster.deliver_from("n1", "n2")
    die(cluster, "n1")
    stand(cluster, "n3")
    return seen(cluster)


def no_client_dedup(parts: Parts) -> Observed:
    """c0 gets no answer, since n1 is gone, and sends its command again to n2; then c1 reads."""
    cluster = cluster_of(parts)
    append = encode_command(Command("append", "x", "a", client="c0", serial=1))
    read = encode_command(Command("get", "x", client="c1", serial=1))
    cluster.elect("n1")
    cluster.submit("n1", append)
    cluster.settle()
    die(cluster, "n1")
    cluster.elect("n2")
    cluster.submit("n2", append)
    cluster.settle()
    cluster.submit("n2", read)
    cluster.settle()
    appended, shown = cluster["n2"].replies
    ops = [
        Op(type="invoke", process=0, client="c0", op="c0/0", f="append", key="x", value="a", t_us=0),
        ok(Op(type="ok", process=0, client="c0", op="c0/0", f="append", key="x", t_us=1), appended),
        Op(type="invoke", process=1, client="c1", op="c1/0", f="get", key="x", t_us=2),
        ok(Op(type="ok", process=1, client="c1", op="c1/0", f="get", key="x", t_us=3), shown),
    ]
    return [*cluster.all_events(), *ops]


def step_down_refuses_commands(parts: Parts) -> Observed:
    """n1 gives c0's command to n2, and falls back when n2 leads, which commits the command. Then c1 reads it."""
    cluster = cluster_of(parts)
    cluster.elect("n1")
    cluster.submit("n1", encode_command(Command("append", "x", "a", client="c0", serial=1)))
    cluster.persist_all("n1")
    cluster.deliver_from("n1", "n2")
    cluster.persist_all("n2")
    cluster.drop()
    cluster.elect("n2")
    cluster.submit("n2", encode_command(Command("get", "x", client="c1", serial=1)))
    cluster.settle()
    (given_up,), (shown,) = cluster["n1"].replies, cluster["n2"].replies
    ended = Op(type="info", process=0, client="c0", op="c0/0", f="append", key="x", value="a", t_us=1)
    if given_up.result is not None:
        ended = msgspec.structs.replace(ended, type="fail", index=given_up.index, term=given_up.term)
    ops = [
        Op(type="invoke", process=0, client="c0", op="c0/0", f="append", key="x", value="a", t_us=0),
        ended,
        Op(type="invoke", process=1, client="c1", op="c1/0", f="get", key="x", t_us=2),
        ok(Op(type="ok", process=1, client="c1", op="c1/0", f="get", key="x", t_us=3), shown),
    ]
    return [*cluster.all_events(), *ops]


def given_up_without_answer(parts: Parts) -> Observed:
    """Leaders are cut off while a client's commands come, and others take their place."""
    return in_sim(parts, many_elections(1))


def never_busy(parts: Parts) -> Observed:
    """n1 is cut off, and is asked for three commands; two may wait."""
    cluster = cluster_of(parts, timing=msgspec.structs.replace(TIMING, max_waiting=2))
    cluster.elect("n1")
    cluster.cut_off = frozenset({"n1"})
    for asked in (A, B, C):
        cluster.submit("n1", asked)
        cluster.persist_all("n1")
    return seen(cluster)


def older_serial_gets_latest(parts: Parts) -> Observed:
    """c0 writes x, then y; then a copy of its first command arrives."""
    cluster = cluster_of(parts)
    x = encode_command(Command("put", "x", "1", client="c0", serial=1))
    y = encode_command(Command("put", "y", "1", client="c0", serial=2))
    cluster.elect("n1")
    for asked in (x, y, x):
        cluster.submit("n1", asked)
        cluster.settle()
    first, _, again = cluster["n1"].replies
    assert again.result is not None
    arrived_again = AnsweredAgain(
        node=HARNESS,
        inc=1,
        t_us=0,
        client="c0",
        op="c0/0",
        refused=not again.result.ok,
        first_index=first.index,
        index=again.index,
    )
    return [*cluster.all_events(), arrived_again]


def deposed_leader_reads(parts: Parts) -> Observed:
    """n1 is cut off and does not know it; n2 leads, and takes a write that n1 has not heard of when it is asked."""
    cluster = cluster_of(parts)
    put = encode_command(Command("put", "x", "a", client="c0", serial=1))
    read = encode_command(Command("get", "x", client="c1", serial=1))
    cluster.elect("n1")
    candidate(cluster, "n2")
    exchange(cluster, "n2", "n3")
    cluster.persist_all("n2")
    cluster.submit("n2", put)
    for _ in range(3):
        cluster.persist_all("n2")
        exchange(cluster, "n2", "n3")
    cluster.submit("n1", read)
    ops = [Op(type="invoke", process=0, client="c0", op="c0/0", f="put", key="x", value="a", t_us=0)]
    if (written := _answer_to(cluster["n2"].replies, put)) is not None:
        ops.append(ok(Op(type="ok", process=0, client="c0", op="c0/0", f="put", key="x", t_us=1), written))
    ops.append(Op(type="invoke", process=1, client="c1", op="c1/0", f="get", key="x", t_us=2))
    if (shown := _answer_to(cluster["n1"].replies, read)) is not None:
        ops.append(ok(Op(type="ok", process=1, client="c1", op="c1/0", f="get", key="x", t_us=3), shown))
    return [*cluster.all_events(), *ops]


def read_index_without_round(parts: Parts) -> Observed:
    """As above, with a read by ReadIndex, which n1 takes in the term that it leads."""
    cluster = cluster_of(parts)
    cluster.elect("n1")
    cluster.cut_off = frozenset(["n1"])
    candidate(cluster, "n2")
    exchange(cluster, "n2", "n3")
    cluster.persist_all("n2")
    cluster.submit("n2", A)
    for _ in range(3):
        cluster.persist_all("n2")
        exchange(cluster, "n2", "n3")
    return _written_then_read(cluster, "n2", "n1")


def read_joins_round_under_way(parts: Parts) -> Observed:
    """n3 answers n1's round for a read, and elects n2 before that arrives. n1 takes another read meanwhile."""
    cluster = cluster_of(parts)
    cluster.elect("n1")
    cluster.read("n1", "y")
    cluster.deliver_from("n1", "n3")
    candidate(cluster, "n2")
    _takes_over(cluster, "n2", "n3")
    cluster.now_us += 5_000
    cluster.read("n1", "x")
    cluster.deliver_from("n3", "n1")
    return _written_then_read(cluster, "n2", "n1")


def read_confirmed_by_one(parts: Parts) -> Observed:
    """Five nodes; n2 alone answers n1's round for a read."""
    cluster = cluster_of(parts, 5)
    cluster.elect("n1")
    return _read_answered_by(cluster, "n2")


def read_confirmed_by_earlier_round(parts: Parts) -> Observed:
    """n1 leads and has answered a read; nobody answers its round for the next one, but somebody asks for a third."""
    cluster = cluster_of(parts)
    cluster.elect("n1")
    cluster.read("n1", "y")
    cluster.settle()
    return _read_answered_by(cluster)


def _read_answered_by(cluster: Cluster, *peers: str) -> Observed:
    """A client reads x at n1, whose round for that reaches only these peers. Then somebody reads z."""
    cluster.now_us += 5_000
    asked = Op(type="invoke", process=1, client="c1", op="c1/0", f="get", key="x", t_us=cluster.now_us)
    ops = [msgspec.structs.replace(asked, consistency="read_index")]
    cluster.read("n1", "x")
    for peer in peers:
        exchange(cluster, "n1", peer)
    cluster.read("n1", "z")
    cluster.now_us += 5_000
    if (shown := next((one for one in cluster["n1"].replies if one.is_read and one.token == "x"), None)) is not None:
        ops.append(ok(msgspec.structs.replace(ops[0], type="ok", t_us=cluster.now_us, node="n1", inc=1), shown))
    return [*cluster.all_events(), *ops]


def read_index_too_early(parts: Parts) -> Observed:
    """n1 dies before n2 hears that A is committed. n2 leads, and its first entry is lost on its way to n3."""
    cluster = cluster_of(parts)
    cluster.elect("n1")
    cluster.submit("n1", A)
    cluster.persist_all("n1")
    for follower in ("n2", "n3"):
        exchange(cluster, "n1", follower)
    die(cluster, "n1")
    win(cluster, "n2", "n3")
    cluster.drop()
    cluster.read("n2", "x")
    exchange(cluster, "n2", "n3")
    return _written_then_read(cluster, "n1", "n2")


def read_index_is_applied(parts: Parts) -> Observed:
    """n2 and n3 have A on disk, so n1 commits it; its own disk is slow, so it has not applied A when a client reads."""
    cluster = cluster_of(parts)
    cluster.elect("n1")
    cluster.submit("n1", A)
    for follower in ("n2", "n3"):
        exchange(cluster, "n1", follower)
    cluster.now_us += 5_000
    asked = Op(type="invoke", process=1, client="c1", op="c1/0", f="get", key="x", t_us=cluster.now_us)
    ops = [msgspec.structs.replace(asked, consistency="read_index")]
    cluster.read("n1", "x")
    exchange(cluster, "n1", "n2")
    cluster.now_us += 5_000
    if (shown := next((one for one in cluster["n1"].replies if one.is_read), None)) is not None:
        ops.append(ok(msgspec.structs.replace(ops[0], type="ok", t_us=cluster.now_us, node="n1", inc=1), shown))
    cluster.persist_all("n1")
    return [*cluster.all_events(), *ops]


def _takes_over(cluster: Cluster, name: str, voter: str) -> None:
    """A node is elected by this voter, and commits A with it. No other node hears of it."""
    exchange(cluster, name, voter)
    cluster.persist_all(name)
    cluster.submit(name, A)
    for _ in range(3):
        cluster.persist_all(name)
        exchange(cluster, name, voter)


def restore_answers_done(parts: Parts) -> Observed:
    """n1 restores a snapshot while a command waits that was never committed. Then a client reads what is there."""
    cluster = snapshot_scenarios.deposed(parts, A)
    cluster.read("n2", "x")
    cluster.settle()
    return _written_then_read(cluster, "n1", "n2")


def no_read_index(parts: Parts) -> Observed:
    """When all is healed, a client reads by ReadIndex."""
    return in_sim(parts, one_long_cut(1))


def lease_too_long(parts: Parts) -> Observed:
    """n1 is cut off after a heartbeat that all have answered, and n2's timer runs out."""
    cluster = cluster_of(parts, timing=LEASES)
    stand(cluster, "n1")
    stand(cluster, "n1")
    cluster.cut_off = frozenset(["n1"])
    candidate(cluster, "n2")
    _takes_over(cluster, "n2", "n3")
    return _written_then_read(cluster, "n2", "n1", "lease")


def phantom_contact(parts: Parts) -> Observed:
    """n3 has elected n2, and rejects n1's heartbeat. An answer of before comes late, so n1 has not given up yet."""
    cluster = cluster_of(parts, timing=LEASES)
    stand(cluster, "n1")
    cluster.tick("n1")
    cluster.deliver_from("n1", "n2", "n3")
    candidate(cluster, "n2")
    _takes_over(cluster, "n2", "n3")
    cluster.deliver_from("n3", "n1")
    cluster.tick("n1")
    exchange(cluster, "n1", "n3")
    return _written_then_read(cluster, "n2", "n1", "lease")


def lease_survives_transfer(parts: Parts) -> Observed:
    """n1 hands over to n2, and does not hear that n2 is elected."""
    cluster = cluster_of(parts, timing=LEASES)
    stand(cluster, "n1")
    stand(cluster, "n1")
    hand_over(cluster, "n1", "n2")
    cluster.deliver_from("n1", "n2")
    cluster.persist_all("n2")
    _takes_over(cluster, "n2", "n3")
    return _written_then_read(cluster, "n2", "n1", "lease")


def _written_then_read(cluster: Cluster, writer: str, reader: str, consistency: Consistency = "read_index") -> Observed:
    """A was acknowledged by one node; then a client reads x at another one, or has just asked for it."""
    now_us = cluster.now_us
    ops = [Op(type="invoke", process=0, client="c0", op="c0/0", f="append", key="x", value="a", t_us=now_us - 2)]
    if (written := _answer_to(cluster[writer].replies, A)) is not None:
        ops.append(ok(Op(type="ok", process=0, client="c0", op="c0/0", f="append", key="x", t_us=now_us - 1), written))
    asked = Op(type="invoke", process=1, client="c1", op="c1/0", f="get", key="x", t_us=now_us, consistency=consistency)
    ops.append(asked)
    if not cluster[reader].replies:
        cluster.read(reader, "x", consistency=consistency)
    if (shown := next((one for one in cluster[reader].replies if one.is_read and one.token == "x"), None)) is not None:
        ops.append(ok(msgspec.structs.replace(asked, type="ok", t_us=now_us + 1, node=reader, inc=1), shown))
    return [*cluster.all_events(), *ops]


def _answer_to(replies: list[Reply], command: bytes) -> Reply | None:
    """In the tests' cluster a command is its own token."""
    return next((reply for reply in replies if reply.token == command and reply.result is not None), None)


def ok(op: Op, reply: Reply) -> Op:
    """The answer that a client saw, from the node's replies."""
    assert reply.result is not None
    return msgspec.structs.replace(op, value=reply.result.value, index=reply.index, term=reply.term)


SCENARIOS: dict[str, Scenario] = {
    scenario.__name__: scenario
    for scenario in (
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
        ack_before_sync,
        truncate_on_stale_append,
        conflict_cut_too_far,
        conflict_cut_committed,
        durable_cursor_survives_truncation,
        rollback_committed,
        withdraw_before_step_down,
        hint_as_match,
        match_starts_valid,
        stale_progress_kept,
        retransmission_storm,
        next_index_below_match,
        whole_log_each_time,
        heartbeat_without_commit,
        entries_put_off_heartbeats,
        silent_followers_left_alone,
        no_no_op,
        bytes_in_flight_leak,
        any_answer_opens_window,
        old_term_commit,
        leader_counts_unsynced_self,
        commit_loop_break,
        commit_past_match,
        follower_commit_regress,
        no_client_dedup,
        step_down_refuses_commands,
        given_up_without_answer,
        never_busy,
        older_serial_gets_latest,
        deposed_leader_reads,
        *membership_scenarios.SCENARIOS,
        *snapshot_scenarios.SCENARIOS,
        read_index_too_early,
        read_index_is_applied,
        read_index_without_round,
        restore_answers_done,
        no_read_index,
        read_joins_round_under_way,
        read_confirmed_by_one,
        read_confirmed_by_earlier_round,
        lease_too_long,
        phantom_contact,
        lease_survives_transfer,
        *storage_scenarios.SCENARIOS,
        *old_entries_scenarios.SCENARIOS,
        *session_scenarios.SCENARIOS,
    )
}
