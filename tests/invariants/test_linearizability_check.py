"""Answers, cores and arguments of known histories; budgets; and sizes that a simple search could not handle."""

from __future__ import annotations

import re
from random import Random

import msgspec
import pytest

import small_histories as small
from brute_force import linearizable
from linearizability_scripts import op, registers
from raft_chaos.invariants.linearizability.check import check, check_with_order
from raft_chaos.invariants.linearizability.operations import NOT_REPORTED, Model, Operation


def numbers(core: tuple[Operation, ...]) -> set[int]:
    return {operation.number for operation in core}


def test_nothing_is_valid() -> None:
    assert check([], "kv").verdict == "valid"


# ---- cores and arguments ----


def test_a_stale_read_is_reported_with_both_writes() -> None:
    history = [
        op(4, "write", 0, 10, value=3),
        op(5, "write", 20, 30, value=4),
        op(6, "write", 0, 50, value=9),
        op(7, "read", 40, 50, result=3),
    ]
    answer = check(history, "register")
    assert answer.verdict == "violated" and answer.key == "k" and answer.judged == 4
    assert numbers(answer.core) == {4, 5, 7}
    assert answer.argument == (
        "read #7 returned 3, which only write #4 wrote; write #4 of 3 had returned before write #5 of 4 was called; "
        "write #5 had returned before read #7 was called; so 3 came before write #5, and write #5 before 3, and "
        "neither came twice: contradiction"
    )


