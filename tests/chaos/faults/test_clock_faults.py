"""Skewed clocks over a scripted world."""

from __future__ import annotations

from builders.schedules import fault
from builders.scripted_world import Stage
from raft_chaos.chaos.faults.clock import Clock


def test_the_description_of_a_skewed_clock() -> None:
    stage = Stage().play(fault("f1", 10, Clock(["n1"], rate_ppm=-50_000, jump_us=2_500), 100_000))
    assert stage.injected().detail == "clocks of n1 jump by 2.5 ms and gain -5 %"
    assert stage.seen() == (True, "gained -2.5 ms", "")
    assert stage.world.asked == [(10, "skew", "n1", -50_000, 2_500), (100_010, "skew", "n1", 0, 0)]


def test_a_clock_that_gained_nothing_had_no_effect() -> None:
    assert Stage().play(fault("f1", 10, Clock(["n1"], -20_000, 2_000), 100_000)).seen() == (False, "gained 0 ms", "")


def test_the_later_of_two_rates_counts_and_both_clocks_jump() -> None:
    one, other = Clock(["n1", "n2"], 200_000, 7), Clock(["n2", "n3"], -100_000, 9)
    stage = Stage().play(fault("f1", 10, one, 100), fault("f2", 50, other, 100))
    assert stage.world.asked == [
        (10, "skew", "n1", 200_000, 7),
        (10, "skew", "n2", 200_000, 7),
        (50, "skew", "n2", -100_000, 9),
        (50, "skew", "n3", -100_000, 9),
        (110, "skew", "n1", 0, 0),
        (110, "skew", "n2", -100_000, 0),
        (150, "skew", "n2", 0, 0),
        (150, "skew", "n3", 0, 0),
    ]
