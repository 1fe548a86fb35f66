"""Kills and pauses over a scripted world: what they do to it, how they are described, and when they are effective."""

from __future__ import annotations

import pytest

from builders.schedules import fault
from builders.scripted_world import Stage
from raft_chaos.chaos.faults.pause import Pause
from raft_chaos.chaos.faults.process import FAILPOINT_PATIENCE_US, Kill
from raft_chaos.chaos.schedule.data import When
from raft_chaos.invariants.events import VoteGranted

# ---- kill --------------------------------------------------------------------------------------------------------


def test_a_kill_names_its_nodes_and_when_each_restarts() -> None:
    """The first mention counts."""
    stage = Stage(leader="n2").play(fault("f1", 10, Kill(["leader", "n1", "n2"], [900, 0, 0])))
    assert stage.asked("kill") == [(10, "kill", {"n2": 0, "n1": 0})]
    assert stage.asked("start") == [(10, "start", "n1"), (910, "start", "n2")]
    stage = Stage(leader="n3").play(fault("f1", 10, Kill(["leader", "n1", "n2"], [900, 0, 50])))
    assert stage.asked("start") == [(10, "start", "n1"), (60, "start", "n2"), (910, "start", "n3")]


def test_a_kill_of_the_voter_waits_for_a_vote() -> None:
    stage, vote = Stage(), VoteGranted(node="n3", inc=1, t_us=40, term=1, candidate="n1")
    stage.at(40, lambda: stage.view.observe(vote))
    stage.play(fault("f1", When(on="vote_granted", nth=1, after_us=2), Kill(["voter", "n1"], [5, 0])))
    assert stage.asked("kill") == [(42, "kill", {"n3": 0, "n1": 0})]
    assert stage.asked("start") == [(42, "start", "n1"), (47, "start", "n3")]


def test_a_kill_of_an_unknown_voter_never_comes() -> None:
    stage = Stage().play(fault("f1", 10, Kill(["n1", "voter"], [0, 0])))
    assert stage.asked("kill") == [] and not stage.events


def test_each_killed_node_keeps_its_share_of_unsynced_bytes() -> None:
    kill = Kill(["leader", "n1", "n2"], [900, 0, 0], keep_permille=[7, 500, 1000])
    assert Stage(leader="n2").play(fault("f1", 1, kill)).asked("kill") == [(1, "kill", {"n2": 7, "n1": 500})]
    every = Stage(leader="n3").play(fault("f1", 1, kill)).asked("kill")
    assert every == [(1, "kill", {"n3": 7, "n1": 500, "n2": 1000})]


def test_the_description_of_a_kill() -> None:
    stage = Stage().play(fault("f1", 10, Kill(["n2", "n1"], [5, 5])))
    assert (stage.injected().detail, stage.injected().targets) == ("kill n2 n1", ("n2", "n1"))
    assert stage.seen() == (True, "killed n2 n1, new incarnation of n2 n1", "")
    assert (stage.injected().t_us, stage.healed().t_us) == (10, 15)


def test_a_kill_whose_nodes_do_not_all_come_back_is_not_effective() -> None:
    stage = Stage()
    stage.world.lost.add("n2")
    stage.play(fault("f1", 10, Kill(["n2", "n1"], [5, 5])))
    assert stage.seen() == (False, "killed n2 n1, new incarnation of n1", "")


def test_a_kill_kills_only_nodes_that_are_up() -> None:
    stage = Stage().play(fault("f1", 10, Kill(["n1"], [90])), fault("f2", 20, Kill(["n1", "n3"], [0, 0])))
    assert stage.injected("f2").targets == ("n3",)
    assert stage.seen("f2") == (True, "killed n3, new incarnation of n3", "")
    assert stage.asked("start") == [(20, "start", "n3"), (100, "start", "n1")]


def test_a_kill_at_a_failpoint_waits_until_the_node_reaches_it() -> None:
    stage = Stage()
    stage.at(70, lambda: stage.world.armed["n2"].set())
    stage.play(fault("f1", 10, Kill(["n2"], [5], [300], failpoint="mid_send")))
    assert stage.injected().detail == "kill n2, mid_send"
    assert stage.world.asked == [
        (10, "arm", "n2", "mid_send"),
        (70, "disarm", "n2"),
        (70, "kill", {"n2": 300}),
        (75, "start", "n2"),
    ]
    assert stage.seen() == (True, "killed n2, new incarnation of n2", "")


