"""Short notations for operations and histories."""

from __future__ import annotations

import heapq
from random import Random
from typing import Any

from raft_chaos.invariants.linearizability.operations import Function, Operation, Status


def op(
    number: int,
    f: Function,
    called: int,
    returned: int | None,
    *,
    value: Any = None,
    expected: Any = None,
    result: Any = None,
    status: Status = "ok",
    key: str = "k",
) -> Operation:
    return Operation(number, key, f, called, returned, value, expected, result, status)


def registers(count: int, clients: int, values: int | None, unknown: float = 0.0, seed: int = 1) -> list[Operation]:
    """A valid history of reads and writes of one register, of `values` different values or each its own."""
    random = Random(seed)
    free = [(random.randint(0, 100), client) for client in range(clients)]
    heapq.heapify(free)
    turns = []
    for number in range(count):
        called, client = heapq.heappop(free)
        returned = called + random.randint(50, 150)
        turns.append((random.randint(called, returned), number, called, returned))
        heapq.heappush(free, (returned + random.randint(1, 10), client))
    state, operations = None, []
    for _, number, called, returned in sorted(turns):
        known = random.random() >= unknown
        status: Status = "ok" if known else "unknown"
        if random.random() < 0.5:
            operations.append(op(number, "read", called, returned if known else None, result=state, status=status))
            continue
        value = number if values is None else random.randrange(values)
        operations.append(op(number, "write", called, returned if known else None, value=value, status=status))
        state = value if known or random.random() < 0.5 else state
    return operations
