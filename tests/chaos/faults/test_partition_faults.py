"""Partitions and clogs over a scripted world."""

from __future__ import annotations

from builders.schedules import ISOLATED, fault
from builders.scripted_world import Stage
from raft_chaos.chaos.faults.grudge import Grudge
from raft_chaos.chaos.faults.links import TRAFFIC, LinkState
from raft_chaos.chaos.faults.partition import Clog, Partition

CUT, CLOGGED, FREE = LinkState(cut=True), LinkState(clogged=True), LinkState()
N3_ALONE: Grudge = {"n1": ["n3"], "n2": ["n3"], "n3": ["n2", "n1"]}

# ---- partition ---------------------------------------------------------------------------------------------------


def test_the_description_of_a_partition() -> None:
    stage = Stage()
    stage.count(50, ("n3", "n2"), "cut", 4)
    stage.count(50, ("n1", "n3"), "cut", 2)
    stage.count(50, ("n1", "n2"), "cut", 9)  # no link of its own
    stage.count(5, ("n1", "n3"), "cut", 7)  # before it
    stage.count(200, ("n1", "n3"), "cut", 7)  # after it
    stage.play(fault("f1", 10, Partition("one", N3_ALONE), 100))
    assert stage.injected().detail == "one: n1 does not hear n3, n2 does not hear n3, n3 does not hear n1 n2"
    assert stage.injected().targets == ("n1", "n2", "n3")
    assert stage.seen() == (True, "6 frames held back", "")
    links = [("n1", "n3"), ("n2", "n3"), ("n3", "n1"), ("n3", "n2")]
    assert stage.world.asked == [
        (10, "set_links", dict.fromkeys(links, CUT)),
        (110, "set_links", dict.fromkeys(links, FREE)),
    ]


def test_a_cut_counts_what_the_network_carries() -> None:
    stage = Stage()
    stage.world.traffic = TRAFFIC["messages"]
    stage.count(50, ("n3", "n2"), "cut", 4)
    stage.count(50, ("n1", "n3"), "cut", 2)
    stage.play(fault("f1", 10, Partition("one", N3_ALONE), 100))
    assert stage.seen() == (True, "6 messages held back", "")


def test_a_cut_must_hold_back_frames_in_each_direction() -> None:
    """The one direction is from n3 to those that it cannot reach, the other from these to n3."""
    stage = Stage()
    stage.count(50, ("n1", "n3"), "cut", 2)
    stage.count(60, ("n3", "n2"), "forwarded", 1)
    stage.play(fault("f1", 10, Partition("one", N3_ALONE), 100))
    assert stage.seen() == (False, "2 frames held back, none n3 > n1 n2", "")
    stage = Stage().play(fault("f1", 10, Partition("one", N3_ALONE), 100))
    assert stage.seen() == (False, "0 frames held back, none n3 > n1 n2; n1 n2 > n3", "")


def test_a_direction_in_which_nothing_was_sent_may_be_silent() -> None:
    """Without a leader, followers send nothing; but a cut that held nothing at all back had no effect."""
    stage = Stage()
    stage.count(50, ("n1", "n3"), "cut", 2)
    stage.count(200, ("n3", "n2"), "forwarded", 1)
    stage.play(fault("f1", 10, Partition("one", N3_ALONE), 100))
    assert stage.seen() == (True, "2 frames held back, none n3 > n1 n2", "")


def test_without_heartbeats_who_is_not_heard_has_nothing_to_answer() -> None:
    """So one of two opposite directions may be silent, but not both, and not the only one."""
    stage = Stage()
    stage.world.heartbeats = False
    stage.count(50, ("n1", "n3"), "cut", 2)
    stage.play(fault("f1", 10, Partition("one", N3_ALONE), 100))
    assert stage.seen() == (True, "2 frames held back, none n3 > n1 n2", "")
    for shape in (N3_ALONE, {"n1": ["n3"], "n2": ["n3"]}):
        stage = Stage()
        stage.world.heartbeats = False
        stage.play(fault("f1", 10, Partition("one", shape), 100))
        assert stage.seen()[0] is False


def test_a_cut_between_followers_has_nothing_to_act_on_while_they_send_each_other_nothing() -> None:
    """Unless the leader was at one of its ends, or nothing passed anywhere."""
    nothing = "nothing was sent there, while frames passed elsewhere"
    apart: Grudge = {"n1": ["n3"], "n3": ["n1"]}
    for leader, elsewhere, excuse in ((None, 3, nothing), ("n1", 3, ""), (None, 0, "")):
        stage = Stage(leader=leader)
        stage.count(50, ("n2", "n1"), "forwarded", elsewhere)
        stage.play(fault("f1", 10, Partition("majorities_ring", apart), 100))
        assert stage.seen() == (False, "0 frames held back, none n3 > n1; n1 > n3", excuse)
    stage = Stage(leader=None)
    stage.count(50, ("n2", "n1"), "forwarded", 3)
    stage.count(50, ("n1", "n3"), "forwarded", 1)  # this the cut should have held back
    stage.play(fault("f1", 10, Partition("majorities_ring", apart), 100))
    assert stage.seen()[::2] == (False, "")


