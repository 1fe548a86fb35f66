"""The checker restores the garbage collector, and creates no reference cycles."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from linearizability_scripts import op, registers
from raft_chaos.invariants.linearizability.check import check


@pytest.fixture(autouse=True)
def collecting() -> Iterator[None]:
    yield
    gc.enable()


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_is_restored_afterwards(enabled: bool) -> None:
    (gc.enable if enabled else gc.disable)()
    check(registers(10, 2, None), "register")
    assert gc.isenabled() == enabled
    with pytest.raises(ValueError, match="register has"):
        check([op(0, "delete", 0, 1)], "register")
    assert gc.isenabled() == enabled


@pytest.mark.parametrize("values", [None, 3])
def test_there_is_nothing_to_collect(values: int | None) -> None:
    history = registers(1_000, 10, values)
    gc.collect()
    gc.disable()
    check(history, "register")
    assert gc.collect() == 0
