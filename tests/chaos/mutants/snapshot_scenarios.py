"""The handwritten scenarios that convict the mutants of log compaction (§7)."""

from __future__ import annotations

from msgspec.structs import replace
from scenario_steps import Observed, cluster_of, exchange, judged_recovery, seen, stand, win, written_then_read
from sim_scenarios import cut_off_leader, in_sim, one_long_cut

from cluster import TIMING, Cluster, command, entries
from raft_chaos.invariants.events import HARNESS, NodeExited
from raft_chaos.raft.core.leader import LONGEST_WRITE_TIMEOUTS
from raft_chaos.raft.replica.command import Command, encode_command
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.state.features import Features
from raft_chaos.raft.state.log import CompactedError
from raft_chaos.raft.state.messages import InstallSnapshot

EVERY_5 = Features(snapshot_every=5)
EVERY_3 = replace(TIMING, features=Features(snapshot_every=3))


def behind(parts: Parts, *, logs: bool = False, missed: int = 8) -> Cluster:
    """n1 leads, n3 was cut off for so many commands, and n1 has compacted them. With `logs` n3 holds entries of an
    earlier term in their place."""
    there = {"n1": entries(1), "n2": entries(1), "n3": entries(1, *[2] * 20)} if logs else None
    cluster = cluster_of(parts, timing=EVERY_3, logs=there, term=2 if logs else 0)
    cluster.cut_off = frozenset({"n3"})
    win(cluster, "n1", "n2")
    cluster.now_us += (
        LONGEST_WRITE_TIMEOUTS * TIMING.election_timeout_max_us
    )  # n3 is silent, so n1 does not keep its log for it
    for number in range(missed):
        cluster.submit("n1", command(str(number)))
        cluster.settle()
    cluster.cut_off = frozenset()
    return cluster


def prev_zero_reappends(parts: Parts) -> Observed:
    """The first AppendEntries arrives at n2 once more, after n2 has compacted its whole log."""
    cluster = cluster_of(parts, timing=EVERY_3)
    win(cluster, "n1", "n2")
    first = [one for one in cluster.network if one.to == "n2"]
    cluster.settle()
    while cluster["n2"].core.log.base_index < max(cluster["n2"].core.log.last_index, 3):
        cluster.submit("n1", command("a"))
        cluster.settle()
        stand(cluster, "n1")
    for packet in first:
        cluster.deliver(packet)
    cluster.settle()
    cluster.submit("n1", command("x"))
    cluster.settle()
    return seen(cluster)


def snapshot_keeps_conflict(parts: Parts) -> Observed:
    """n3 has entries of an earlier term behind the snapshot; after a restart it reports them on top of it."""
    cluster = behind(parts, logs=True)
    for _ in range(3):
        cluster.tick("n1")
        exchange(cluster, "n1", "n3")
        exchange(cluster, "n1", "n3")
    cluster.crash("n3")
    cluster.restart("n3")
    return seen(cluster)


def snapshot_drops_suffix(parts: Parts) -> Observed:
    """n3 gets two messages in the wrong order, and late. So its leader sends it a snapshot up to the first one, which
    arrives when n3 has acknowledged both."""
    cluster = cluster_of(parts, timing=EVERY_3)
    stand(cluster, "n1")
    stand(cluster, "n1")
    cluster.submit("n1", *(command(str(number)) for number in range(4)))
    cluster.submit("n1", *(command(str(number)) for number in range(4, 7)))
    to_n2, _ = (packet for packet in cluster.network if packet.to == "n2")
    first, second = (packet for packet in cluster.network if packet.to == "n3")
    cluster.drop()
    cluster.deliver(second)
    cluster.deliver_from("n3", "n1")
    cluster.drop()
    cluster.deliver(to_n2)
    cluster.persist_all("n2")
    cluster.deliver_from("n2", "n1")
    cluster.persist_all("n1")
    cluster.tick("n1")
    (snapshot,) = (packet for packet in cluster.network if isinstance(packet.message, InstallSnapshot))
    for packet in (first, second):
        cluster.deliver(packet)
        cluster.persist_all("n3")
    cluster.deliver_from("n3", "n1")
    cluster.drop()
    cluster.deliver(snapshot)
    cluster.settle()
    stand(cluster, "n1")
    stand(cluster, "n1")
    return seen(cluster)


def snapshot_ack_before_sync(parts: Parts) -> Observed:
    """n3 loses the snapshot in a crash, and comes back while n1 leads."""
    cluster = behind(parts)
    cluster.tick("n1")
    cluster.deliver_from("n1", "n3")
    cluster.persist("n3")  # its term, but not the snapshot
    cluster.deliver_from("n3", "n1")
    cluster.crash("n3")
    cluster.drop()
    cluster.restart("n3")
    return caught_up(cluster, "n3")


def snapshot_off_by_one(parts: Parts) -> Observed:
    """n3 lacks only the entry that is the last one of the snapshot. A node that fails ends by itself."""
    cluster = cluster_of(parts, timing=EVERY_3)
    stand(cluster, "n1")
    cluster.submit("n1", command("a"))
    cluster.settle()
    cluster.cut_off = frozenset({"n3"})
    cluster.submit("n1", command("b"))
    cluster.settle()
    cluster.cut_off = frozenset()
    try:
        return caught_up(cluster, "n3")
    except CompactedError:
        return [NodeExited(node=HARNESS, inc=1, t_us=cluster.now_us, subject="n1", subject_inc=1, exit_code=70)]


