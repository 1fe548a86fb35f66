"""Proposed orders: an order that proves a history valid, and each way in which an order can fail."""

from __future__ import annotations

import pytest

from linearizability_scripts import op
from raft_chaos.invariants.linearizability.check import check_with_order
from raft_chaos.invariants.linearizability.operations import NOT_REPORTED, Answer, Operation
from raft_chaos.invariants.linearizability.order import check_order

WRITE = op(0, "write", 0, 10, value="a")
READ = op(1, "read", 5, 15, result="a")
LATE = op(2, "read", 20, 25, result="a")
MAYBE = op(3, "write", 6, None, value="b", status="unknown")
HISTORY = [WRITE, READ, LATE, MAYBE]


def test_a_linearization_is_one_with_the_unknown_or_without() -> None:
    assert check_order(HISTORY, [0, 1, 2], "register") is None
    assert check_order(HISTORY, [0, 1, 2, 3], "register") is None


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        (
            [0, 2, 1],
            'read #2, on "k", was called after read #1, on "k", had returned, but comes before it in the order',
        ),
        ([1, 0, 2], 'read #1 returned "a" on "k", which was not the value at that point'),
        ([0, 1, 3, 2], 'read #2 returned "a" on "k", which was not the value at that point'),
        ([0, 1], "read #2 happened and is not in the order"),
        ([0, 1, 2, 1], "names an operation twice"),
        ([0, 1, 2, 9], "operation 9, which is not in the history"),
    ],
)
def test_an_order_that_is_no_linearization(order: list[int], reason: str) -> None:
    found = check_order(HISTORY, order, "register")
    assert found is not None and reason in found.reason


def test_a_call_at_the_time_of_a_return_overlaps_it() -> None:
    touching = [op(0, "write", 0, 10, value=1), op(1, "read", 10, 20, result=None)]
    assert check_order(touching, [1, 0], "register") is None
    apart = [op(0, "write", 0, 9, value=1), op(1, "read", 10, 20, result=None)]
    assert check_order(apart, [1, 0], "register") is not None


def test_keys_are_independent_in_the_model_but_share_one_order_in_time() -> None:
    history = [op(0, "write", 0, 1, value=1, key="x"), op(1, "read", 2, 3, result=None, key="y")]
    assert check_order(history, [0, 1], "register") is None
    assert check_order(history, [1, 0], "register") is not None


@pytest.mark.parametrize(
    "history",
    [
        [op(0, "append", 0, 1, value="t"), op(1, "read", 2, 3, result=["t"]), op(2, "read", 4, 5, result=("t",))],
        [op(0, "write", 0, 1, value="s"), op(1, "append", 2, 3, value="t", result="s", status="refused")],
        [op(0, "write", 0, 1, value="s"), op(1, "append", 2, 3, value="t", result=NOT_REPORTED, status="refused")],
        [op(0, "append", 0, 1, value="t"), op(1, "cas", 2, 3, expected="t", value="s", result=["t"], status="refused")],
        [op(0, "append", 0, 1, value="t"), op(1, "write", 2, 3, value="s"), op(2, "read", 4, 5, result="s")],
        [op(0, "write", 0, 1, value="s"), op(1, "delete", 2, 3), op(2, "append", 4, 5, value="t"),
         op(3, "read", 6, 7, result=["t"])],
        [op(0, "cas", 0, 1, expected=None, value="s"), op(1, "read", 2, 3, result="s")],
        [op(0, "write", 0, 1, value="s"), op(1, "append", 2, None, value="t", status="unknown"),
         op(2, "read", 4, 5, result="s")],
    ],
)  # fmt: skip
def test_kv_does_what_our_state_machine_does(history: list[Operation]) -> None:
    assert check_order(history, range(len(history)), "kv") is None


@pytest.mark.parametrize(
    "last",
    [
        op(1, "append", 2, 3, value="t"),
        op(1, "append", 2, 3, value="t", result=NOT_REPORTED, status="refused"),
        op(1, "cas", 2, 3, expected="s", value="z", result=NOT_REPORTED, status="refused"),
        op(1, "cas", 2, 3, expected="other", value="z"),
        op(1, "read", 2, 3, result=[]),
    ],
)
def test_kv_refuses_what_our_state_machine_refuses(last: Operation) -> None:
    first = op(0, "append" if last.status == "refused" and last.f == "append" else "write", 0, 1, value="s")
    assert check_order([first, last], [0, 1], "kv") is not None


def test_a_wrong_order_of_a_valid_history_is_a_separate_finding() -> None:
    history = [WRITE, READ, LATE]
    compared = check_with_order(history, "register", [1, 0, 2])
    assert compared.answer.verdict == "valid"
    assert compared.disagreement is not None and compared.disagreement.operation == READ
    assert check_with_order(history, "register", [0, 1, 2]).disagreement is None


def test_an_incomplete_order_can_disagree_only_with_real_time() -> None:
    unseen = [op(0, "write", 0, None, value=1, status="unknown"), op(1, "read", 2, 3, result=1)]
    assert check_with_order(unseen, "register", [1]).disagreement is None, "the unknown write came before, unplaced"
    assert check_with_order([WRITE, READ], "register", [1]).disagreement is None, "so did the write"
    late = [*unseen, op(2, "read", 5, 6, result=1)]
    compared = check_with_order(late, "register", [2, 1])
    assert compared.answer.verdict == "valid" and compared.disagreement is not None


def test_an_order_may_be_valid_for_each_key_and_contradict_time_between_keys() -> None:
    history = [op(0, "write", 0, 1, value=1, key="x"), op(1, "write", 2, 3, value=1, key="y")]
    compared = check_with_order(history, "register", [1, 0])
    assert compared.answer == Answer("valid", 2)
    assert compared.disagreement is not None
    assert 'write #1 of 1, on "y", was called after write #0 of 1, on "x", had' in compared.disagreement.reason


def test_an_order_with_unknown_operations_is_refused() -> None:
    with pytest.raises(ValueError, match="names operation 7, which is not in the history"):
        check_with_order(HISTORY, "register", [0, 7])


def test_a_violation_does_not_depend_on_the_proposed_order() -> None:
    history = [op(0, "write", 0, 1, value=1), op(1, "read", 2, 3, result=None)]
    compared = check_with_order(history, "register", [1, 0])
    assert compared.answer.verdict == "violated" and compared.disagreement is not None
