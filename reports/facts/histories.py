"""What clients saw, key by key: each key's operations in an order that explains them all, or the contradiction.

In a page, a reader chooses the key. The operations in it are bounded, whatever the run's length.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Hashable
from itertools import accumulate
from typing import Literal, TypeAlias

import msgspec

from raft_chaos.invariants.linearizability import format
from raft_chaos.invariants.linearizability.linearization import linearizations
from raft_chaos.invariants.linearizability.operations import Operation
from raft_chaos.invariants.linearizability.readers.history_file import ReadHistory
from raft_chaos.reports.text import visible

MOST_OPERATIONS = 10_000
MOST_OF_A_KEY = 2_000

Ordered: TypeAlias = Literal["linearized", "violated", "unordered"]
"""How a key's operations stand: in a linearization; by their calls, since they have none; by their calls, since none
was looked for or found."""


class Seen(msgspec.Struct, frozen=True, array_like=True):
    """One operation on the key: what it did and saw, its process, its call and return (s), and whether it belongs to
    the contradiction. `returned_s` is None if it never returned, both times without a clock."""

    text: str
    process: str
    called_s: float | None
    returned_s: float | None
    core: bool = False


class KeyHistory(msgspec.Struct, frozen=True, kw_only=True):
    """One key. `without_effect` counts the operations of unknown outcome whose effect nobody saw: they are in no order.
    `unshown` counts those that are left out because there are too many: the last ones."""

    key: str
    ordered: Ordered
    operations: list[Seen]
    without_effect: int = 0
    unshown: int = 0


class Histories(msgspec.Struct, frozen=True, kw_only=True):
    """The keys, the violated one first, then those with the most operations. `unshown` counts the other keys."""

    keys: list[KeyHistory]
    unshown: int = 0


def histories(history: ReadHistory, core: Collection[int]) -> Histories:
    """The histories of a run's keys. `core` are the numbers of the operations that contradict each other, if any do."""
    keys: defaultdict[Hashable, list[Operation]] = defaultdict(list)
    for operation in history.operations:
        keys[operation.key].append(operation)
    violated = {history.operations[number].key for number in core}
    by_interest = sorted(keys, key=lambda key: (key not in violated, -len(keys[key]), str(key)))
    fitting = by_interest[: _how_many([min(len(keys[key]), MOST_OF_A_KEY) for key in by_interest])]
    own = [one for key in fitting if key not in violated for one in keys[key]]
    numbers = {one.number for one in own}
    orders = linearizations(own, "kv", [number for number in history.log_order if number in numbers])
    shown = [
        _of_key(key, keys[key], orders.get(key), frozenset(core) if key in violated else frozenset(), history)
        for key in fitting
    ]
    return Histories(keys=shown, unshown=len(keys) - len(shown))


def _how_many(sizes: list[int]) -> int:
    """How many of the keys have at most `MOST_OPERATIONS` together."""
    return sum(total <= MOST_OPERATIONS for total in accumulate(sizes))


def _of_key(
    key: Hashable, own: list[Operation], order: list[Operation] | None, core: frozenset[int], history: ReadHistory
) -> KeyHistory:
    standing: Ordered = "violated" if core else "unordered" if order is None else "linearized"
    operations = sorted(own, key=lambda one: one.called) if order is None else order
    return KeyHistory(
        key=visible(str(key)),
        ordered=standing,
        operations=[_seen(one, history, core) for one in operations[:MOST_OF_A_KEY]],
        without_effect=len(own) - len(operations),
        unshown=max(0, len(operations) - MOST_OF_A_KEY),
    )


def _seen(operation: Operation, history: ReadHistory, core: frozenset[int]) -> Seen:
    place = history.places[operation.number]
    return Seen(
        text=visible(format.sentence(operation)),
        process=visible(str(operation.process)),
        called_s=_seconds(place.called_clock, history.ticks),
        returned_s=_seconds(place.returned_clock, history.ticks),
        core=operation.number in core,
    )


def _seconds(clock: int | None, ticks: int) -> float | None:
    return None if clock is None or not ticks else clock / ticks
