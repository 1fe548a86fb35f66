"""The checker. It judges each key by its values where these decide, and otherwise by a guess, by values that were gone,
and then by search.

Every "valid" is proved by an order of the operations, and every "violated" comes with a core, unless only the verdict
is asked for (`explain=False`). A core often costs far more than the verdict.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence

import msgspec

from raft_chaos.invariants.linearizability import format
from raft_chaos.invariants.linearizability.blocks import Violation, return_of
from raft_chaos.invariants.linearizability.collector import collector_paused
from raft_chaos.invariants.linearizability.cores import Reducer, describe
from raft_chaos.invariants.linearizability.guess import guess
from raft_chaos.invariants.linearizability.malformed import refuse_malformed, refuse_mistyped
from raft_chaos.invariants.linearizability.operations import Answer, Disagreement, Model, Operation
from raft_chaos.invariants.linearizability.order import first_fault, out_of_time
from raft_chaos.invariants.linearizability.problem import Problem, parts
from raft_chaos.invariants.linearizability.search import Search
from raft_chaos.invariants.linearizability.single_operation import argument_for_one
from raft_chaos.invariants.linearizability.stale import stale
from raft_chaos.invariants.linearizability.versions import decide

BUDGET = 2_000_000
"""Steps of search for a whole history. A million steps take about ten seconds."""

AT_ONCE = 200
"""Steps of search on a key before a longer guess: enough for most histories of a hundred operations."""

FIRST_SLICE = 2_000


class Compared(msgspec.Struct, frozen=True):
    """An answer, and where the proposed order contradicts what clients saw (None: nowhere).

    If the history has another order, a disagreement breaks no promise to clients. It shows that the proposed order
    is not the order in which operations took effect.
    """

    answer: Answer
    disagreement: Disagreement | None


def check_with_order(
    operations: Iterable[Operation], model: Model, order: Iterable[int], *, budget: int = BUDGET, explain: bool = True
) -> Compared:
    """Like `check`, but first tries a proposed order (for example a log's), on all keys together and then on each.

    `order` holds numbers of operations and may be incomplete; then it proves less, and contradicts less. Raises
    ValueError for a number that no operation has, and for the same mistakes as `check`.
    """
    operations = list(operations)
    try:
        return _check_with_order(operations, model, order, budget, explain)
    except (TypeError, AttributeError, IndexError):
        refuse_mistyped(operations, model)
        raise


def _check_with_order(
    operations: list[Operation], model: Model, order: Iterable[int], budget: int, explain: bool
) -> Compared:
    refuse_malformed(operations, model)
    by_number = {operation.number: operation for operation in operations}
    try:
        placed = [by_number[number] for number in order]
    except KeyError as error:
        raise ValueError(f"the order names operation {error}, which is not in the history") from None
    if first_fault(operations, placed, model) is None:
        return Compared(Answer("valid", len(operations)), None)
    ordered = _by_key(placed)
    left: list[Operation] = []
    disagreement = out_of_time(placed)
    for key, own in _by_key(operations).items():
        theirs = ordered.get(key, [])
        fault = first_fault(own, theirs, model)
        if fault is not None:
            left += own
            # An operation of unknown outcome, or one missing from the order, may explain the contradiction.
            whole = len(theirs) == len(own) and all(operation.status != "unknown" for operation in own)
            if whole and disagreement is None:
                disagreement = fault
    answer = check(left, model, budget=budget, explain=explain)
    return Compared(msgspec.structs.replace(answer, judged=len(operations)), disagreement)


def _by_key(operations: Iterable[Operation]) -> dict[Hashable, list[Operation]]:
    keys: defaultdict[Hashable, list[Operation]] = defaultdict(list)
    for operation in operations:
        keys[operation.key].append(operation)
    return keys


@collector_paused()
def check(operations: Iterable[Operation], model: Model, *, budget: int = BUDGET, explain: bool = True) -> Answer:
    """Whether the history is linearizable. `budget` is in steps of search; keys decided by their values take none.

    Without `explain` a "violated" names one violated key, without a core, an argument and other keys, and costs no more
    than a "valid". The verdict is the same.

    Raises ValueError for an unknown model, for an operation that the model does not have, and for an operation whose
    fields contradict each other.
    """
    operations = list(operations)
    try:
        return _check(operations, model, budget, explain)
    except (TypeError, AttributeError, IndexError):
        refuse_mistyped(operations, model)
        raise


def _check(operations: list[Operation], model: Model, budget: int, explain: bool) -> Answer:
    refuse_malformed(operations, model)
    judged = len(operations)
    keys = _by_key(operations)
    found: dict[Hashable, Violation] = {}
    mistaken: list[Hashable] = []
    left: list[KeySearch] = []
    for key, own in keys.items():
        decision = decide(own, model)
        if decision is None:
            guesses = guess(own, model)
            if _proved(own, next(guesses, None), model):
                continue
            search = KeySearch(key, own, model)
            decision = stale(search.problem)
            if decision is None:
                undecided = search.run(min(AT_ONCE, budget)) is None
                if not (undecided and _proved(own, next(guesses, None), model)):
                    left.append(search)
        elif not isinstance(decision, Violation) and first_fault(own, decision, model) is not None:
            mistaken.append(key)
        if isinstance(decision, Violation):
            if not explain:
                return Answer("violated", judged, key)
            found[key] = decision
    if found:
        first = min(found, key=lambda key: max(map(return_of, found[key].core)))
        others = tuple(key for key in found if key != first)
        return _violated(judged, first, keys[first], model, found[first], others)
    if mistaken:
        return _own_mistake(judged, mistaken[0])
    return _search(judged, left, budget, explain) if left else Answer("valid", judged)


def _proved(own: list[Operation], order: list[Operation] | None, model: Model) -> bool:
    return order is not None and first_fault(own, order, model) is None


def _violated(
    judged: int, key: Hashable, own: list[Operation], model: Model, found: Violation, others: tuple[Hashable, ...]
) -> Answer:
    reducer = Reducer(own, model)
    core = reducer.minimal(found.core)
    # The argument is about all operations of `found.core`. If some were taken out, it may not apply to the rest.
    whole = len(core) == len({operation.number for operation in found.core})
    argument = found.argument if whole else _searched(core, reducer)
    return Answer("violated", judged, key, describe(core), argument, others=others)


def _searched(core: Sequence[Operation], reducer: Reducer) -> str:
    """The argument for a core that was found or reduced by a search."""
    argument = argument_for_one(core[0], reducer.operations, reducer.model) if len(core) == 1 else None
    if argument is not None:
        return argument
    between, earlier = reducer.helpful(core)
    return format.no_order(describe(core), between, earlier, perhaps_less=reducer.given_up)


def _own_mistake(judged: int, key: Hashable) -> Answer:
    return Answer("unknown", judged, key, argument="the checker found an order and it did not hold: its own mistake")


class KeySearch(Search):
    """The search over one key, and the answer when it is done."""

    def __init__(self, key: Hashable, operations: list[Operation], model: Model) -> None:
        super().__init__(Problem(parts(operations), model))
        self.key, self.operations, self.model = key, operations, model

    def fails_locally(self, steps: int) -> int:
        """Tries to show that no order gets past the furthest return, by the few operations before it; then the search
        is over. Returns the steps of search that it took, at most about `steps`."""
        reducer = Reducer(self.operations, self.model, self._cut(), steps)
        if reducer.ends_dead(reducer.certain(self.operations)):
            self.outcome = "dead"
        return reducer.spent

    def _cut(self) -> float:
        return return_of(self.problem.operations[self.dies_at])

    def answer(self, judged: int, explain: bool) -> Answer:
        """The answer of the finished search; "valid" only if its order passes `first_fault`."""
        if self.outcome == "found":
            order = [self.problem.operations[task] for task in self.order()]
            fault = first_fault(self.operations, order, self.model)
            return Answer("valid", judged) if fault is None else _own_mistake(judged, self.key)
        if not explain:
            return Answer("violated", judged, self.key, steps=self.steps)
        reducer = Reducer(self.operations, self.model, self._cut())
        core = reducer.last_of(reducer.certain(self.operations))
        return Answer("violated", judged, self.key, describe(core), _searched(core, reducer), self.steps)


def _search(judged: int, left: list[KeySearch], budget: int, explain: bool) -> Answer:
    """Searches all keys in turns, each half as long again, so that a violated key does not wait behind a hard one."""
    spent, slice_ = sum(search.steps for search in left), FIRST_SLICE
    while left:
        remaining = []
        for search in left:
            if spent >= budget and search.outcome is None:
                return _given_up(judged, search)
            before = search.steps
            if search.run(max(0, min(slice_, budget - spent))) is None:
                spent += search.fails_locally(slice_ // 4)
                if search.outcome is None:
                    search.restart_if_stuck()
            spent += search.steps - before
            if search.outcome is not None:
                answer = search.answer(judged, explain)
                if answer.verdict != "valid":
                    return answer
            else:
                remaining.append(search)
        left, slice_ = remaining, slice_ * 3 // 2
    return Answer("valid", judged, steps=spent)


def _given_up(judged: int, search: KeySearch) -> Answer:
    argument = f"the search on key {format.shown(search.key)} was given up after {search.steps} steps"
    return Answer("unknown", judged, search.key, argument=argument, steps=search.steps)