@pytest.mark.parametrize(
    ("model", "history", "core", "words"),
    [
        ("register", [op(0, "read", 0, 1, result=7)], {0}, "nothing ever wrote 7"),
        (
            "register",
            [op(0, "write", 0, 1, value=1), op(1, "read", 2, 3, result=None)],
            {0, 1},
            "but null was only the initial value",
        ),
        (
            "register",
            [op(0, "write", 0, 9, value=1), op(1, "cas", 0, 9, expected=1, value=2),
             op(2, "cas", 0, 9, expected=1, value=3)],
            {1, 2},
            "cas #1 changed 1 to 2; cas #2 changed 1 to 3; only write #0 wrote 1, and the first cas replaced it",
        ),
        (
            "register",
            [op(0, "cas", 0, 9, expected=1, value=2), op(1, "cas", 0, 9, expected=2, value=1)],
            {0},
            "cas #0 changed 1 to 2, but 1 resulted only from that",
        ),
        (
            "register",
            [op(0, "cas", 0, 9, expected=1, value=2, result=1, status="refused"), op(1, "write", 0, 9, value=1)],
            {0},
            "but a cas that finds what it expects is not refused",
        ),
        (
            "list-append",
            [op(0, "append", 0, 9, value=1), op(1, "append", 0, 9, value=2), op(2, "read", 0, 9, result=[1, 2]),
             op(3, "read", 0, 9, result=[2, 1])],
            {2, 3},
            "neither is a prefix of the other",
        ),
        (
            "list-append",
            [op(0, "append", 0, 9, value=1), op(1, "read", 0, 9, result=[1, 1])],
            {1},
            "read #1 returned [1, 1]; it shows 1 at places 1 and 2 of 2; only append #0 appended it, once",
        ),
        (
            "list-append",
            [op(0, "append", 0, 1, value=1), op(1, "append", 2, 3, value=2), op(2, "read", 0, 9, result=[2, 1])],
            {0, 1, 2},
            "append #0 of 1 had returned before append #1 of 2 was called; but read #2 shows it after that",
        ),
        (
            "kv",
            [op(0, "append", 0, 9, value="t"), op(1, "cas", 0, 9, expected=None, value="s")],
            {0, 1},
            "the key was absent only once",
        ),
        (
            "kv-append",
            [op(0, "append", 0, 9, value="1,"), op(1, "append", 0, 9, value="2,"), op(2, "read", 0, 9, result="1,3,")],
            {2},
            'read #2 returned "1,3,", of which "3," is not composed of written values',
        ),
        (
            "register",
            [op(0, "write", 0, 1, value=1), op(1, "write", 2, 3, value=1), op(2, "write", 4, 5, value=2),
             op(3, "read", 6, 7, result=1)],
            {2, 3},
            "but write #1, the last of 2 to set it to 1, had returned before write #2 was called",
        ),
        (
            "register",
            [op(0, "write", 0, 1, value=1), op(1, "write", 5, 6, value=2), op(2, "read", 20, 21, result=1),
             op(3, "write", 50, 51, value=2)],
            {0, 1, 2},
            "so 1 came before write #1, and write #1 before 1, and neither came twice",
        ),
        (
            "register",
            [op(0, "cas", 0, None, expected=7, value=8, status="unknown"), op(1, "read", 2, 3, result=8)],
            {1},
            "cas #0 changed 7 to 8 (outcome unknown), as read #1 shows, but nothing ever wrote 7",
        ),
        (
            "register",
            [op(0, "write", 0, 1, value=1), op(1, "cas", 2, None, expected=1, value=2, status="unknown"),
             op(2, "read", 3, 4, result=2), op(3, "read", 5, 6, result=1)],
            {2, 3},
            "cas #1 changed 1 to 2 (outcome unknown) before that, and nothing brought 1 back",
        ),
        (
            "register",
            [op(0, "cas", 0, 1, value=1), op(1, "write", 2, 3, value=2), op(2, "read", 4, 5, result=1)],
            {1, 2},
            "but 1 resulted from the initial value",
        ),
        (
            "kv-append",
            [op(0, "append", 0, 1, value="a|"), op(1, "append", 2, 3, value="x|"), op(2, "read", 4, 5, result="x|")],
            {0, 2},
            "but read #2 does not show it, and what it shows did not result from a write",
        ),
        (
            "list-append",
            [op(0, "read", 0, 20, result=["e"]), op(1, "append", 10, 12, value="e"), op(2, "append", 5, 6, value="l")],
            {0, 1, 2},
            "but read #0 shows that without it, and an append is never undone",
        ),
        (
            "register",
            [op(0, "cas", 0, 1, expected=1, value=1),
             op(1, "cas", 0, 1, expected=2, value=3, result=NOT_REPORTED, status="refused")],
            {0},
            "cas #0 changed 1 to 1, but nothing else ever wrote 1",
        ),
        ("register", [op(0, "read", 0, 1, result=[1, 2])], {0}, "returned [1, 2], but nothing ever wrote [1, 2]"),
        ("list-append", [op(0, "read", 0, 1, result=[5, 5])], {0}, "at places 1 and 2 of 2; nothing ever appended it"),
        (
            "list-append",
            [op(0, "append", 0, 1, value=4), op(1, "read", 2, 3, result=[4]), op(2, "read", 4, 5, result=[3])],
            {2},
            "read #2 returned [3], but nothing ever appended 3",
        ),
        (
            "kv-append",
            [op(0, "append", 0, 9, value="ab"), op(1, "append", 0, 9, value="c"), op(2, "read", 0, 9, result="abc"),
             op(3, "read", 0, 9, result="a")],
            {3},
            'read #3 returned "a", which is not composed of written values',
        ),
        (
            "kv-append",
            [op(0, "append", 0, 9, value="x"), op(1, "append", 0, 9, value="y"), op(2, "read", 0, 9, result="xy"),
             op(3, "read", 0, 9, result="yx")],
            {2, 3},
            "both begin with the initial value, and an append is never undone",
        ),
        (
            "kv-append",
            [op(0, "write", 0, 1, value="ab"), op(1, "append", 2, 3, value="d"), op(2, "read", 4, 5, result="ab")],
            {0, 1, 2},
            'so it was appended to "ab", and read #2 does not show it',
        ),
        (
            "kv",
            [op(0, "write", 0, 1, value="s"), op(1, "append", 2, 3, value="t")],
            {0, 1},
            "but an append needs a list or an absent key, and nothing brought that back",
        ),
        (
            "kv",
            [op(0, "write", 0, 1, value="a"), op(1, "delete", 2, 3), op(2, "append", 4, 5, value="t"),
             op(3, "append", 6, 7, value="u", result=NOT_REPORTED, status="refused")],
            {2, 3},
            "no order of these",
        ),
    ],
)  # fmt: skip
def test_cores_and_arguments(model: Model, history: list[Operation], core: set[int], words: str) -> None:
    answer = check(history, model)
    assert answer.verdict == "violated"
    assert numbers(answer.core) == core
    assert words in answer.argument and "contradiction" in answer.argument
    assert not linearizable(answer.core, model)


