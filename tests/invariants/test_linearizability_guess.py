"""A guess finds an order of most valid histories, and none where it does not know what an operation does."""

from __future__ import annotations

from random import Random

import pytest

from linearizability_scripts import op, registers
from raft_chaos.invariants.linearizability.guess import guess
from raft_chaos.invariants.linearizability.operations import Model, Operation
from raft_chaos.invariants.linearizability.order import first_fault
from small_histories import honest


def guessed(history: list[Operation], model: Model = "kv") -> list[Operation] | None:
    """The order that is found in the end."""
    return next((order for order in guess(history, model) if order is not None), None)


def numbers(*history: tuple) -> list[int] | None:  # type: ignore[type-arg]
    order = guessed([op(*one[:4], **one[4]) for one in history])
    return None if order is None else [operation.number for operation in order]


@pytest.mark.parametrize("model", ["register", "kv"])
def test_most_valid_histories_are_guessed(model: Model) -> None:
    histories = [honest(Random(seed), model) for seed in range(600)]
    able = [one for one in histories if all(operation.f != "append" for operation in one)]
    assert len(able) >= 100
    assert sum(guessed(one, model) is not None for one in able) >= 0.95 * len(able)


def test_a_covered_write_comes_unseen_before_the_one_that_covers_it() -> None:
    assert numbers(
        (0, "write", 0, 9, {"value": 1}), (1, "write", 0, 5, {"value": 2}), (2, "read", 6, 7, {"result": 1})
    ) == [1, 0, 2]


def test_a_read_that_waits_gets_its_value_before_another_write() -> None:
    assert numbers(
        (0, "write", 0, 9, {"value": 1}), (1, "read", 0, 9, {"result": 1}), (2, "write", 0, 5, {"value": 2})
    ) in ([0, 1, 2], [2, 0, 1])


def test_an_unknown_operation_is_placed_only_where_it_is_needed() -> None:
    unknown = (0, "write", 0, None, {"value": 1, "status": "unknown"})
    assert numbers(unknown, (1, "read", 3, 4, {"result": None})) == [1]
    assert numbers(unknown, (1, "read", 3, 4, {"result": 1})) == [0, 1]


def test_an_operation_without_a_return_is_placed_at_the_end() -> None:
    assert numbers((0, "write", 0, None, {"value": 1}), (1, "read", 3, 4, {"result": None})) == [1, 0]


def test_two_cas_reach_a_value() -> None:
    first = (0, "cas", 0, 9, {"expected": None, "value": 1})
    then = (1, "cas", 0, 9, {"expected": 1, "value": 2})
    assert numbers(first, then, (2, "read", 0, 5, {"result": 2})) == [0, 1, 2]


def test_a_violated_history_has_no_guess() -> None:
    assert numbers((0, "write", 0, 1, {"value": 1}), (1, "read", 2, 3, {"result": None})) is None


def test_appends_and_contradictions_are_not_guessed() -> None:
    assert numbers((0, "append", 0, 1, {"value": 1})) is None
    assert numbers((0, "cas", 0, 1, {"expected": 1, "value": 2, "status": "refused", "result": 1})) is None


def test_a_guess_holds_in_a_long_history() -> None:
    history = registers(400, clients=20, values=3)
    order = guessed(history, "register")
    assert order is not None and first_fault(history, order, "register") is None


def test_a_guess_that_takes_long_says_so_first() -> None:
    histories = [registers(400, clients=10, values=5, seed=seed) for seed in range(5)]
    answers = [[order is not None for order in guess(history, "register")] for history in histories]
    assert all(found in ([True], [False, True], [False]) for found in answers) and [False, True] in answers


def test_values_that_cannot_be_hashed() -> None:
    write, read = (0, "write", 0, 1, {"value": {1}}), (1, "read", 2, 3, {"result": {1}})
    assert numbers(write, read) == [0, 1]
    assert numbers(write, (1, "read", 2, 3, {"result": {2}})) is None


def test_an_infinite_value_is_one_like_others() -> None:
    write = (0, "write", 0, 1, {"value": float("inf")})
    assert numbers(write, (1, "read", 2, 3, {"result": float("inf")})) == [0, 1]
