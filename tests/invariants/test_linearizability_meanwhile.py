"""Linearizability while a run goes on: found at the operation that shows it, and never in what could still be valid."""

from __future__ import annotations

from random import Random

import pytest

from raft_chaos.invariants.checkers.linearizability import Linearizability
from raft_chaos.invariants.history import Op, OpFunction
from raft_chaos.invariants.judge import Judge


def whole(process: int, f: OpFunction, key: str, t_us: int, value: str | None = None) -> list[Op]:
    """An operation from its call to its return."""
    name = f"c{process}/{t_us}"
    call = Op(
        type="invoke",
        process=process,
        client="c",
        op=name,
        f=f,
        key=key,
        t_us=t_us,
        value=None if f == "get" else value,
    )
    end = Op(type="ok", process=process, client="c", op=name, f=f, key=key, t_us=t_us + 1, value=value)
    return [call, end]


def lines_until_found(ops: list[Op]) -> int | None:
    """How many lines the judge needs to find a violation of linearizability, when it is asked after each of them."""
    judge = Judge(events_expected=False)
    for number, op in enumerate(ops, 1):
        judge.observe_op(op)
        if any(violation.invariant == "linearizability" for violation in judge.new_violations()):
            return number
    return None


def test_a_stale_read_of_a_key_with_two_writers_is_found_at_its_return() -> None:
    ops = [
        *whole(0, "put", "x", 0, "a"),
        *whole(1, "put", "x", 10, "b"),
        *whole(2, "get", "x", 20, "a"),
        *whole(2, "get", "x", 30, "b"),
    ]
    assert lines_until_found(ops) == 6


def test_a_read_of_what_an_open_write_may_have_written_is_no_violation() -> None:
    opened = whole(0, "put", "x", 0, "a")[0]
    assert lines_until_found([opened, *whole(1, "get", "x", 10, "a"), *whole(1, "get", "x", 20, "a")]) is None


def test_it_is_still_violated_at_the_end_with_its_whole_count() -> None:
    ops = [
        *whole(0, "put", "x", 0, "a"),
        *whole(1, "put", "x", 10, "b"),
        *whole(2, "get", "x", 20, "a"),
        *whole(2, "get", "y", 30, "never"),
    ]
    checker = Linearizability()
    for op in ops:
        checker.observe_op(op)
        checker.look()
    verdict = checker.verdict()
    assert (verdict.outcome, verdict.judged, verdict.violation_count) == ("violated", 4, 2)


@pytest.mark.parametrize("seed", range(40))
def test_looks_find_nothing_that_the_whole_history_does_not_show(seed: int) -> None:
    random = Random(seed)
    ops, t_us = [], 0
    written = ["a"]
    for _ in range(40):
        t_us += 2
        f = random.choice(["get", "put", "put"])
        value = random.choice("abc") if f == "put" else random.choice(written[-2:])
        written += [value] if f == "put" else []
        call, end = whole(random.randrange(3), f, random.choice("xy"), t_us, value)  # type: ignore[arg-type]
        ops += [call, end]
    checker, alone = Linearizability(), Linearizability()
    for op in ops:
        checker.observe_op(op)
        alone.observe_op(op)
        checker.look()
    found = bool(checker.violations)
    assert not found or alone.verdict().outcome == "violated"
    assert checker.verdict() == alone.verdict()
