"""Finds for each key an order of its operations that explains what clients saw: a linearization, to be shown to people.

`check` proves the same without keeping the orders.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence

from raft_chaos.invariants.linearizability.operations import Model, Operation
from raft_chaos.invariants.linearizability.order import first_fault
from raft_chaos.invariants.linearizability.problem import Problem, parts
from raft_chaos.invariants.linearizability.search import Search
from raft_chaos.invariants.linearizability.versions import decide

BUDGET = 100_000
"""Steps of search for all keys together: about a second."""


def linearizations(
    operations: Sequence[Operation], model: Model, order: Iterable[int] = (), *, budget: int = BUDGET
) -> dict[Hashable, list[Operation]]:
    """A linearization of each key that has one: its operations in an order that respects real time and the model.

    `order` holds numbers of these operations and is tried first (for example a log's order). Left out are keys that
    are violated, and those for which the search found no order within `budget` steps. An operation of unknown outcome
    is missing from its key's order if nobody saw its effect.
    """
    keys: defaultdict[Hashable, list[Operation]] = defaultdict(list)
    proposed: defaultdict[Hashable, list[Operation]] = defaultdict(list)
    for operation in operations:
        keys[operation.key].append(operation)
    by_number = {operation.number: operation for operation in operations}
    for number in order:
        proposed[by_number[number].key].append(by_number[number])
    found: dict[Hashable, list[Operation]] = {}
    for key, own in keys.items():
        if first_fault(own, proposed[key], model) is None:
            found[key] = proposed[key]
            continue
        decided = decide(own, model)
        if decided is None and budget > 0:
            decided, steps = _searched(own, model, budget)
            budget -= steps
        if isinstance(decided, list) and first_fault(own, decided, model) is None:
            found[key] = decided
    return found


def _searched(own: list[Operation], model: Model, budget: int) -> tuple[list[Operation] | None, int]:
    """The order, if the search found one within the budget, and its steps."""
    problem = Problem(parts(own), model)
    search = Search(problem)
    found = search.run(budget) == "found"
    return [problem.operations[task] for task in search.order()] if found else None, search.steps
