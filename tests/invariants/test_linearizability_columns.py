"""Histories as columns: agreement with operations and with brute force, the replay, and invalid columns."""

from __future__ import annotations

import sys
from collections import Counter
from random import Random
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from brute_force import linearizable
from columns_agreement import FAR, as_columns, columns_differ, several_keys
from linearizability_scripts import op, registers
from raft_chaos.invariants.linearizability import operations
from raft_chaos.invariants.linearizability.check import check
from raft_chaos.invariants.linearizability.columns import (
    ABSENT,
    CAS,
    DELETE,
    NEVER,
    NOT_REPORTED,
    OK,
    READ,
    REFUSED,
    UNKNOWN,
    WRITE,
    Columns,
    check_columns,
)
from raft_chaos.invariants.linearizability.columns.proposal import proposal
from raft_chaos.invariants.linearizability.columns.replay import faults
from raft_chaos.invariants.linearizability.operations import Answer, Model, Operation
from raft_chaos.invariants.linearizability.order import first_fault

# ---- agreement ----


@pytest.mark.slow
@pytest.mark.parametrize("model", ["register", "kv"])
@pytest.mark.parametrize("spread", [1, FAR])
def test_the_answer_is_that_of_operations_and_the_verdict_that_of_brute_force(model: Model, spread: int) -> None:
    seen: Counter[bool] = Counter()
    for seed in range(1_500):
        given = several_keys(Random(seed), model)
        valid = linearizable(given, model)
        assert columns_differ(given, model, valid, spread) == "", (seed, given)
        seen[valid] += 1
    assert min(seen[True], seen[False]) > 300, seen


def test_valid_keys_with_unique_values_are_proved_without_operations() -> None:
    seen: Counter[bool] = Counter()
    for seed in range(3_000):
        given = [o for o in several_keys(Random(seed), "register") if o.f in ("read", "write")]
        columns = as_columns(given)
        wrong = faults(columns, proposal(columns))
        for key in {o.key for o in given}:
            own = [o for o in given if o.key == key]
            written = [o.value for o in own if o.f == "write"]
            if len(set(written)) == len(written):
                valid = linearizable(own, "register")
                assert wrong[columns.key == key].any() != valid, (seed, own)
                seen[valid] += 1
    assert min(seen[True], seen[False]) > 300, seen


def long_history(keys: int, clients: int, unknown: float = 0.0) -> list[Operation]:
    """Valid, with values of their own."""
    parts = [(7 * key, o) for key in range(keys) for o in registers(200, clients, None, unknown, seed=key)]
    return [replace(o, key=key, number=number) for number, (key, o) in enumerate(parts)]


@pytest.mark.parametrize(
    ("keys", "clients", "unknown", "spread"), [(20, 10, 0.0, 1), (1, 50, 0.0, 1), (20, 5, 0.3, 1), (20, 5, 0.1, 2**44)]
)
def test_long_histories_with_unique_values_are_decided_without_a_search(
    keys: int, clients: int, unknown: float, spread: int
) -> None:
    columns = as_columns(long_history(keys, clients, unknown), spread)
    assert not faults(columns, proposal(columns)).any()


def test_one_stale_read_among_many_keys_gets_the_core_and_the_argument_of_operations() -> None:
    given = long_history(20, 5)
    own = [o for o in given if o.key == 70 and o.f == "read"]
    given[own[80].number] = replace(own[80], result=own[20].result)
    answer = check_columns(as_columns(given), "register")
    assert (answer.verdict, answer.key, answer.judged) == ("violated", 70, 4_000)
    assert answer == check(given, "register")


def test_columns_with_other_operations_than_reads_and_writes_are_judged() -> None:
    columns = Columns(
        key=0,
        f=[WRITE, CAS, CAS, DELETE, READ, WRITE],
        called=[0, 2, 4, 6, 8, 8],
        returned=[1, 3, 5, 7, 9, NEVER],
        value=[5, 6, 7, ABSENT, ABSENT, 8],
        expected=[ABSENT, 5, 5, ABSENT, ABSENT, ABSENT],
        result=[ABSENT, ABSENT, NOT_REPORTED, ABSENT, ABSENT, ABSENT],
        status=[OK, OK, REFUSED, OK, OK, UNKNOWN],
    )
    assert columns.operations(np.arange(6)) == [
        Operation(0, 0, "write", 0, 1, 5),
        Operation(1, 0, "cas", 2, 3, 6, 5),
        Operation(2, 0, "cas", 4, 5, 7, 5, operations.NOT_REPORTED, "refused"),
        Operation(3, 0, "delete", 6, 7),
        Operation(4, 0, "read", 8, 9),
        Operation(5, 0, "write", 8, None, 8, status="unknown"),
    ]
    answer = check_columns(columns, "kv")
    assert (answer.verdict, answer.judged) == ("valid", 6)


def test_the_budget_is_for_the_search_over_undecided_keys() -> None:
    answer = check_columns(as_columns(registers(2_500, 20, values=3)), "register", budget=100)
    assert answer.verdict == "unknown" and answer.judged == 2_500


