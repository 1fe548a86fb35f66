"""Bad networks and broken connections over a scripted world."""

from __future__ import annotations

import pytest

from builders.schedules import fault
from builders.scripted_world import LINKS, Stage
from raft_chaos.chaos.faults.action import Action
from raft_chaos.chaos.faults.links import TRAFFIC, LinkState
from raft_chaos.chaos.faults.network import TRAFFIC_PATIENCE_US, Network, Reset, Throttle

# ---- network -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "detail"),
    [
        (
            Network(["n1", "n2"], delay_min_us=500, delay_max_us=20_000, loss=0.05, duplicate=0.1, reorder=0.25),
            "n1 n2: delay 0.5 to 20 ms, loss 5%, duplicate 10%, reorder 25%",
        ),
        (
            Network(["n1"], delay_mean_us=1_500),
            "n1: delay 0 to 0 ms and 1.5 ms more on average, loss 0%, duplicate 0%, reorder 0%",
        ),
    ],
)
def test_the_description_of_a_bad_network(action: Action, detail: str) -> None:
    assert Stage().play(fault("f1", 10, action, 100)).injected().detail == detail


def test_a_bad_network_affects_the_links_of_its_nodes_in_both_directions() -> None:
    action = Network(["n1"], loss=0.5)
    stage = Stage().play(fault("f1", 10, action, 100))
    links = [link for link in LINKS if "n1" in link]
    assert stage.world.asked == [
        (10, "set_links", dict.fromkeys(links, LinkState(degraded=(action.degraded,)))),
        (110, "set_links", dict.fromkeys(links, LinkState())),
    ]


def test_lost_delayed_and_duplicated_frames_are_counted() -> None:
    stage = Stage()
    stage.count(50, ("n1", "n2"), "lost", 2)
    stage.count(50, ("n3", "n1"), "reordered", 1)
    stage.count(50, ("n2", "n3"), "delayed", 9)  # another link
    stage.count(5, ("n1", "n2"), "duplicated", 9)  # before it
    stage.play(fault("f1", 10, Network(["n1"], loss=0.5), 100))
    assert stage.seen() == (True, "frames: 0 delayed, 2 lost, 0 duplicated, 1 reordered", "")
    stage = Stage()
    stage.count(50, ("n1", "n2"), "forwarded", 9)
    stage.play(fault("f1", 10, Network(["n1"], loss=0.5), 100))
    assert stage.seen() == (False, "frames: 0 delayed, 0 lost, 0 duplicated, 0 reordered", "")


def test_only_what_the_network_can_do_is_told_in_its_own_words() -> None:
    """A stream of bytes loses nothing: pieces that were queued for a node that was killed are no effect of it."""
    stage = Stage()
    stage.world.traffic = TRAFFIC["tcp"]
    stage.count(50, ("n1", "n2"), "lost", 2)
    stage.play(fault("f1", 10, Network(["n1"], delay_max_us=5_000), 100))
    assert stage.injected().detail == "n1: delay 0 to 5 ms"
    assert stage.seen() == (False, "pieces: 0 delayed", "")
    stage = Stage()
    stage.world.traffic = TRAFFIC["netns"]
    stage.count(50, ("n1", "n2"), "lost", 2)
    stage.play(fault("f1", 10, Network(["n1"], loss=0.5), 100))
    assert stage.seen() == (True, "packets: 0 delayed, 2 lost, 0 duplicated, 0 reordered", "")


@pytest.mark.parametrize("action", [Network(["n3"], loss=0.5), Reset(["n3"], 0.5)])
def test_a_bad_network_of_nodes_that_are_no_members_is_excused(action: Action) -> None:
    for members, excuse in ((["n1", "n2"], "no members of the cluster: n3"), (["n1", "n2", "n3"], "")):
        stage = Stage(members=members)
        stage.at(50, lambda stage=stage: setattr(stage.world, "passed", 9))
        stage.play(fault("f1", 10, action, 100))
        assert stage.seen()[::2] == (False, excuse)


def test_two_bad_networks_of_a_link_are_in_force_together() -> None:
    one, other = Network(["n1"], delay_mean_us=5), Network(["n2"], loss=0.5)
    stage = Stage().play(fault("f1", 10, one, 100), fault("f2", 50, other, 100))
    asked = [(at_us, states.get(("n1", "n2")), states.get(("n3", "n1"))) for at_us, _, states in stage.world.asked]
    alone, both = LinkState(degraded=(one.degraded,)), LinkState(degraded=(one.degraded, other.degraded))
    rest = LinkState(degraded=(other.degraded,))
    assert asked == [(10, alone, alone), (50, both, None), (110, rest, LinkState()), (150, LinkState(), None)]


