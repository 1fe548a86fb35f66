"""The scenarios of reads without a log entry, and of leases (thesis, §6.4)."""

from __future__ import annotations

import msgspec
from scenario_steps import (
    Observed,
    answer_to,
    candidate,
    cluster_of,
    die,
    exchange,
    hand_over,
    ok,
    stand,
    win,
    written_then_read,
)
from sim_scenarios import in_sim, one_long_cut

from cluster import TIMING, Cluster, command
from raft_chaos.invariants.history import Op
from raft_chaos.raft.replica.command import Command, encode_command
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.state.features import Features

LEASES = msgspec.structs.replace(TIMING, features=Features(check_quorum=True, lease_reads=True))

A, B, C = command("a"), command("b"), command("c")


def deposed_leader_reads(parts: Parts) -> Observed:
    """n1 is cut off and does not know it; n2 leads, and takes a write that n1 has not heard of when it is asked."""
    cluster = cluster_of(parts)
    put = encode_command(Command("put", "x", "a", client="c0", serial=1))
    read = encode_command(Command("get", "x", client="c1", serial=1))
    cluster.elect("n1")
    candidate(cluster, "n2")
    _takes_over(cluster, "n2", "n3", put)
    cluster.submit("n1", read)
    ops = [Op(type="invoke", process=0, client="c0", op="c0/0", f="put", key="x", value="a", t_us=0)]
    if (written := answer_to(cluster["n2"].replies, put)) is not None:
        ops.append(ok(Op(type="ok", process=0, client="c0", op="c0/0", f="put", key="x", t_us=1), written))
    ops.append(Op(type="invoke", process=1, client="c1", op="c1/0", f="get", key="x", t_us=2))
    if (shown := answer_to(cluster["n1"].replies, read)) is not None:
        ops.append(ok(Op(type="ok", process=1, client="c1", op="c1/0", f="get", key="x", t_us=3), shown))
    return [*cluster.all_events(), *ops]


def read_index_without_round(parts: Parts) -> Observed:
    """As above, with a read by ReadIndex, which n1 takes in the term that it leads."""
    cluster = cluster_of(parts)
    cluster.elect("n1")
    cluster.cut_off = frozenset(["n1"])
    candidate(cluster, "n2")
    _takes_over(cluster, "n2", "n3")
    return written_then_read(cluster, "n2", "n1")


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
    return written_then_read(cluster, "n2", "n1")


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
    return written_then_read(cluster, "n1", "n2")


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


def _takes_over(cluster: Cluster, name: str, voter: str, write: bytes = A) -> None:
    """A node is elected by this voter, and commits a write with it. No other node hears of it."""
    exchange(cluster, name, voter)
    cluster.persist_all(name)
    cluster.submit(name, write)
    for _ in range(3):
        cluster.persist_all(name)
        exchange(cluster, name, voter)


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
    return written_then_read(cluster, "n2", "n1", "lease")


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
    return written_then_read(cluster, "n2", "n1", "lease")


def lease_survives_transfer(parts: Parts) -> Observed:
    """n1 hands over to n2, and does not hear that n2 is elected."""
    cluster = cluster_of(parts, timing=LEASES)
    stand(cluster, "n1")
    stand(cluster, "n1")
    hand_over(cluster, "n1", "n2")
    cluster.deliver_from("n1", "n2")
    cluster.persist_all("n2")
    _takes_over(cluster, "n2", "n3")
    return written_then_read(cluster, "n2", "n1", "lease")


SCENARIOS = (
    deposed_leader_reads,
    read_index_too_early,
    read_index_is_applied,
    read_index_without_round,
    no_read_index,
    read_joins_round_under_way,
    read_confirmed_by_one,
    read_confirmed_by_earlier_round,
    lease_too_long,
    phantom_contact,
    lease_survives_transfer,
)
