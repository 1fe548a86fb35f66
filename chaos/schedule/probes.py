"""The probes of episodes in which a leader was replaced and does not know: clients that read at each node while others
write. A stale answer shows only if somebody asks that very node at that very time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter

from raft_chaos.chaos.schedule.data import Fault, Operation
from raft_chaos.chaos.schedule.steered import held_answers, old_lease
from raft_chaos.chaos.schedule.steered.catalogue import OLD_LEASE, episode_of
from raft_chaos.invariants.history import Consistency

PROBED = old_lease.PROBED | {held_answers.EPISODE.name: held_answers.PROBED}
"""When a leader may answer that was replaced, after its episode has begun, in longest election timeouts."""
WRITERS, WRITE_EVERY_US, READ_EVERY_US = 3, 15_000, 10_000


def probes(faults: Iterable[Fault], nodes: Sequence[str], unit: int) -> list[Operation]:
    """The reads and writes of these episodes among the faults: a client beside each node reads there, again and again,
    what others write at whoever leads. Nothing is drawn."""
    windows: list[tuple[int, int, Consistency]] = []
    for fault in faults:
        episode = episode_of(fault.id)
        if episode in PROBED and fault.when.at_us is not None:
            from_us, until_us = (fault.when.at_us + round(part * unit) for part in PROBED[episode])
            windows.append((from_us, until_us, "lease" if episode in OLD_LEASE else "read_index"))
    made: list[Operation] = []
    writes = [at_us for from_us, until_us, _ in windows for at_us in range(from_us, until_us, WRITE_EVERY_US)]
    reads = [(at_us, how) for from_us, until_us, how in windows for at_us in range(from_us, until_us, READ_EVERY_US)]
    for place in range(WRITERS):
        client, key = f"probe-w{place}", f"reg/probe-w{place}/0"
        for number, at_us in enumerate(writes):
            # A read leads it from its own node to the leader of that one, which may be another than the old one.
            first, name, value = f"{client}/{2 * number}", f"{client}/{2 * number + 1}", f"{client}-{number}"
            node = nodes[place % len(nodes)]
            made.append(
                Operation(id=first, client=client, at_us=at_us, f="get", key=key, node=node, consistency="read_index")
            )
            made.append(Operation(id=name, client=client, at_us=at_us, f="put", key=key, value=value))
    for node in nodes:
        client = f"probe-{node}"
        for number, (at_us, how) in enumerate(reads):
            name, key = f"{client}/{number}", f"reg/probe-w{number % WRITERS}/0"
            made.append(Operation(id=name, client=client, at_us=at_us, f="get", key=key, node=node, consistency=how))
    return sorted(made, key=attrgetter("at_us"))


def probers(nodes: Sequence[str]) -> list[str]:
    """The clients of `probes`."""
    return [*(f"probe-w{place}" for place in range(WRITERS)), *(f"probe-{node}" for node in nodes)]
