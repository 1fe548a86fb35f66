"""What all kinds of faults have in common: the nodes that they mean, what they wait for, and their capability."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from builders.schedules import ISOLATED, fault
from builders.scripted_world import NODES, Stage
from raft_chaos.chaos.faults.action import Action
from raft_chaos.chaos.faults.clock import Clock, Strobe
from raft_chaos.chaos.faults.disk import SlowSync
from raft_chaos.chaos.faults.names import around, group_of, named, tally
from raft_chaos.chaos.faults.network import Network, Reset
from raft_chaos.chaos.faults.partition import Clog, Partition
from raft_chaos.chaos.faults.pause import Pause
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.faults.strike import NotPossibleError
from raft_chaos.chaos.run.nemesis import LEADER_POLL_US

# ---- whom a fault means -------------------------------------------------------------------------------------------


def test_names_resolve_to_nodes_without_repetition() -> None:
    led_by_n1, led_by_n2 = around("n1", NODES), around("n2", NODES)
    assert named(["n3", "leader"], led_by_n1) == ["n3", "n1"]
    assert named(["leader", "n1"], led_by_n1) == ["n1"]
    assert named(["others"], led_by_n2) == ["n1", "n3"]
    assert named(["n3", "others"], led_by_n2) == ["n3", "n1"]
    assert named(["others", "leader"], led_by_n2) == ["n1", "n3", "n2"]
    assert named(["leader", "leader@f1"], {**led_by_n2, "leader@f1": ["n3"]}) == ["n2", "n3"]


@pytest.mark.parametrize("count", [3, 4, 5, 6, 7])
def test_two_majorities_meet_only_in_the_leader_and_the_pivot(count: int) -> None:
    nodes = [f"n{number}" for number in range(1, count + 1)]
    for leader in nodes:
        roles = around(leader, nodes)
        assert sorted([leader, *roles["pivot"], *roles["near"], *roles["far"]]) == nodes
        majority = count // 2 + 1
        assert len([leader, *roles["pivot"], *roles["near"]]) == majority
        shared = [leader] if count % 2 else [leader, *roles["pivot"]]
        assert len({*shared, *roles["far"]}) == majority


@pytest.mark.parametrize(
    ("names", "group"),
    [
        (["n1"], "one"),
        (["leader"], "leader"),
        (["voter"], "voter"),
        (["n1", "n2"], "majority"),
        (["n1", "n2", "n3"], "all"),
        (["leader", "n2"], "leader and minority"),
        (["leader", "n1", "n2", "n3"], "leader and all"),
    ],
)
def test_a_group_of_nodes_has_a_name(names: list[str], group: str) -> None:
    assert group_of(names, NODES) == group


def test_a_tally_lists_the_most_frequent_first() -> None:
    assert tally(["one", "leader", "one", "all"]) == "one 2, all 1, leader 1"


# ---- what it waits for --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "needs"),
    [
        (Kill(["leader", "n1"], [0, 0]), True),
        (Kill(["n1", "pivot"], [0, 0]), True),
        (Pause(["others"]), True),
        (Pause(["n1"]), False),
        (SlowSync(["leader"], 0, 0), True),
        (Network(["n1", "leader"], loss=0.1), True),
        (Reset(["leader"], 0.5), True),
        (Clock(["leader"], 0, 1), True),
        (Strobe(["leader"], 1, 5_000), True),
        (Clog({"n1": ["leader"]}), True),
        (Clog({"n1": ["n2"]}), False),
        (Partition("isolate_leader", ISOLATED), True),
        (Partition("one_way", {"n1": ["leader"]}), True),
        (Partition("one", {"n1": ["n2", "n3"]}), False),
    ],
)
def test_a_fault_waits_for_a_leader_only_if_it_names_one(action: Action, needs: bool) -> None:
    assert action.must_wait(NODES, {}) is needs
    assert not action.must_wait(NODES, around("n2", NODES))


@pytest.mark.parametrize("make", [lambda grudge: Partition("bridge", grudge), Clog])
def test_a_cut_waits_while_it_leaves_the_leader_s_links_alone(make: Callable[..., Action]) -> None:
    action = make({"n2": ["n3"], "n3": ["n2"]})
    assert action.must_wait(NODES, around("n1", NODES))
    assert not action.must_wait(NODES, around("n2", NODES))
    assert not action.must_wait(NODES, {})


@pytest.mark.parametrize("make", [lambda grudge: Partition("majorities_ring", grudge), Clog])
def test_a_cut_of_the_leader_from_who_is_no_member_does_not_count_beside_others(make: Callable[..., Action]) -> None:
    """n4 has not joined: the leader sends it nothing (§6), so the cut between n1 and n2 needs one of these to lead."""
    nodes = ["n1", "n2", "n3", "n4"]
    action = make({"n1": ["n2"], "n2": ["n1"], "n3": ["n4"], "n4": ["n3"]})
    assert action.must_wait(nodes, around("n3", nodes), ["n4"])
    assert not action.must_wait(nodes, around("n2", nodes), ["n4"])
    assert not action.must_wait(nodes, around("n3", nodes))


def test_a_cut_of_who_is_no_member_alone_waits_for_nobody_to_join() -> None:
    nodes = ["n1", "n2", "n3", "n4"]
    alone = Partition("one", {"n4": ["n1", "n2", "n3"]})
    assert not alone.must_wait(nodes, around("n3", nodes), ["n4"])


def test_a_fault_waits_until_somebody_has_the_role_that_it_names() -> None:
    led = around("n2", NODES)
    assert Pause(["newest"]).must_wait(NODES, led) and not Pause(["newest"]).must_wait(NODES, {"newest": ["n1"]})
    assert Kill(["leader@f1"], [0]).must_wait(NODES, led)
    assert not Kill(["leader@f1"], [0]).must_wait(NODES, {"leader@f1": ["n1"]})


@pytest.mark.parametrize(
    "action",
    [
        Kill(["leader"], [0]),
        Pause(["leader"]),
        SlowSync(["leader"], 0, 9),
        Network(["leader"], loss=0.1),
        Reset(["leader"], 0.5),
        Clock(["leader"], 0, 1),
        Strobe(["leader"], 1, 5_000),
        Clog({"others": ["leader"]}),
        Partition("isolate_leader", ISOLATED),
    ],
    ids=lambda action: str(action.kind()),
)
def test_a_fault_on_the_leader_hits_the_leader_of_that_moment(action: Action) -> None:
    stage = Stage(leader=None)
    stage.world.in_flight = (1, 0)
    stage.at(3 * LEADER_POLL_US, lambda: stage.view.status("n3", "leader", 1))
    stage.play(fault("f1", 10, action, 0 if isinstance(action, Kill | Reset) else 50))
    assert stage.injected().t_us == 10 + 3 * LEADER_POLL_US
    assert stage.injected().leader == "n3" and "n3" in stage.injected().targets


# ---- what it needs of a world -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "action",
    [
        Pause(["n1"]),
        SlowSync(["n1"], 0, 9),
        Network(["n1"], loss=0.1),
        Reset(["n1"], 0.5),
        Clock(["n1"], 0, 1),
        Strobe(["n1"], 1, 5_000),
        Clog({"n1": ["n2"]}),
        Partition("one_way", {"n1": ["n2"]}),
    ],
    ids=lambda action: str(action.kind()),
)
def test_a_fault_raises_in_a_world_without_its_capability(action: Action) -> None:
    with pytest.raises(NotPossibleError, match=f"fault f1: this world's nodes cannot suffer a {action.kind()}"):
        Stage(poor=True).play(fault("f1", 10, action, 50))
