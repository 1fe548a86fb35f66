"""What a cluster without faults does beside commands: reads that need no log entry, and handing over the leadership.

A node may refuse both while it has no leader, and a fault may stop both, so a run in which they never work looks as if
it had faults all the time. So they are asked for once more when all is healed and nothing is owed any more. What is not
done then is reported at the end (`RunEnded.unserved`), together with the requests that nobody has answered by then, and
`recovery` judges it. That is so in virtual time alone, where no machine is slow.
"""

from __future__ import annotations

from collections.abc import Sequence

from raft_chaos.chaos.faults.transfer import ASKS, POLL_US, Transfers
from raft_chaos.chaos.run.clients import Client
from raft_chaos.chaos.run.nemesis import Nemesis
from raft_chaos.chaos.schedule.data import Operation
from raft_chaos.invariants.history import Consistency

KINDS: tuple[Consistency, ...] = ("read_index", "lease")
"""The reads that a leader owes. A stale one is any node's, whatever it has."""


async def unserved_reads(client: Client, operations: Sequence[Operation]) -> list[str]:
    """The kinds of reads that clients ask for in this workload, and that get no answer now, with the reason."""
    failed = []
    for kind in KINDS:
        asked = next((one for one in operations if one.consistency == kind), None)
        if asked is None:
            continue
        read = Operation(
            id=f"final/{kind}", client="final", at_us=0, f="get", key=asked.key, final=True, consistency=kind
        )
        outcome = await client.perform(read)
        if outcome.type != "ok":
            failed.append(f"a read by {kind} ({outcome.error})")
    return failed


async def unserved_transfer(nemesis: Nemesis, patience_us: int) -> list[str]:
    """The transfer that the cluster does not carry out now, although it is asked for several times, each time with this
    patience; none if it does, or if there is nobody to hand over to."""
    world: object = nemesis.world
    if not isinstance(world, Transfers):
        return []
    voters = [node for node in nemesis.nodes if nemesis.members.votes(node) and nemesis.world.is_up(node)]
    first = world.current_leader()
    to = next((node for node in voters if node != first), None)
    if to is None:
        return []
    for _ in range(ASKS):
        if (leader := world.current_leader()) not in (None, to):
            await world.transfer(leader, to)
        until_us = nemesis.tasks.now_us + patience_us
        while nemesis.tasks.now_us < until_us and world.current_leader() != to:
            await nemesis.tasks.pass_until(nemesis.tasks.now_us + POLL_US)
        if world.current_leader() == to:
            return []
    return [f"a transfer of the leadership to {to} (asked for {ASKS} times)"]