def test_the_wait_for_a_failpoint_is_bounded() -> None:
    stage = Stage().play(fault("f1", 10, Kill(["n2"], [5], failpoint="before_answer")))
    due_us = 10 + FAILPOINT_PATIENCE_US
    assert stage.world.asked[1:] == [(due_us, "disarm", "n2"), (due_us, "kill", {"n2": 0}), (due_us + 5, "start", "n2")]


def test_a_node_killed_before_its_failpoint_is_killed_only_once() -> None:
    late = fault("f1", 10, Kill(["n2"], [5], failpoint="before_answer"))
    stage = Stage().play(late, fault("f2", 20, Kill(["n2"], [2_000_000])), end_us=1_000_000)
    assert stage.seen("f1") == (False, "killed nothing, new incarnation of none", "f2")
    assert stage.seen("f2") == (True, "killed n2, new incarnation of n2", "")


def test_the_next_fault_on_a_leader_that_waits_for_its_failpoint_is_meant_for_its_successor() -> None:
    """A node that is about to die is not isolated by a cut: nobody would ever miss it."""
    stage = Stage(leader="n2")
    stage.at(70, lambda: stage.world.armed["n2"].set())
    stage.at(90_000, lambda: stage.view.status("n3", "leader", 2))
    dying = fault("f1", 10, Kill(["n2"], [500_000], failpoint="mid_send"))
    stage.play(dying, fault("f2", 20, Pause(["leader"]), 100))
    assert stage.injected("f2").leader == "n3" and stage.injected("f2").targets == ("n3",)
    assert stage.injected("f2").t_us >= 90_000


def test_a_node_that_came_back_from_its_failpoint_leads_again() -> None:
    stage = Stage(leader="n2")
    stage.at(70, lambda: stage.world.armed["n2"].set())
    dying = fault("f1", 10, Kill(["n2"], [500], failpoint="mid_send"))
    stage.play(dying, fault("f2", 600, Pause(["leader"]), 100))
    assert stage.injected("f2").t_us == 600 and stage.injected("f2").targets == ("n2",)


def test_a_kill_comes_at_once_in_a_world_without_failpoints() -> None:
    stage = Stage(poor=True).play(fault("f1", 10, Kill(["n2"], [5], failpoint="mid_send")))
    assert stage.asked("kill") == [(10, "kill", {"n2": 0})] and stage.healed().t_us == 15


# ---- pause -------------------------------------------------------------------------------------------------------


def test_the_description_of_a_pause() -> None:
    stage = Stage().play(fault("f1", 10, Pause(["n1", "n2"]), 100))
    assert stage.injected().detail == "pause n1 n2"
    assert stage.seen() == (True, "seen stopped: n1 n2", "")
    assert stage.world.asked == [
        (10, "pause", "n1"),
        (10, "pause", "n2"),
        (110, "resume", "n1"),
        (110, "resume", "n2"),
    ]


def test_a_pause_is_effective_only_if_all_its_nodes_stopped() -> None:
    stage = Stage()
    stage.world.states["n1"] = "down"
    assert stage.play(fault("f1", 10, Pause(["n1", "n2"]), 100)).seen() == (False, "seen stopped: n2", "")
    stage = Stage()
    stage.world.states["n1"] = "down"
    assert stage.play(fault("f1", 10, Pause(["n1"]), 100)).seen() == (False, "seen stopped: none", "")


@pytest.mark.parametrize(("second_us", "goes_on_us"), [((50, 150), 200), ((50, 20), 110)], ids=["across", "within"])
def test_a_node_paused_by_two_faults_resumes_when_both_have_ended(second_us: tuple[int, int], goes_on_us: int) -> None:
    stage = Stage().play(fault("f1", 10, Pause(["n1"]), 100), fault("f2", second_us[0], Pause(["n1"]), second_us[1]))
    assert stage.asked("resume") == [(goes_on_us, "resume", "n1")]
    assert stage.seen("f1") == stage.seen("f2") == (True, "seen stopped: n1", "")


def test_a_pause_stops_a_node_that_restarted_during_another_pause() -> None:
    pauses = fault("f1", 10, Pause(["n1"]), 200), fault("f3", 50, Pause(["n1"]), 100)
    stage = Stage()
    states: list[str] = []
    for at_us in (30, 45, 51, 151, 211):
        stage.at(at_us, lambda: states.append(stage.world.states["n1"]))
    stage.play(*pauses, fault("f2", 20, Kill(["n1"], [20])))
    assert states == ["down", "up", "paused", "paused", "up"]
    assert stage.seen("f3") == (True, "seen stopped: n1", "")
