"""The steps of the mutants' scenarios, each of which is several inputs at once.

    win(cluster, "n1", "n2")        n1 stands for election, and n2's vote decides it
    exchange(cluster, "n1", "n2")   what n1 has sent to n2 arrives, becomes durable there, and is answered
    stand(cluster, "n3")            n3's timer fires: it stands, or sends heartbeats if it leads; all is delivered

`written_then_read` ends one with what two clients saw.

They assert nothing: where a core behaves differently, the same steps just have another result.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from cluster import TIMING, Cluster, command
from raft_chaos.invariants.events import HARNESS, Event, PhaseStarted, RunEnded
from raft_chaos.invariants.history import Consistency, Op
from raft_chaos.raft.replica.output import Reply
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.state.messages import Entry
from raft_chaos.raft.state.timing import Timing

Observed: TypeAlias = list[Event | Op]


def cluster_of(
    parts: Parts, size: int = 3, *, logs: dict[str, list[Entry]] | None = None, term: int = 0, timing: Timing = TIMING
) -> Cluster:
    return Cluster(
        size, logs=logs, term=term, timing=timing, core=parts.core, machine=parts.machine, replica=parts.replica
    )


def seen(cluster: Cluster) -> Observed:
    return list(cluster.all_events())


def exchange(cluster: Cluster, one: str, other: str) -> None:
    """One round trip: what `one` has sent to `other`, and the answers."""
    cluster.deliver_from(one, other)
    cluster.persist_all(other)
    cluster.deliver_from(other, one)


def candidate(cluster: Cluster, name: str) -> None:
    """`name` stands for election; its requests are on their way."""
    cluster.tick(name)
    cluster.persist_all(name)


def win(cluster: Cluster, name: str, *voters: str) -> None:
    """`name` stands, gets the votes, and has its first entry on its own disk; its AppendEntries are on their way."""
    candidate(cluster, name)
    for voter in voters:
        exchange(cluster, name, voter)
    cluster.persist_all(name)


def stand(cluster: Cluster, name: str) -> None:
    cluster.tick(name)
    cluster.settle()


def hand_over(cluster: Cluster, leader: str, to: str) -> None:
    """Somebody asks the leader to hand over."""

    def asked() -> None:
        server = cluster[leader]
        assert server.replica is not None
        server.replica.transfer(to, server.now_us)
        server._advance()

    cluster.step(cluster[leader], asked)


def die(cluster: Cluster, *names: str) -> None:
    """Power is cut, and all that is on its way is lost."""
    for name in names:
        cluster.crash(name)
    cluster.drop()


def judged_recovery(cluster: Cluster, bound_us: int, target: int = 0, owed: tuple[str, ...] = ()) -> Observed:
    """The whole run counts as its liveness phase. The `owed` nodes must apply the log up to `target`."""
    phase = PhaseStarted(
        node=HARNESS, inc=1, t_us=0, phase="liveness", commit_target=target, owed=owed, bound_us=bound_us
    )
    return [phase, *cluster.all_events(), RunEnded(node=HARNESS, inc=1, t_us=cluster.now_us, reason="as planned")]


def written_then_read(cluster: Cluster, writer: str, reader: str, consistency: Consistency = "read_index") -> Observed:
    """The append of a was acknowledged by one node; then a client reads x at another one, or has just asked for it."""
    now_us = cluster.now_us
    ops = [Op(type="invoke", process=0, client="c0", op="c0/0", f="append", key="x", value="a", t_us=now_us - 2)]
    if (written := answer_to(cluster[writer].replies, command("a"))) is not None:
        ops.append(ok(Op(type="ok", process=0, client="c0", op="c0/0", f="append", key="x", t_us=now_us - 1), written))
    asked = Op(type="invoke", process=1, client="c1", op="c1/0", f="get", key="x", t_us=now_us, consistency=consistency)
    ops.append(asked)
    if not cluster[reader].replies:
        cluster.read(reader, "x", consistency=consistency)
    if (shown := next((one for one in cluster[reader].replies if one.is_read and one.token == "x"), None)) is not None:
        ops.append(ok(msgspec.structs.replace(asked, type="ok", t_us=now_us + 1, node=reader, inc=1), shown))
    return [*cluster.all_events(), *ops]


def answer_to(replies: list[Reply], asked: bytes) -> Reply | None:
    """In the tests' cluster a command is its own token."""
    return next((reply for reply in replies if reply.token == asked and reply.result is not None), None)


def ok(op: Op, reply: Reply) -> Op:
    """The answer that a client saw, from the node's replies."""
    assert reply.result is not None
    return msgspec.structs.replace(op, value=reply.result.value, index=reply.index, term=reply.term)
