"""Compares the checker with brute force on one small history: verdict, orders found, soundness of the core."""

from __future__ import annotations

from collections.abc import Sequence

from brute_force import linearizable, needless, sound
from raft_chaos.invariants.linearizability.blocks import Violation
from raft_chaos.invariants.linearizability.check import KeySearch, check
from raft_chaos.invariants.linearizability.guess import guess
from raft_chaos.invariants.linearizability.operations import Model, Operation
from raft_chaos.invariants.linearizability.order import first_fault
from raft_chaos.invariants.linearizability.problem import Problem, parts
from raft_chaos.invariants.linearizability.search import Search
from raft_chaos.invariants.linearizability.stale import stale
from raft_chaos.invariants.linearizability.versions import decide


def difference(operations: Sequence[Operation], model: Model, valid: bool) -> str:
    """Empty if all agrees. `valid` is what brute force says."""
    return (
        answer_differs(operations, model, valid)
        or values_differ(operations, model, valid)
        or guess_differs(operations, model, valid)
        or search_differs(operations, model, valid)
    )


def answer_differs(operations: Sequence[Operation], model: Model, valid: bool) -> str:
    answer = check(operations, model)
    if answer.verdict != ("valid" if valid else "violated") or answer.judged != len(operations):
        return f"{answer}, but it is {'valid' if valid else 'violated'}"
    alone = check(operations, model, explain=False)
    if (alone.verdict, alone.judged, alone.core) != (answer.verdict, answer.judged, ()):
        return f"the verdict alone is {alone}, but with an explanation {answer}"
    if valid:
        return ""
    if linearizable(answer.core, model) or not sound(operations, answer.core, model):
        return f"the core alone is linearizable, or with the help of others: {answer}"
    if needless(operations, answer.core, model):
        return f"the core has more than it needs: {answer}"
    if not all(str(operation.number) in answer.argument for operation in answer.core):
        return f"the argument leaves out some of the core: {answer}"
    return ""


def values_differ(operations: Sequence[Operation], model: Model, valid: bool) -> str:
    gone = stale(Problem(parts(operations), model))
    if gone is not None and not sound(operations, gone.core, model):
        return f"what was gone is no core: {gone}"
    decision = decide(operations, model)
    if isinstance(decision, Violation):
        return "" if sound(operations, decision.core, model) else f"what values show is no core: {decision}"
    if decision is not None and first_fault(operations, decision, model) is not None:
        return f"values give an order that does not hold: {first_fault(operations, decision, model)}"
    return "" if decision is None or valid else "values call it valid"


def guess_differs(operations: Sequence[Operation], model: Model, valid: bool) -> str:
    for order in guess(operations, model):
        if order is not None:
            fault = first_fault(operations, order, model)
            if fault is not None:
                return f"the guessed order does not hold: {fault}"
            return "" if valid else "a guess calls it valid"
    return ""


def search_differs(operations: Sequence[Operation], model: Model, valid: bool) -> str:
    search = Search(Problem(parts(operations), model))
    outcome = search.run(10**6)
    if outcome != ("found" if valid else "dead"):
        return f"the search says {outcome}"
    again = Search(search.problem)
    if again.run(1) is None:
        again.restart_if_stuck()
        again.restart_if_stuck()
    if again.run(10**6) != outcome:
        return f"the search that began again says {again.outcome}"
    if not valid:
        return ""
    early = KeySearch("k", list(operations), model)
    if early.run(1) is None and early.fails_locally(1_000) and early.outcome == "dead":
        return "a few operations are said to have no order"
    order = [search.problem.operations[task] for task in search.order()]
    fault = first_fault(operations, order, model)
    return f"the order of the search does not hold: {fault}" if fault is not None else ""
