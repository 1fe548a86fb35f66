"""Skewed clocks over a scripted world."""

from __future__ import annotations

import pytest

from builders.schedules import fault
from builders.scripted_world import Stage
from raft_chaos.chaos.faults.clock import Clock, Strobe


def test_the_description_of_a_skewed_clock() -> None:
    stage = Stage().play(fault("f1", 10, Clock(["n1"], rate_ppm=-50_000, jump_us=2_500), 100_000))
    assert stage.injected().detail == "clocks of n1 jump by 2.5 ms and gain -5 %"
    assert stage.seen() == (True, "gained -2.5 ms", "")
    assert stage.world.asked == [(10, "skew", "n1", -50_000, 2_500), (100_010, "skew", "n1", 0, 0)]


def test_a_clock_that_gained_nothing_had_no_effect() -> None:
    assert Stage().play(fault("f1", 10, Clock(["n1"], -20_000, 2_000), 100_000)).seen() == (False, "gained 0 ms", "")


@pytest.mark.parametrize("lasted_us", [15_000, 100_000])
def test_a_clock_that_jumped_back_is_set_forward_by_as_much_in_the_end(lasted_us: int) -> None:
    """However long it lasted: two of them may have gone back at the same time."""
    stage = Stage().play(fault("f1", 10, Clock(["n1"], 0, -40_000), lasted_us))
    assert stage.seen() == (True, "gained -40 ms", "")
    assert stage.world.asked == [(10, "skew", "n1", 0, -40_000), (10 + lasted_us, "skew", "n1", 0, 40_000)]


def test_nodes_that_say_nothing_of_their_clocks_are_no_effect() -> None:
    stage = Stage()
    stage.world.silent = {"n1"}
    stage.play(fault("f1", 10, Clock(["n1"], 0, 9), 100), fault("f2", 500, Clock(["n1", "n2"], 0, 9), 100))
    assert stage.seen() == (False, "gained 0.009 ms", "no node was up to say what its clock shows")
    assert stage.seen("f2") == (True, "gained 0.009 ms", "")


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


# ---- there and back ----------------------------------------------------------------------------------------------


def test_a_strobe_flips_the_clocks_and_ends_ahead() -> None:
    stage = Stage().play(fault("f1", 10, Strobe(["n1", "n2"], 20_000, 10_000), 40_000))
    assert stage.injected().detail == "clocks of n1 n2 flip by 20 ms every 10 ms"
    assert stage.seen() == (True, "went back 2 times", "")
    times_us, signs = (10, 10_010, 20_010, 30_010, 40_010), (1, -1, 1, -1, 1)
    assert stage.world.asked == [
        (at_us, "skew", node, 0, sign * 20_000)
        for at_us, sign in zip(times_us, signs, strict=True)
        for node in ("n1", "n2")
    ]


def test_a_strobe_that_ends_while_it_is_ahead_changes_nothing_more() -> None:
    stage = Stage().play(fault("f1", 10, Strobe(["n1"], 20_000, 10_000), 25_000))
    assert [one[0] for one in stage.asked("skew")] == [10, 10_010, 20_010]
    assert stage.world.clocks["n1"].ahead_us(50_000) == 20_000


def test_a_strobe_ends_ahead_with_the_safety_phase() -> None:
    stage = Stage().play(fault("f1", 10, Strobe(["n1"], 20_000, 10_000), 1_000_000), end_us=15_000)
    assert stage.seen() == (True, "went back 1 times", "")
    assert stage.world.clocks["n1"].ahead_us(15_000) == 20_000


def test_a_strobe_leaves_the_rate_to_other_faults() -> None:
    stage = Stage().play(
        fault("f1", 10, Clock(["n1"], 100_000, 0), 100_000), fault("f2", 20, Strobe(["n1"], 5_000, 10_000), 20_000)
    )
    assert [one[3] for one in stage.asked("skew")] == [100_000, 100_000, 100_000, 100_000, 0]


def test_a_strobe_without_an_effect() -> None:
    stage = Stage()
    stage.world.silent = {"n1"}
    stage.play(fault("f1", 10, Strobe(["n1"], 20_000, 10_000), 25_000))
    stage.play(fault("f2", 10, Strobe(["n2"], 20_000, 10_000), 5_000))
    assert stage.seen("f1") == (False, "went back 1 times", "no node was up to say what its clock shows")
    assert stage.seen("f2") == (False, "went back 0 times", "it was over before they went back")
