"""Differences by seed and their interval, against numbers that tables and worked examples give."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from raft_chaos.reports.campaign.paired import Difference, Paired, paired_table, t_quantile


def difference(values: list[int]) -> Difference:
    made = Difference()
    for value in values:
        made.add(value + 100, 100)
    return made


@pytest.mark.parametrize(
    ("freedom", "quantile"),
    [
        (1, 12.7062), (2, 4.3027), (3, 3.1824), (4, 2.7764), (5, 2.5706), (9, 2.2622), (10, 2.2281), (29, 2.0452),
        (30, 2.0423), (100, 1.9840), (200, 1.9719), (201, 1.9718), (1000, 1.9623), (1_000_000, 1.9600),
    ],
)  # fmt: skip
def test_the_quantile_is_that_of_the_printed_tables(freedom: int, quantile: float) -> None:
    assert t_quantile(freedom) == pytest.approx(quantile, abs=5e-5)


def test_the_series_goes_on_where_the_exact_quantile_ends() -> None:
    steps = [t_quantile(freedom) - t_quantile(freedom + 1) for freedom in range(197, 204)]
    assert all(0 < after < before for before, after in pairwise(steps))


def test_students_own_example() -> None:
    """The hours of sleep gained by the second drug over the first (Student 1908), in tenths: 1.58, 0.70 to 2.46."""
    made = difference([12, 24, 13, 13, 0, 10, 18, 8, 46, 14])
    assert made.interval is not None
    assert (made.mean, *made.interval) == pytest.approx((15.8, 7.00, 24.60), abs=0.01)


def test_equal_differences_leave_no_doubt_and_one_difference_says_nothing() -> None:
    assert difference([3, 3, 3]).interval == (3.0, 3.0)
    assert difference([3]).interval is None


def test_the_order_of_the_seeds_does_not_matter() -> None:
    values = [number * number % 97 for number in range(300)]
    intervals = set()
    for shuffle in range(5):
        random.Random(shuffle).shuffle(values)
        intervals.add(difference(values).interval)
    assert len(intervals) == 1


def test_only_seeds_that_were_compared_count() -> None:
    paired = Paired()
    paired.add({"elections": 9, "max_term": 40}, {})
    assert paired.document() is None and paired_table(paired).rows == []
    paired.add({"elections": 3, "max_term": 8}, {"elections": 2, "max_term": 4})
    assert paired_table(paired).rows[0] == ["leaders elected", "3.00", "2.00", "+1.00", "needs two seeds"]
    paired.add({"elections": 4, "max_term": 6}, {"elections": 2, "max_term": 8})
    document = paired.document()
    assert document is not None
    assert document["max_term"] == {
        "seeds": 2, "mutant": 7.0, "baseline": 6.0, "difference": 1.0,
        "low": pytest.approx(1 - 12.7062 * 3, abs=1e-3), "high": pytest.approx(1 + 12.7062 * 3, abs=1e-3),
    }  # fmt: skip