def caught_up(cluster: Cluster, name: str) -> Observed:
    """The leader goes on for a long time, and commits one more entry. The node must reach what was committed before."""
    target = cluster["n1"].core.commit_index
    for _ in range(100):
        stand(cluster, "n1")
    cluster.submit("n1", command("last"))
    cluster.settle()
    return judged_recovery(cluster, 1_000_000, target, (name,))


def deposed(parts: Parts, asked: bytes) -> Cluster:
    """n1 is cut off and asked for something; n2 takes over, and compacts its log. The first that n1 hears of it is a
    snapshot, which has another entry in the place of n1's."""
    cluster = cluster_of(parts, timing=EVERY_3)
    stand(cluster, "n1")
    stand(cluster, "n1")
    cluster.cut_off = frozenset({"n1"})
    cluster.submit("n1", asked)
    cluster.drop()
    win(cluster, "n2", "n3")
    for number in range(5):
        cluster.submit("n2", encode_command(Command("put", "y", str(number))))
        cluster.settle()
    cluster.cut_off = frozenset()
    stand(cluster, "n2")
    cluster.now_us += 5_000
    return cluster


def restore_forgets_waiting(parts: Parts) -> Observed:
    """A leader is cut off while clients' commands come; its successor has compacted its log when they meet again."""
    return in_sim(parts, cut_off_leader(1, Features(snapshot_every=6)))


def nack_below_snapshot(parts: Parts) -> Observed:
    """n3 begins with an empty log, and rejects. The same rejection comes again after all have compacted their logs."""
    there = entries(1, 1)
    cluster = cluster_of(parts, timing=EVERY_3, logs={"n1": there, "n2": there, "n3": []}, term=1)
    stand(cluster, "n1")
    rejections = [one for one in cluster.traffic if getattr(one.message, "rejected_index", 0)]
    for number in range(6):
        cluster.submit("n1", command(str(number)))
        cluster.settle()
    for _ in range(2):
        stand(cluster, "n1")
    for packet in rejections:
        cluster.deliver(packet)
    cluster.settle()
    stand(cluster, "n1")
    return seen(cluster)


def log_compacted_during_transfer(parts: Parts) -> Observed:
    """n3 is cut off only for a moment, but n1 applies many commands since it began to send n3 a snapshot."""
    cluster = cluster_of(parts, timing=EVERY_3)
    cluster.cut_off = frozenset({"n3"})
    win(cluster, "n1", "n2")
    for number in range(8):
        cluster.submit("n1", command(str(number)))
        cluster.settle()
    cluster.cut_off = frozenset()
    for _ in range(4):
        stand(cluster, "n1")
    return judged_recovery(cluster, 2_000_000)


def replay_onto_dirty_state(parts: Parts) -> Observed:
    """n3 has applied a key that is deleted while it is cut off."""
    cluster = cluster_of(parts, timing=EVERY_3)
    stand(cluster, "n1")
    cluster.submit("n1", encode_command(Command("put", "gone", "1")))
    cluster.settle()
    stand(cluster, "n1")
    cluster.cut_off = frozenset({"n3"})
    cluster.submit("n1", encode_command(Command("delete", "gone")))
    for number in range(6):
        cluster.submit("n1", command(str(number)))
        cluster.settle()
    cluster.cut_off = frozenset()
    for _ in range(3):
        stand(cluster, "n1")
    assert any(isinstance(one.message, InstallSnapshot) for one in cluster.traffic)
    return seen(cluster)


def snapshot_drops_sessions(parts: Parts) -> Observed:
    """n2 takes a snapshot after a command of a client with a session, and restarts."""
    cluster = cluster_of(parts, timing=EVERY_3)
    stand(cluster, "n1")
    for serial in range(1, 6):
        cluster.submit("n1", encode_command(Command("append", "x", "1", client="c0", serial=serial)))
        cluster.settle()
    stand(cluster, "n1")
    cluster.crash("n2")
    cluster.restart("n2")
    return seen(cluster)


def one_snapshot_each_start(parts: Parts) -> Observed:
    """All nodes apply hundreds of entries, with a snapshot after every five."""
    return in_sim(parts, one_long_cut(1, EVERY_5))


def whole_snapshot_each_time(parts: Parts) -> Observed:
    """n3 was cut off for a long time, and gets a snapshot of a hundred parts."""
    return in_sim(parts, one_long_cut(1, EVERY_5, value=200 * "v"))


def restore_answers_done(parts: Parts) -> Observed:
    """n1 restores a snapshot while a command waits that was never committed. Then a client reads what is there."""
    cluster = deposed(parts, command("a"))
    cluster.read("n2", "x")
    cluster.settle()
    return written_then_read(cluster, "n1", "n2")


SCENARIOS = (
    prev_zero_reappends,
    snapshot_keeps_conflict,
    snapshot_drops_suffix,
    restore_forgets_waiting,
    snapshot_ack_before_sync,
    snapshot_off_by_one,
    nack_below_snapshot,
    log_compacted_during_transfer,
    replay_onto_dirty_state,
    snapshot_drops_sessions,
    one_snapshot_each_start,
    whole_snapshot_each_time,
    restore_answers_done,
)
