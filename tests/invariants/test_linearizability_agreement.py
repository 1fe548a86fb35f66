"""The checker against brute force on small random histories: verdicts, orders found, and cores."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brute_force import linearizable
from linearizability_agreement import difference, search_differs
from raft_chaos.invariants.linearizability.operations import Model
from small_histories import MODELS, history, honest


@pytest.mark.parametrize("model", MODELS)
@given(seed=st.integers(0, 2**32))
@settings(derandomize=True, deadline=None, max_examples=200)
def test_verdict_witness_and_core_are_those_of_brute_force(model: Model, seed: int) -> None:
    operations = history(Random(seed), model)
    assert difference(operations, model, linearizable(operations, model)) == "", operations


@pytest.mark.parametrize("model", MODELS)
@given(seed=st.integers(0, 2**32))
@settings(derandomize=True, deadline=None, max_examples=150)
def test_the_search_overlooks_no_order_of_a_valid_history(model: Model, seed: int) -> None:
    operations = honest(Random(seed), model)
    assert search_differs(operations, model, True) == "", operations
