"""The scenarios of replication: the side of the follower, that of the leader, and its heartbeats."""

from __future__ import annotations

import msgspec
from scenario_steps import (
    Observed,
    candidate,
    cluster_of,
    die,
    exchange,
    seen,
    stand,
    win,
)
from sim_scenarios import in_sim, one_long_cut, quiet_cluster

from cluster import TIMING, command, entries
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.state.features import Features

A, B, C = command("a"), command("b"), command("c")


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


def heartbeat_without_commit(parts: Parts) -> Observed:
    """After the last command nobody asks for anything."""
    return in_sim(parts, one_long_cut(1))


def entries_put_off_heartbeats(parts: Parts) -> Observed:
    """n3 is cut off, and gets no entries once 100 bytes of them are on their way. n2 gets one every 40 ms."""
    return in_sim(parts, one_long_cut(1, Features(max_bytes_in_flight=100)))


def silent_followers_left_alone(parts: Parts) -> Observed:
    """The same: n3 is cut off for 7 s, in which it gets nothing but heartbeats."""
    return in_sim(parts, one_long_cut(1, Features(max_bytes_in_flight=100)))


SCENARIOS = (
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
    bytes_in_flight_leak,
    any_answer_opens_window,
)
