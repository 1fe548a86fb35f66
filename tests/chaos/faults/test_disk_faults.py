"""Slow syncs over a scripted world."""

from __future__ import annotations

from builders.schedules import fault
from builders.scripted_world import Stage
from raft_chaos.chaos.faults.disk import SlowSync


def slowed(stage: Stage, at_us: int, node: str, syncs: int) -> None:
    stage.at(at_us, lambda: stage.world.slowed.update({node: syncs}))


def test_the_descriptions_of_slow_syncs() -> None:
    stage = Stage()
    stage.world.slowed["n1"] = 5  # before it
    slowed(stage, 50, "n1", 8)
    slowed(stage, 200, "n1", 20)  # after it
    stage.play(fault("f1", 10, SlowSync(["n1"], 500, 20_000), 100))
    assert stage.injected().detail == "syncs of n1 take 0.5 to 20 ms longer"
    assert stage.seen() == (True, "3 syncs slowed", "")
    assert stage.world.asked == [(10, "slow_sync", "n1", (500, 20_000)), (110, "slow_sync", "n1", (0, 0))]


def test_slow_syncs_must_have_an_effect_on_a_node_that_writes() -> None:
    stage = Stage()
    stage.at(50, lambda: stage.world.writes.update(n1=4))
    assert stage.play(fault("f1", 10, SlowSync(["n1", "n2"], 0, 9), 100)).seen() == (False, "0 syncs slowed", "")


def test_slow_syncs_of_a_node_that_writes_nothing_are_excused() -> None:
    stage = Stage()
    stage.world.writes["n1"] = 7
    assert stage.play(fault("f1", 10, SlowSync(["n1"], 0, 9), 100)).seen()[2] == "nothing was written"


def test_slow_syncs_are_not_excused_where_writes_are_not_counted() -> None:
    stage = Stage()
    stage.world.writes = dict.fromkeys(stage.world.writes)
    assert stage.play(fault("f1", 10, SlowSync(["n1"], 0, 9), 100)).seen() == (False, "0 syncs slowed", "")


def test_the_later_of_two_slow_syncs_of_a_node_counts_until_it_ends() -> None:
    one, other = SlowSync(["n1", "n2"], 10, 10), SlowSync(["n2", "n3"], 20, 20)
    stage = Stage().play(fault("f1", 10, one, 100), fault("f2", 50, other, 40))
    assert stage.asked("slow_sync") == [
        (10, "slow_sync", "n1", (10, 10)),
        (10, "slow_sync", "n2", (10, 10)),
        (50, "slow_sync", "n2", (20, 20)),
        (50, "slow_sync", "n3", (20, 20)),
        (90, "slow_sync", "n2", (10, 10)),
        (90, "slow_sync", "n3", (0, 0)),
        (110, "slow_sync", "n1", (0, 0)),
        (110, "slow_sync", "n2", (0, 0)),
    ]


def test_the_end_of_an_earlier_slow_sync_does_not_change_the_later_one() -> None:
    stage = Stage().play(fault("f1", 10, SlowSync(["n1"], 10, 10), 50), fault("f2", 50, SlowSync(["n1"], 20, 20), 50))
    assert [(at_us, longer) for at_us, _, _, longer in stage.asked("slow_sync")] == [
        (10, (10, 10)),
        (50, (20, 20)),
        (100, (0, 0)),
    ]