def test_nothing_is_valid() -> None:
    nothing: Any = []
    columns = Columns(key=nothing, f=nothing, called=nothing, returned=nothing, value=nothing, result=nothing)
    assert check_columns(columns, "register") == Answer("valid", 0)


# ---- the replay ----


@pytest.mark.parametrize("spread", [1, FAR])
def test_the_replay_of_columns_accepts_the_same_orders_as_that_of_operations(spread: int) -> None:
    seen: Counter[bool] = Counter()
    for seed in range(1_000):
        random = Random(seed)
        given = [o for o in several_keys(random, "register", 9) if o.f in ("read", "write")]
        columns = as_columns(given, spread)
        order = proposal(columns).tolist()
        parts = {key: [row for row in order if columns.key[row] == key] for key in sorted(set(columns.key.tolist()))}
        for key, part in parts.items():
            mutate(random, part, [row for row in range(len(given)) if columns.key[row] == key])
        wrong = faults(columns, np.array([row for part in parts.values() for row in part], np.int64))
        for key, part in parts.items():
            own = columns.operations(np.flatnonzero(columns.key == key))
            plain = first_fault(own, columns.operations(np.array(part, np.int64)), "register")
            assert wrong[columns.key == key].any() == (plain is not None), (seed, given, part, plain)
            seen[plain is None] += 1
    assert min(seen[True], seen[False]) > 1_000, seen


def mutate(random: Random, part: list[int], rows: list[int]) -> None:
    """Leaves a key's order as it is, moves a row of it, takes one out, puts any one of the key in, or shuffles them."""
    match random.randrange(6 if part else 1):
        case 1:
            part.insert(random.randrange(len(part)), part.pop(random.randrange(len(part))))
        case 2:
            part.pop(random.randrange(len(part)))
        case 3 | 4:
            part.insert(random.randrange(len(part)), random.choice(rows))
        case 5:
            random.shuffle(part)


def test_the_replay_of_columns_refuses_interleaved_keys_and_other_operations() -> None:
    columns = as_columns(
        [op(row, "write", 0, 9, value=row, key=row % 2) for row in range(4)]  # type: ignore[arg-type]
    )
    assert not faults(columns, np.array([0, 2, 1, 3])).any()
    assert faults(columns, np.array([0, 1, 2, 3])).all()
    assert faults(columns, np.array([1, 3, 0, 2])).all()
    delete = Columns(key=[1, 2], f=[DELETE, WRITE], called=[0, 0], returned=[1, 1], value=[ABSENT, 3], result=ABSENT)
    assert faults(delete, np.array([0, 1])).tolist() == [True, False]


# ---- what is refused ----


def columns(**changed: Any) -> Columns:
    plain: dict[str, Any] = {
        "key": [1, 1], "f": [WRITE, READ], "called": [0, 2], "returned": [1, 3], "value": [5, ABSENT],
        "result": [ABSENT, 5],
    }  # fmt: skip
    return Columns(**(plain | changed))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"key": [1, 1, 1]}, "one element per operation; key has 3, f has 2"),
        (dict.fromkeys(("key", "f", "called", "returned", "value", "result"), 0), "all columns are numbers"),
        ({"called": [[0, 1]]}, r"column called has the shape \(1, 2\); expected \(operations,\)"),
        ({"called": [0.5, 1.5]}, "column called is of dtype float64; expected an integer dtype"),
        ({"value": ["a", "b"]}, "column value is of dtype <U1; expected an integer dtype"),
        ({"f": [True, False]}, "column f is of dtype bool"),
        ({"value": np.array([1, 2**63], np.uint64)}, "column value, row 1: 9223372036854775808; expected"),
        ({"f": [WRITE, 7]}, "column f, row 1: 7; expected READ, WRITE, CAS or DELETE"),
        ({"status": [-1, OK]}, "column status, row 0: -1; expected OK, REFUSED or UNKNOWN"),
        ({"returned": [1, 1]}, "column returned, row 1: 1; expected a time that is not before its call"),
        ({"result": [ABSENT, NOT_REPORTED]}, "column result, row 1: .*; expected a value or ABSENT"),
    ],
)  # fmt: skip
def test_invalid_columns_are_refused_with_column_and_row(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        columns(**changed)


@pytest.mark.parametrize(
    ("changed", "model", "message"),
    [
        ({}, "list-append", "'list-append' has values that are not integers; columns are for register and kv"),
        ({}, "kv-append", "'kv-append' has values"),
        ({"f": [DELETE, READ]}, "register", r"column f, row 0: 3; expected one of register's: READ \(0\), WRITE"),
        ({"status": [OK, REFUSED]}, "kv", "column status, row 1: 1; expected OK or UNKNOWN"),
    ],
)
def test_operations_that_the_model_does_not_have_are_refused(
    changed: dict[str, Any], model: Model, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        check_columns(columns(**changed), model)


def test_without_numpy_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [name for name in sys.modules if name.startswith("raft_chaos.invariants.linearizability.columns")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "numpy", None)
    with pytest.raises(ImportError, match=r"needs NumPy, .*: pip install 'raft-chaos\[columns\]'"):
        import raft_chaos.invariants.linearizability.columns  # noqa: F401
