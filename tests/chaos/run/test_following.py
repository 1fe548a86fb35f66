"""Faults that follow others, and the roles that nodes have when a fault fires."""

from __future__ import annotations

import pytest

from builders.schedules import fault
from builders.scripted_world import NODES, Stage
from raft_chaos.chaos.faults.partition import Partition
from raft_chaos.chaos.faults.pause import Pause
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.run.cluster_view import ClusterView
from raft_chaos.chaos.schedule.check import check_schedule
from raft_chaos.chaos.schedule.data import Fault, Header, Schedule, ScheduleError, When
from raft_chaos.chaos.schedule.follow import without_orphans
from raft_chaos.chaos.shrink.candidates import when_candidates
from raft_chaos.invariants.events import AnyEvent, CommitAdvanced, EntryAppended, LogTruncated, VoteGranted

# ---- when -----------------------------------------------------------------------------------------------------------


def struck_us(stage: Stage, name: str) -> int:
    return stage.injected(name).t_us


def test_a_fault_fires_a_time_after_the_one_that_it_follows() -> None:
    first, then = fault("f1", 100, Pause(["n1"]), 50), fault("f2", When(since="f1", after_us=70), Pause(["n3"]), 50)
    stage = Stage().play(then, first)
    assert (struck_us(stage, "f1"), struck_us(stage, "f2")) == (100, 170)


def test_events_count_since_the_fault_that_is_followed() -> None:
    stage = Stage()  # n2 leads: the first leader of the run
    stage.at(50, lambda: stage.view.status("n1", "leader", 2))
    stage.at(200, lambda: stage.view.status("n3", "leader", 3))
    stage.at(300, lambda: stage.view.status("n2", "leader", 4))
    second = When(on="leader_elected", since="f1", nth=2, after_us=5)
    stage.play(fault("f1", 100, Pause(["n1"]), 50), fault("f2", second, Pause(["n3"]), 50))
    assert struck_us(stage, "f2") == 305


def test_the_commit_of_a_leader_counts_with_that_leader() -> None:
    stage = Stage()
    stage.at(150, lambda: stage.view.status("n3", "leader", 2))
    stage.at(200, lambda: stage.view.observe(CommitAdvanced(node="n2", inc=1, t_us=200, index=1, term=1)))
    stage.at(250, lambda: stage.view.observe(CommitAdvanced(node="n3", inc=1, t_us=250, index=2, term=2)))
    committed = When(on="leader_committed", since="f1")
    stage.play(fault("f1", 100, Pause(["n1"]), 50), fault("f2", committed, Pause(["n1"]), 50))
    assert struck_us(stage, "f2") == 250, "the leader from before the fault does not count"


def test_a_fault_never_fires_if_the_one_that_it_follows_does_not() -> None:
    stage = Stage(leader=None).play(
        fault("f1", 100, Pause(["leader"]), 50), fault("f2", When(since="f1"), Pause(["n1"]), 50)
    )
    assert not stage.events


def test_a_fault_may_hit_the_node_that_led_when_an_earlier_one_struck() -> None:
    stage = Stage()
    stage.at(200, lambda: stage.view.status("n3", "leader", 2))
    isolated = Partition("isolate_leader", {"leader": ["others"], "others": ["leader"]})
    back = fault("f2", When(on="leader_elected", since="f1"), Pause(["others@f1"]), 50)
    stage.play(fault("f1", 100, isolated, 50), back)
    assert stage.injected("f2").targets == ("n1", "n3") and stage.injected("f2").leader == "n3"


# ---- who ------------------------------------------------------------------------------------------------------------


def view_of(*events: AnyEvent, leader: str = "n1", term: int = 2) -> ClusterView:
    view = ClusterView(NODES, lambda event, number, reporter: None)
    for node in NODES:
        view.status(node, "leader" if node == leader else "follower", term)
    for event in events:
        view.observe(event)
    return view


def appended(node: str, index: int, term: int) -> AnyEvent:
    return EntryAppended(node=node, inc=1, t_us=0, index=index, term=term, digest="")


def test_the_holder_has_the_leader_s_last_entry_and_the_lacker_has_not() -> None:
    view = view_of(appended("n1", 1, 2), appended("n3", 1, 2), appended("n2", 1, 1))
    roles = view.roles("n1")
    assert (roles["holder"], roles["lacker"]) == (["n3"], ["n2"])
    view.observe(LogTruncated(node="n3", inc=1, t_us=0, from_index=1))
    assert "holder" not in view.roles("n1")


def test_the_newest_uncommitted_entry_has_a_holder_until_it_is_committed() -> None:
    view = view_of(appended("n1", 1, 2), appended("n1", 2, 2), appended("n2", 2, 3), appended("n3", 1, 2))
    assert view.roles(None) == {"newest": ["n2"]}
    view.gone("n2")
    assert view.roles(None) == {"newest": ["n1"]}, "among those that are up"
    view.observe(CommitAdvanced(node="n1", inc=1, t_us=0, index=2, term=2))
    assert view.roles(None) == {}


def test_the_dissenter_voted_for_the_loser_of_the_same_term() -> None:
    def vote(node: str, term: int, candidate: str) -> AnyEvent:
        return VoteGranted(node=node, inc=1, t_us=0, term=term, candidate=candidate)

    assert "dissenter" not in view_of(vote("n2", 1, "n2"), vote("n3", 2, "n1")).roles("n1")
    assert view_of(vote("n2", 2, "n2"), vote("n3", 2, "n1")).roles("n1")["dissenter"] == ["n2"]


# ---- as data --------------------------------------------------------------------------------------------------------

FOLLOWING = [
    Fault(id="f1", when=When(at_us=0), action=Pause(["leader"]), duration_us=1),
    Fault(id="f2", when=When(since="f1"), action=Pause(["n1"]), duration_us=1),
    Fault(id="f3", when=When(on="log_truncated", since="f2"), action=Kill(["pivot@f1"], [0]), duration_us=0),
]


def schedule(faults: list[Fault]) -> Schedule:
    header = Header(seed=1, nodes=NODES, clients=["c0"], safety_from_us=0, safety_until_us=9, liveness_for_us=0)
    return Schedule(header, faults, [])


def test_a_fault_follows_only_an_earlier_one() -> None:
    check_schedule(schedule(FOLLOWING))
    for wrong in (FOLLOWING[1:], [FOLLOWING[1], FOLLOWING[0]]):
        with pytest.raises(ScheduleError, match="f2: it follows 'f1', and no earlier fault has this id"):
            check_schedule(schedule(wrong))
    with pytest.raises(ScheduleError, match=r"f3: action\.nodes: 'near@f1' is unknown"):
        check_schedule(schedule([FOLLOWING[0], fault("f3", 0, Kill(["near@f1"], [0]))]))


def test_faults_without_the_one_that_they_follow_go_with_it() -> None:
    first, second, third = FOLLOWING
    assert without_orphans(FOLLOWING) == FOLLOWING
    assert without_orphans([second, third]) == []
    assert without_orphans([first, third]) == [first]


def test_a_smaller_schedule_may_do_without_the_fault_that_an_anchor_follows() -> None:
    assert list(when_candidates(When(on="log_truncated", since="f2"))) == [When(on="log_truncated")]
    assert list(when_candidates(When(since="f2", after_us=3_000))) == [
        When(since="f2"),
        When(since="f2", after_us=1_000),
    ]
