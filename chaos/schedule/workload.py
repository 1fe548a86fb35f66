"""The client operations of a schedule: what each client asks for, and when.

There are three families of keys, each for different failures:

    reg/<client>/0..1    one client writes new values, all clients read: shows stale reads and lost writes
    list/<k>             all append, every token once: shows lost, duplicated and reordered writes, and the whole order
    mix/<k>              all put, cas, delete and get: everything else that a linearizable register can do

New lists and mixed keys replace the old ones every ten seconds, so reads stay short, and a key's history stays small
enough to be judged. Each client draws from a stream of its own, in a way that does not depend on the number of clients,
and looks only at the writes of clients before it. So an additional client changes at most which register others read.
"""

from __future__ import annotations

from bisect import bisect
from collections import Counter
from collections.abc import Iterable, Sequence
from operator import attrgetter
from random import Random

from msgspec.structs import replace

from raft_chaos.chaos.schedule.data import Operation
from raft_chaos.chaos.schedule.streams import stream
from raft_chaos.invariants.history import QUEUE_FUNCTIONS, Consistency, OpFunction

FIRST_US = 300_000
"""Before this time the cluster has hardly been able to elect a leader."""

KEY_LIFE_US = 10_000_000
AGAIN = 0.1
"""The share of operations before which an earlier command arrives again, in a seed that has such."""
FAILED_SHARE, FAILED = 0.5, 0.3
"""The share of these seeds in which a cas that failed arrives again once it would succeed, and of the cas that do."""
ANEW_SHARE, ANEW = 0.5, 0.06
"""The share of these seeds in which clients begin new sessions under the same names, and of the operations before which
they do."""
CONSISTENCIES: tuple[tuple[float, Consistency | None], ...] = ((0.5, None), (0.8, "read_index"), (1.0, "stale"))
"""How reads are served, each with the cumulative share: through the log, by ReadIndex, or stale."""
LISTS, MIXED, REGISTERS = 3, 2, 2

Written = dict[str, list[tuple[int, str]]]
"""For each mixed key, the writes to it so far: (time in µs, value)."""


_FAMILIES = (25, 45, 85, 100)
"""45 % writes to registers (25) and lists (20), 40 % reads of them, 15 % on mixed keys: cumulative, in percent."""
_MIXED_SHARES = (35, 70, 80, 100)
_MIXED_FUNCTIONS: tuple[OpFunction, ...] = ("put", "cas", "delete", "get")


def draw_operations(seed: int, clients: list[str], ops_per_second: float, until_us: int) -> list[Operation]:
    """The operations of all clients in the order of time, with exponential gaps, up to `until_us`."""
    operations: list[Operation] = []
    written: Written = {}
    for client in clients:
        rng = stream(seed, f"workload/{client}")
        operations += _of_client(rng, client, clients, ops_per_second / len(clients), until_us, written)
    return sorted(operations, key=attrgetter("at_us"))


def reader(node: str) -> str:
    """The name of the client that reads at this node."""
    return f"r-{node}"


def draw_reads(seed: int, nodes: list[str], owners: list[str], rate: float, until_us: int) -> list[Operation]:
    """Reads of the registers of `owners`, by one client a node, each at its node alone and `rate` times a second.

    A node that is cut off cannot know what the others decide. If it answers all the same, its answer is out of date.
    """
    reads: list[Operation] = []
    for node in nodes:
        client, at_us, number = reader(node), FIRST_US, 0
        rng = stream(seed, f"workload/{client}")
        while rate > 0 and (at_us := at_us + int(rng.expovariate(rate) * 1e6)) < until_us:
            key = f"reg/{rng.choice(owners)}/{_below(rng, REGISTERS)}"
            reads.append(Operation(id=f"{client}/{number}", client=client, at_us=at_us, f="get", key=key, node=node))
            number += 1
    return reads


def draw_final_reads(operations: Sequence[Operation], nodes: list[str], at_us: int) -> list[Operation]:
    """Reads of every key of `operations` by each node's own reader, after all others: nothing is drawn here."""
    begun = Counter(operation.client for operation in operations)
    keys = sorted({operation.key for operation in operations if operation.f not in QUEUE_FUNCTIONS})
    return [
        Operation(
            id=f"{client}/{begun[client] + number}",
            client=client,
            at_us=at_us,
            f="get",
            key=key,
            node=node,
            final=True,
        )
        for node in nodes
        for client in (reader(node),)
        for number, key in enumerate(keys)
    ]


def with_repeats(seed: int, operations: Sequence[Operation]) -> list[Operation]:
    """The same operations; before a few of them an earlier command of their client arrives again."""
    rng = stream(seed, "workload/again")
    drawn = [(rng.random() < AGAIN, rng.choice((1, 2, 2, 3))) for _ in operations]
    return [
        replace(operation, again=ago) if again and operation.f not in QUEUE_FUNCTIONS else operation
        for operation, (again, ago) in zip(operations, drawn, strict=True)
    ]


