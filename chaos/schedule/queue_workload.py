"""The client operations of a schedule on a queue, for targets that have one (Jepsen's workload for a total queue).

    queue    all clients enqueue, every element once, and dequeue; somewhat more is put in than taken out

So the queue holds elements whenever a fault strikes, and only those that come out at the end, when nothing breaks any
more, show that none was lost. Now and then all clients do the same at one moment: they put in, or take out, side by
side. Each client draws from a stream of its own, and the common moments have one more.
"""

from __future__ import annotations

from operator import attrgetter

from raft_chaos.chaos.schedule.data import Operation
from raft_chaos.chaos.schedule.streams import stream
from raft_chaos.chaos.schedule.workload import FIRST_US
from raft_chaos.invariants.history import OpFunction

QUEUE = "queue"
ENQUEUES = 0.6
"""The share of enqueues."""
TOGETHER = 0.1
"""The share of operations that all clients begin at one moment."""


def draw_queue(
    seed: int, clients: list[str], ops_per_second: float, until_us: int, before: dict[str, int]
) -> list[Operation]:
    """The operations of all clients on the queue in the order of time, up to `until_us`. `before` is how many other
    operations each client has: their numbers go on from there."""
    rate = ops_per_second / len(clients)
    together = _moments(seed, "together", rate * TOGETHER, until_us)
    operations: list[Operation] = []
    for client in clients:
        moments = sorted([*_moments(seed, client, rate * (1 - TOGETHER), until_us), *together])
        operations += [
            _operation(client, number, at_us, f) for number, (at_us, f) in enumerate(moments, before.get(client, 0))
        ]
    return sorted(operations, key=attrgetter("at_us"))


def _moments(seed: int, name: str, rate: float, until_us: int) -> list[tuple[int, OpFunction]]:
    """When something is asked, and what, with exponential gaps."""
    rng, at_us = stream(seed, f"workload/queue/{name}"), FIRST_US
    moments: list[tuple[int, OpFunction]] = []
    while rate > 0 and (at_us := at_us + int(rng.expovariate(rate) * 1e6)) < until_us:
        moments.append((at_us, "enqueue" if rng.random() < ENQUEUES else "dequeue"))
    return moments


def _operation(client: str, number: int, at_us: int, f: OpFunction) -> Operation:
    value = f"{client}-{number}" if f == "enqueue" else None
    return Operation(id=f"{client}/{number}", client=client, at_us=at_us, f=f, key=QUEUE, value=value)
