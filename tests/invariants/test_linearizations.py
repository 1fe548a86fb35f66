"""The orders that are shown to people: each is a linearization, and each history that has one gets it."""

from __future__ import annotations

from random import Random

import pytest

from brute_force import linearizable
from linearizability_scripts import op
from raft_chaos.invariants.linearizability.linearization import linearizations
from raft_chaos.invariants.linearizability.operations import Model
from raft_chaos.invariants.linearizability.order import first_fault
from small_histories import history

MODELS: list[Model] = ["register", "kv", "kv-append", "list-append"]


@pytest.mark.parametrize("model", MODELS)
def test_a_key_has_an_order_exactly_if_it_is_linearizable(model: Model) -> None:
    seen = set()
    for seed in range(150):
        operations = history(Random(f"{model}/{seed}"), model)
        found = linearizations(operations, model)
        for key in {one.key for one in operations}:
            own = [one for one in operations if one.key == key]
            assert (key in found) == linearizable(own, model), (seed, key)
            seen.add(key in found)
            if key in found:
                assert first_fault(own, found[key], model) is None
    assert seen == {True, False}


def test_the_proposed_order_is_taken_if_it_is_one() -> None:
    first, second = op(0, "write", 0, 10, value="a"), op(1, "write", 0, 10, value="b")
    for order in ([0, 1], [1, 0]):
        assert [one.number for one in linearizations([first, second], "register", order)["k"]] == order


def test_a_search_that_may_take_no_step_finds_nothing() -> None:
    same = [op(n, "write", 0, 100, value=n % 2) for n in range(20)]
    reads = [op(20 + n, "read", 0, 100, result=n % 2) for n in range(20)]
    assert linearizations([*same, *reads], "register", budget=0) == {}
    assert len(linearizations([*same, *reads], "register")["k"]) == 40