def test_a_cut_of_a_node_that_is_no_member_has_nothing_to_act_on() -> None:
    stage = Stage(members=["n1", "n2"]).play(fault("f1", 10, Partition("one", N3_ALONE), 100))
    assert stage.seen() == (
        False,
        "0 frames held back, none n3 > n1 n2; n1 n2 > n3",
        "no members of the cluster: n3",
    )
    stage = Stage(members=["n1", "n2"])
    stage.commit_members(50, "n1", "n2", "n3")
    stage.play(fault("f1", 10, Partition("one", N3_ALONE), 100))
    assert stage.seen()[::2] == (False, ""), "a member for a part of the time is one"


def test_directions_of_nodes_that_are_no_members_may_be_silent_beside_others() -> None:
    each_alone = {"n1": ["n2", "n3"], "n2": ["n1", "n3"], "n3": ["n1", "n2"]}
    for held, is_effective in ((["n1", "n2"], True), (["n1"], False)):
        stage = Stage(members=["n1", "n2"])
        for sender in held:
            stage.count(50, (sender, "n2" if sender == "n1" else "n1"), "cut", 2)
        stage.count(60, ("n2", "n1"), "lost", 1)
        stage.play(fault("f1", 10, Partition("majority", each_alone), 100))
        assert stage.seen()[::2] == (is_effective, "")


def test_a_partition_cuts_off_the_leader_of_that_moment() -> None:
    stage = Stage(leader="n2").play(fault("f1", 10, Partition("isolate_leader", ISOLATED), 100))
    assert stage.injected().detail == "isolate_leader: n1 does not hear n2, n2 does not hear n1 n3, n3 does not hear n2"


def test_a_link_cut_by_two_faults_stays_cut_until_both_have_ended() -> None:
    one = Partition("one_way", {"n2": ["n1"], "n3": ["n1"]})
    other = Partition("one_way", {"n1": ["n2"], "n2": ["n1"]})
    stage = Stage().play(fault("f1", 10, one, 100), fault("f2", 50, other, 100))
    assert stage.asked("set_links") == [
        (10, "set_links", {("n1", "n2"): CUT, ("n1", "n3"): CUT}),
        (50, "set_links", {("n2", "n1"): CUT}),
        (110, "set_links", {("n1", "n3"): FREE}),
        (150, "set_links", {("n1", "n2"): FREE, ("n2", "n1"): FREE}),
    ]


# ---- clog --------------------------------------------------------------------------------------------------------


def test_the_description_of_a_clog() -> None:
    stage = Stage()
    stage.count(50, ("n2", "n1"), "clogged", 3)
    stage.count(50, ("n3", "n2"), "clogged", 9)  # another link
    stage.play(fault("f1", 10, Clog({"n1": ["n2", "n3"]}), 100))
    assert stage.injected().detail == "clog: n1 waits for n2 n3"
    assert stage.seen() == (True, "3 frames held and let go at once", "")
    links = [("n2", "n1"), ("n3", "n1")]
    assert stage.world.asked == [
        (10, "set_links", dict.fromkeys(links, CLOGGED)),
        (110, "set_links", dict.fromkeys(links, FREE)),
    ]


def test_a_clog_of_a_link_on_which_nothing_was_sent_is_excused() -> None:
    stage = Stage().play(fault("f1", 10, Clog({"n1": ["n2"]}), 100))
    assert stage.seen() == (False, "0 frames held and let go at once", "nothing was sent")


def test_a_clog_that_held_nothing_of_what_was_sent_is_not_excused() -> None:
    stage = Stage()
    stage.count(50, ("n2", "n1"), "forwarded", 4)
    stage.play(fault("f1", 10, Clog({"n1": ["n2"]}), 100))
    assert stage.seen() == (False, "0 frames held and let go at once", "")


def test_a_link_clogged_by_two_faults_is_released_when_both_have_ended() -> None:
    stage = Stage().play(
        fault("f1", 10, Clog({"n1": ["n2"]}), 100), fault("f2", 50, Clog({"n1": ["n2"], "n3": ["n2"]}), 30)
    )
    assert stage.asked("set_links") == [
        (10, "set_links", {("n2", "n1"): CLOGGED}),
        (50, "set_links", {("n2", "n3"): CLOGGED}),
        (80, "set_links", {("n2", "n3"): FREE}),
        (110, "set_links", {("n2", "n1"): FREE}),
    ]


def test_a_cut_and_a_clog_of_one_link_are_both_in_force() -> None:
    stage = Stage().play(
        fault("f1", 10, Clog({"n1": ["n2"]}), 100), fault("f2", 50, Partition("one_way", {"n1": ["n2"]}), 20)
    )
    assert [states["n2", "n1"] for _, _, states in stage.asked("set_links")] == [
        CLOGGED,
        LinkState(cut=True, clogged=True),
        CLOGGED,
        FREE,
    ]
