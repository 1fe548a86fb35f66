"""Whether the nodes are one system: nodes that did not find each other serve happily, each for itself.

Nothing else shows that before a run convicts the target of losing what another node has.
"""

from __future__ import annotations

from functools import partial

from raft_chaos.chaos.doctor.bench import QUEUE, Bench
from raft_chaos.chaos.doctor.eventually import eventually
from raft_chaos.chaos.doctor.finding import Finding
from raft_chaos.chaos.doctor.operations import READING
from raft_chaos.invariants.history import Op, OpFunction

WHAT = "one system"
FOUND_S = 5.0
ADVICE = "each node must know the others and join them: look at {peers}, and at what the nodes print"


async def one_cluster(bench: Bench) -> Finding | None:
    """What is written at the first node is found at each other one. None if there is nothing to compare."""
    if len(bench.nodes) < 2 or _reading(bench) not in bench.can:
        return None
    if (skipped := bench.skipped(WHAT, *READING)) is not None:
        return skipped
    first, *others = bench.nodes
    for node in others:
        key, value = f"check/one/{node}", f"for {node}"
        bench.client.asks_next(first)
        if (op := await bench.write(value, key)).type != "ok":
            return Finding(WHAT, "wrong", f"a {op.f} at {first} ended as {op.type}: {op.error}")
        if await eventually(partial(_found, bench, node, key, value), FOUND_S) is None:
            return Finding(WHAT, "wrong", f"what was written at {first} was not found at {node}", ADVICE)
    return Finding(WHAT, "ok", f"what was written at {first} was found at {', '.join(others)}")


async def _found(bench: Bench, node: str, key: str, value: str) -> Op | None:
    bench.client.asks_next(node)
    reading = _reading(bench)
    read = await bench.perform(reading, key if reading == "get" else QUEUE)
    return read if read.value in (value, [value]) else None


def _reading(bench: Bench) -> OpFunction:
    """How `bench.write` is seen."""
    return "dequeue" if bench.can.isdisjoint(("put", "append")) else "get"