def with_failures(seed: int, operations: Sequence[Operation]) -> list[Operation]:
    """The same operations; in some seeds a few cas expect what another client only puts after them. So they fail, and
    arrive again when they would succeed: before the next operation of their client."""
    rng = stream(seed, "workload/again/failed")
    if rng.random() >= FAILED_SHARE:
        return list(operations)
    made = list(operations)
    following: dict[str, int] = {}  # by client, the place of its next operation
    for place in range(len(made) - 1, -1, -1):
        operation, again = made[place], following.get(made[place].client, 0)
        following[operation.client] = place
        if operation.f == "cas" and rng.random() < FAILED and again > place + 1:
            put = made[place + 1]
            if put.f in QUEUE_FUNCTIONS or put.key.startswith("mix/"):  # others may expect what that writes
                continue
            value = put.id.replace("/", "-")
            made[place] = replace(operation, expected=value)
            made[place + 1] = replace(put, f="put", key=operation.key, value=value, expected=None)
            made[again] = replace(made[again], again=1)
    return made


def with_sessions(seed: int, operations: Sequence[Operation]) -> list[Operation]:
    """The same operations; in some seeds their clients begin new sessions before a few of them."""
    rng = stream(seed, "workload/anew")
    if rng.random() >= ANEW_SHARE:
        return list(operations)
    return [replace(operation, anew=True) if rng.random() < ANEW else operation for operation in operations]


def client_streams(seed: int, name: str, operations: Iterable[Operation]) -> dict[str, Random]:
    """A stream of its own for each client of these operations."""
    return {client: stream(seed, f"{name}/{client}") for client in dict.fromkeys(one.client for one in operations)}


def with_consistencies(seed: int, operations: Sequence[Operation], nodes: Sequence[str]) -> list[Operation]:
    """The same operations; some reads need no log entry. They are asked of any node: a stale one of this node alone.

    Each client draws from a stream of its own, for each of its operations, so a read keeps its draw whatever the others
    are.
    """
    clients = client_streams(seed, "workload/consistency", operations)
    chosen: list[Operation] = []
    for operation in operations:
        rng = clients[operation.client]
        share, node = rng.random(), nodes[_below(rng, len(nodes))]
        consistency = next(kind for least, kind in CONSISTENCIES if share < least)
        if operation.f == "get" and operation.node is None and consistency is not None:
            operation = replace(operation, consistency=consistency, node=node)
        chosen.append(operation)
    return chosen


def _of_client(
    rng: Random, client: str, clients: list[str], rate: float, until_us: int, written: Written
) -> list[Operation]:
    operations: list[Operation] = []
    at_us = FIRST_US
    while rate > 0 and (at_us := at_us + int(rng.expovariate(rate) * 1e6)) < until_us:
        operations.append(_operation(rng, client, len(operations), clients, at_us, written))
    return operations


def _operation(rng: Random, client: str, number: int, clients: list[str], at_us: int, written: Written) -> Operation:
    name, value = f"{client}/{number}", f"{client}-{number}"
    age = at_us // KEY_LIFE_US
    list_number = LISTS * age + _below(rng, LISTS)
    family = bisect(_FAMILIES, rng.random() * 100)
    if family == 0:
        key = f"reg/{client}/{_below(rng, REGISTERS)}"
        return Operation(id=name, client=client, at_us=at_us, f="put", key=key, value=value)
    if family == 1:
        return Operation(id=name, client=client, at_us=at_us, f="append", key=f"list/{list_number}", value=value)
    if family == 2:
        owner = clients[int(rng.random() * len(clients))]
        register = _below(rng, REGISTERS)
        key = f"reg/{owner}/{register}" if rng.random() < 0.6 else f"list/{list_number}"
        return Operation(id=name, client=client, at_us=at_us, f="get", key=key)
    key = f"mix/{MIXED * age + _below(rng, MIXED)}"
    f = _MIXED_FUNCTIONS[bisect(_MIXED_SHARES, rng.random() * 100)]
    if f in ("delete", "get"):
        return Operation(id=name, client=client, at_us=at_us, f=f, key=key)
    # A cas before the first write expects the key to be absent.
    expected = _plausible(rng, written, key, at_us) if f == "cas" else None
    written.setdefault(key, []).append((at_us, value))
    return Operation(id=name, client=client, at_us=at_us, f=f, key=key, value=value, expected=expected)


def _below(rng: Random, count: int) -> int:
    """0 to count - 1, like `rng.randrange` without its checks, which take most of the time of making a schedule."""
    bits = count.bit_length()
    while (drawn := rng.getrandbits(bits)) >= count:
        pass
    return drawn


def _plausible(rng: Random, written: Written, key: str, at_us: int) -> str | None:
    """A value that the key probably holds at that time: mostly the last write before it, else one of the last few."""
    earlier = sorted(item for item in written.get(key, []) if item[0] < at_us)[-4:]
    if not earlier:
        return None
    return earlier[-1][1] if rng.random() < 0.7 else rng.choice(earlier)[1]