# ---- throttle ----------------------------------------------------------------------------------------------------


def test_a_throttle_slows_the_links_of_its_nodes_in_both_directions() -> None:
    stage = Stage().play(fault("f1", 10, Throttle(["n1"], 5_000), 100))
    links = [link for link in LINKS if "n1" in link]
    assert stage.world.asked == [
        (10, "set_links", dict.fromkeys(links, LinkState(bytes_per_s=5_000))),
        (110, "set_links", dict.fromkeys(links, LinkState())),
    ]
    assert stage.injected().detail == "n1: at most 5000 bytes/s on each link"


def test_of_two_throttles_of_a_link_the_slower_one_counts() -> None:
    plan = [fault("f1", 10, Throttle(["n1"], 9_000), 100), fault("f2", 50, Throttle(["n2"], 5_000), 100)]
    asked = [(at_us, states.get(("n1", "n2"))) for at_us, _, states in Stage().play(*plan).world.asked]
    slow, slower = LinkState(bytes_per_s=9_000), LinkState(bytes_per_s=5_000)
    assert asked == [(10, slow), (50, slower), (110, None), (150, LinkState())]


def test_what_waited_on_a_slow_link_is_counted() -> None:
    stage = Stage()
    stage.count(50, ("n1", "n2"), "throttled", 2)
    stage.count(50, ("n2", "n3"), "throttled", 9)  # another link
    stage.play(fault("f1", 10, Throttle(["n1"], 5_000), 100))
    assert stage.seen() == (True, "2 frames waited for room on a slow link", "")


def test_a_throttle_without_effect_is_excused_only_if_nothing_was_sent() -> None:
    stage = Stage()
    stage.play(fault("f1", 10, Throttle(["n1"], 5_000), 100))
    assert stage.seen() == (False, "0 frames waited for room on a slow link", "nothing was sent")
    stage = Stage()
    stage.count(50, ("n1", "n2"), "forwarded", 1)
    stage.play(fault("f1", 10, Throttle(["n1"], 200_000), 100))
    assert stage.seen() == (False, "0 frames waited for room on a slow link", "")


# ---- reset -------------------------------------------------------------------------------------------------------


def test_the_description_of_a_reset() -> None:
    stage = Stage()
    stage.world.in_flight = (1, 2)
    stage.play(fault("f1", 10, Reset(["n1", "n2"], 0.5)))
    assert stage.injected().detail == "reset the connections of n1 n2"
    assert stage.seen() == (True, "frames in flight: 1 delivered, 2 lost", "")
    assert stage.asked("reset") == [(10, "reset", "f1", ("n1", "n2"), 0.5)]
    assert stage.injected().t_us == stage.healed().t_us == 10


def test_a_reset_waits_for_frames_in_flight() -> None:
    stage = Stage()
    stage.at(200, lambda: stage.world.send((0, 1)))
    stage.play(fault("f1", 10, Reset(["n1"], 0.0)))
    assert stage.asked("watch_traffic") == [(10, "watch_traffic", ("n1",), TRAFFIC_PATIENCE_US)]
    assert stage.asked("reset") == [(200, "reset", "f1", ("n1",), 0.0)]
    assert stage.injected().t_us == stage.healed().t_us == 200


def test_a_reset_without_effect_is_excused_if_nothing_was_sent() -> None:
    stage = Stage().play(fault("f1", 10, Reset(["n1"], 0.0)))
    assert stage.seen() == (False, "frames in flight: 0 delivered, 0 lost", "nothing was sent")
    assert stage.healed().t_us == 10 + TRAFFIC_PATIENCE_US


def test_a_reset_without_effect_is_not_excused_if_something_was_sent() -> None:
    stage = Stage()
    stage.at(50, lambda: setattr(stage.world, "passed", 5))
    stage.play(fault("f1", 10, Reset(["n1"], 0.0)))
    assert stage.seen() == (False, "frames in flight: 0 delivered, 0 lost", "")


def test_a_reset_that_waits_past_the_safety_phase_never_fires() -> None:
    stage = Stage().play(fault("f1", 10, Reset(["n1"], 0.0)), end_us=10 + TRAFFIC_PATIENCE_US // 2)
    assert stage.events == []
