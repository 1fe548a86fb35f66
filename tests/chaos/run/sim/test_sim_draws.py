"""Draws by number: a draw depends only on seed, stream and number."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest

from raft_chaos.chaos.run.sim.draws import BLOCK, Draws

SPAN = 4 * BLOCK


@pytest.mark.parametrize("width", [1, 2, 7])
def test_a_draw_is_the_same_whether_or_not_others_were_taken(width: int) -> None:
    straight = Draws(1, "stream", width)
    in_order = [straight.of(number) for number in range(SPAN)]
    assert [straight.of(number) for number in range(SPAN)] == in_order, "taken twice"
    jumping, order = Draws(1, "stream", width), list(range(SPAN))
    Random(5).shuffle(order)
    assert [jumping.of(number) for number in order] == [in_order[number] for number in order]
    for number in (0, BLOCK - 1, BLOCK, SPAN - 1):
        assert Draws(1, "stream", width).of(number) == in_order[number], "taken alone"


@pytest.mark.parametrize("width", [1, 2, 7])
def test_a_draw_is_as_wide_as_asked_and_no_number_comes_twice(width: int) -> None:
    draws = Draws(1, "stream", width)
    taken = [draws.of(number) for number in range(SPAN)]
    assert {len(one) for one in taken} == {width}
    numbers = [number for one in taken for number in one]
    assert len(set(numbers)) == SPAN * width
    assert all(0 <= number < 1 for number in numbers)
    assert 0.4 < sum(numbers) / len(numbers) < 0.6


def test_a_single_draw_is_the_first_of_a_draw_of_width_one() -> None:
    one, of = Draws(3, "stream", 1), Draws(3, "stream", 1)
    assert [[one.one(number)] for number in range(SPAN)] == [of.of(number) for number in range(SPAN)]


def test_streams_and_seeds_are_independent_of_each_other() -> None:
    names = ["a", "b", "a/0", "a/1", "network/n1>n2/fate", "network/n2>n1/fate"]
    first = {(seed, name, n): Draws(seed, name, 1).one(n) for seed in (1, 2) for name in names for n in (0, BLOCK)}
    assert len(set(first.values())) == len(first)


def test_threads_that_draw_at_once_do_not_disturb_each_other() -> None:
    """A campaign may run in threads of one process. They take turns as often as Python can."""

    def drawn(name: str) -> list[float]:
        draws = Draws(1, name, 1)
        return [draws.one(number) for number in range(0, 3_000 * BLOCK, BLOCK)]

    names = ["a", "b", "c", "d"]
    alone = [drawn(name) for name in names]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(len(names)) as threads:
            assert list(threads.map(drawn, names)) == alone
    finally:
        sys.setswitchinterval(before)