def test_of_many_keys_the_violated_one_is_named() -> None:
    history = [op(i, "write", 0, 1, value=i, key=f"k{i}") for i in range(9)]
    history.append(op(9, "read", 2, 3, result=None, key="k5"))
    answer = check(history, "register")
    assert (answer.verdict, answer.key, numbers(answer.core)) == ("violated", "k5", {5, 9})


def test_of_several_violated_keys_the_earliest_is_explained_and_the_others_are_named() -> None:
    history = []
    for number, key in enumerate("abc"):
        at = {"a": 50, "b": 10, "c": 90}[key]
        history += [op(2 * number, "write", 0, 1, value=1, key=key), op(2 * number + 1, "read", at, at + 1, key=key)]
    history.append(op(6, "write", 0, 9, value=1, key="good"))
    answer = check(history, "register")
    assert (answer.key, answer.others, numbers(answer.core)) == ("b", ("a", "c"), {2, 3})


def test_an_earlier_returning_write_does_not_hide_one_that_may_precede_the_last_write() -> None:
    history = [
        op(0, "write", 0, 100, value=1),
        op(1, "read", 0, 50, result=1),
        op(2, "write", 0, 10, value=9),
        op(3, "read", 11, 12, result=9),
        op(4, "write", 20, 90, value=1),
        op(5, "read", 55, 60, result=9),
    ]
    assert linearizable(history, "register")
    assert check(history, "register").verdict == "valid"


# ---- what a value may be ----


