"""The scenarios of commitment, and of what a leader makes of clients' commands."""

from __future__ import annotations

import msgspec
from scenario_steps import (
    Observed,
    candidate,
    cluster_of,
    die,
    exchange,
    judged_recovery,
    ok,
    seen,
    stand,
    win,
)
from sim_scenarios import in_sim, many_elections

from cluster import TIMING, command, entries
from raft_chaos.invariants.events import HARNESS, AnsweredAgain
from raft_chaos.invariants.history import Op
from raft_chaos.raft.replica.command import Command, encode_command
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.state.timing import Timing

A, B, C = command("a"), command("b"), command("c")


# ---- commitment ------------------------------------------------------------------------------------------------------


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


SCENARIOS = (
    no_no_op,
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
)
