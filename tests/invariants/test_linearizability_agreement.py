"""The checker against brute force, on small random histories: verdicts, witnesses of both searches, and cores."""

from __future__ import annotations

from random import Random

import pytest
from brute_force import linearizable, needless, sound
from hypothesis import given, settings
from hypothesis import strategies as st
from small_histories import MODELS, history

from invariants.linearizability.blocks import Violation
from invariants.linearizability.check import check
from invariants.linearizability.operations import Model
from invariants.linearizability.order import first_fault
from invariants.linearizability.problem import Problem, parts
from invariants.linearizability.search import DepthFirst, Search, Sweep
from invariants.linearizability.versions import decide

SEEDS = st.integers(0, 2**32)
EXAMPLES = settings(derandomize=True, deadline=None, max_examples=250)


@pytest.mark.parametrize("model", MODELS)
@given(seed=SEEDS)
@EXAMPLES
def test_the_answer_is_that_of_brute_force_and_its_core_stands_alone(model: Model, seed: int) -> None:
    operations = history(Random(seed), model)
    answer = check(operations, model)
    assert answer.judged == len(operations)
    assert answer.verdict == ("valid" if linearizable(operations, model) else "violated"), operations
    if answer.verdict == "violated":
        assert not linearizable(answer.core, model)
        assert sound(operations, answer.core, model)
        assert not needless(operations, answer.core, model)
        assert all(str(operation.number) in answer.argument for operation in answer.core)


@pytest.mark.parametrize("searcher", [DepthFirst, Sweep])
@pytest.mark.parametrize("model", MODELS)
@given(seed=SEEDS)
@EXAMPLES
def test_each_search_finds_an_order_where_there_is_one(model: Model, searcher: type[Search], seed: int) -> None:
    operations = history(Random(seed), model)
    search = searcher(Problem(parts(operations), model))
    assert search.run(10**6) == ("found" if linearizable(operations, model) else "dead"), operations
    if search.outcome == "found":
        order = [search.problem.operations[task] for task in search.order]
        assert first_fault(operations, order, model) is None


@pytest.mark.parametrize("model", MODELS)
@given(seed=SEEDS)
@EXAMPLES
def test_what_values_decide_is_decided_right(model: Model, seed: int) -> None:
    operations = history(Random(seed), model)
    decision = decide(operations, model)
    if isinstance(decision, Violation):
        assert sound(operations, decision.core, model)
    elif decision is not None:
        assert first_fault(operations, decision, model) is None