def test_values_that_cannot_be_hashed() -> None:
    history = [op(0, "write", 0, 1, value=[1, {"a": [2]}]), op(1, "read", 2, 3, result=[1, {"a": [2]}])]
    assert check(history, "register").verdict == "valid"
    assert check([*history, op(2, "read", 4, 5, result=[1, {"a": [3]}])], "register").verdict == "violated"


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (op(0, "delete", 0, 1), "operation 0: register has read, write, cas, not 'delete'"),
        (op(3, "write", 5, 4, value=1), "operation 3 returned at 4, before its call at 5"),
        (op(1, "read", 0, 1, status="refused"), "a read cannot be refused"),
    ],
)
def test_invalid_operations_are_refused_with_their_number(broken: Operation, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check([broken], "register")


def test_a_number_names_one_operation() -> None:
    with pytest.raises(ValueError, match="same number"):
        check([op(1, "read", 0, 1), op(1, "read", 2, 3)], "register")


# ---- budgets ----


def test_a_search_without_budget_names_the_key_that_it_gave_up() -> None:
    history = registers(2_500, 20, values=3)
    answer = check(history, "register", budget=100)
    assert answer.verdict == "unknown"
    assert answer.key == "k" and answer.steps >= 100
    assert check(history, "register").verdict == "valid"


def test_a_violated_key_is_found_although_another_key_is_hard_to_search() -> None:
    hard = [msgspec.structs.replace(o, key="hard") for o in registers(2000, 40, values=3)]
    # 0 was there once and cannot have been found twice, which takes a search to see, as 1 was written twice.
    bad = [
        op(9000, "write", 0, 10, value=0, key="bad"),
        op(9001, "cas", 20, 30, expected=0, value=1, key="bad"),
        op(9002, "cas", 20, 30, expected=0, value=1, key="bad"),
        op(9003, "read", 40, 50, result=1, key="bad"),
    ]
    answer = check([*hard, *bad], "register", budget=3_000)
    assert (answer.verdict, answer.key) == ("violated", "bad")


# ---- sizes ----


@pytest.mark.parametrize("clients", [10, 50])
def test_few_values_and_many_clients(clients: int) -> None:
    history = registers(3_000, clients, values=5)
    assert check(history, "register").verdict == "valid"
    reads = [place for place, operation in enumerate(history) if operation.f == "read"]
    at = reads[len(reads) * 2 // 3]
    history[at] = msgspec.structs.replace(history[at], result=None)
    answer = check(history, "register")
    assert answer.verdict == "violated" and len(answer.core) == 2


def test_many_unknown_operations_cost_no_search() -> None:
    history = registers(3_000, 10, values=None, unknown=0.5)
    answer = check(history, "register", budget=0)
    assert answer.verdict == "valid"


def test_many_unknown_operations_of_few_values() -> None:
    assert check(registers(2_000, 10, values=5, unknown=0.3), "register", budget=100_000).verdict == "valid"


def test_long_chains_do_not_overflow() -> None:
    chain = [op(0, "cas", 0, 1, expected=None, value=0)]
    chain += [op(i, "cas", 2 * i, 2 * i + 1, expected=i - 1, value=i) for i in range(1, 20_000)]
    assert check(chain, "register").verdict == "valid"
    lists = [op(i, "append", 2 * i, 2 * i + 1, value=i % 7) for i in range(5_000)]
    lists.append(op(5_000, "read", 10_001, 10_002, result=[i % 7 for i in range(5_000)]))
    assert check(lists, "list-append").verdict == "valid"


def test_the_order_of_the_list_of_operations_does_not_matter() -> None:
    history = registers(300, 5, values=4)
    history[200] = msgspec.structs.replace(history[200], result=None) if history[200].f == "read" else history[200]
    first = check(history, "register")
    for seed in range(3):
        shuffled = list(history)
        Random(seed).shuffle(shuffled)
        assert check(shuffled, "register").verdict == first.verdict


# ---- what is refused ----


@pytest.mark.parametrize(
    ("model", "history", "said"),
    [
        ("registr", [], "the model 'registr': expected register, kv, kv-append or list-append"),
        (["register"], [], "the model ['register']: expected register, kv, kv-append or list-append"),
        ("register", [op(0, "read", 0, 1, status="maybe")],  # type: ignore[arg-type]
         "operation 0 has the status 'maybe'; expected ok, refused or unknown"),
        ("kv-append", [op(0, "append", 0, 1, value="a"), op(1, "read", 2, 3, result=4)],
         "operation 1: `result` is 4; expected a string"),
        ("kv-append", [op(0, "append", 0, 1, value=3), op(1, "read", 2, 3, result="4")],
         "operation 0: `value` is 3; expected a string"),
        ("list-append", [op(0, "read", 0, 1, result=1)], "operation 0: `result` is 1; expected a list"),
        ("kv", [op(0, "write", 0, 1)], "operation 0: a write of None; use a delete to make a key absent"),
        ("register", [op(0, "read", None, 1)],  # type: ignore[arg-type]
         "operation 0: `called` is None; expected an integer"),
    ],
)  # fmt: skip
def test_invalid_models_and_operations_are_refused(model: Model, history: list[Operation], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        check(history, model)
    with pytest.raises(ValueError, match=re.escape(said)):
        check_with_order(history, model, range(len(history)))


@pytest.mark.parametrize("model", ["register", "kv", "kv-append", "list-append"])
def test_times_of_nanoseconds_since_1970_are_not_rounded(model: Model) -> None:
    epoch = 1_764_023_357_123_456_457
    for seed in range(400):
        given = small.history(Random(f"epoch/{seed}"), model, 6)
        later = [
            msgspec.structs.replace(
                o, called=o.called + epoch, returned=None if o.returned is None else o.returned + epoch
            )
            for o in given
        ]
        assert check(later, model).verdict == check(given, model).verdict, given
