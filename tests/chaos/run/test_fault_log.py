"""The fault book: what is reported of a fault, what excuses one without effect, and the words for each kind."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from raft_chaos.chaos.faults.action import Action
from raft_chaos.chaos.faults.clock import Clock
from raft_chaos.chaos.faults.disk import SlowSync
from raft_chaos.chaos.faults.grudge import Grudge
from raft_chaos.chaos.faults.network import Network
from raft_chaos.chaos.faults.partition import Clog, Partition
from raft_chaos.chaos.faults.process import Kill, Pause
from raft_chaos.chaos.run import fault_log
from raft_chaos.chaos.run.fault_log import FaultBook, Seen, Span
from raft_chaos.chaos.schedule.data import Fault, When
from raft_chaos.invariants.events import HARNESS, FaultHealed, FaultInjected, HarnessEvent

NODES = ["n1", "n2", "n3"]
DONE, IDLE = Seen(True, "it worked"), Seen(False, "nothing was seen")
CUT_OFF: Grudge = {"leader": ["others"], "others": ["leader"]}


class World:
    """Virtual time that a test sets, and what the book reported."""

    def __init__(self) -> None:
        self.now_us = 0
        self.events: list[HarnessEvent] = []
        self.book = FaultBook(NODES, lambda: self.now_us, self.events.append)

    def begin(self, name: str, at_us: int, action: Action, *nodes: str, leader: str | None = None) -> Span:
        """The fault, which is to last 100 µs, hits the nodes."""
        self.now_us = at_us
        fault = Fault(id=name, when=When(at_us=at_us), action=action, duration_us=100)
        span = self.book.begin(fault, nodes, leader)
        self.book.injected(span, f"what {name} does")
        return span

    def heal(self, span: Span, at_us: int, seen: Seen = IDLE) -> FaultHealed:
        self.now_us = at_us
        self.book.healed(span, seen)
        told = self.events[-1]
        assert isinstance(told, FaultHealed)
        return told


@pytest.fixture
def world() -> World:
    return World()


# ---- what is reported ---------------------------------------------------------------------------------------------


def test_a_fault_is_reported_when_it_is_in_force_and_when_it_is_over(world: World) -> None:
    fault = Fault(id="f1", when=When(at_us=1), action=Kill(["leader", "n3"], [5, 5]), duration_us=0)
    world.now_us = 10
    span = world.book.begin(fault, ["n2", "n3"], "n2")
    assert world.events == []
    world.now_us = 12
    world.book.injected(span, "kill n2 n3", ["n2"])
    world.heal(span, 20, DONE)
    assert world.events == [
        FaultInjected(
            node=HARNESS,
            inc=1,
            t_us=12,
            fault="f1",
            type="kill",
            targets=("n2",),
            detail="kill n2 n3",
            leader="n2",
        ),
        FaultHealed(node=HARNESS, inc=1, t_us=20, fault="f1", type="kill", effective=True, effect="it worked"),
    ]


def test_what_is_in_force_is_told_until_it_is_over(world: World) -> None:
    first, second = world.begin("f1", 1, Pause(["n1"]), "n1"), world.begin("f2", 2, Pause(["n2"]), "n2")
    assert world.book.current == {"f1": "what f1 does", "f2": "what f2 does"}
    world.heal(first, 3)
    assert world.book.current == {"f2": "what f2 does"}
    world.heal(second, 4)
    assert world.book.current == {}


@pytest.mark.parametrize(
    ("action", "touches"),
    [
        (Kill(["n1"], [0]), True),
        (Pause(["n1"]), True),
        (Partition("one", {"n1": ["n2"]}), True),
        (SlowSync(["n1"], 0, 9), False),
        (Network(["n1"], loss=0.5), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_only_what_stops_a_node_or_cuts_it_off_touches_it(world: World, action: Action, touches: bool) -> None:
    span = world.begin("f1", 1, action, "n1")
    assert world.book.touched == (["n1"] if touches else [])
    world.heal(span, 2, DONE)
    assert world.book.touched == (["n1"] if touches else [])


def test_touched_nodes_are_those_that_were_hit_in_the_order_of_the_cluster(world: World) -> None:
    world.begin("f1", 1, Pause(["n3"]), "n3")
    fault = Fault(id="f2", when=When(at_us=2), action=Kill(["n2", "n1"], [0, 0]), duration_us=0)
    world.book.injected(world.book.begin(fault, ["n2", "n1"], None), "kill n2 n1", ["n1"])
    assert world.book.touched == ["n1", "n3"]


def test_a_leader_is_isolated_while_the_fault_that_isolates_it_lasts(world: World) -> None:
    isolating = world.begin("f1", 1, Partition("isolate_leader", CUT_OFF), *NODES, leader="n2")
    other = world.begin("f2", 2, Partition("one", {"n3": ["n1", "n2"]}), *NODES, leader="n1")
    assert [node for node in NODES if world.book.isolates(node)] == ["n2"]
    world.heal(other, 3)
    assert world.book.isolates("n2")
    world.heal(isolating, 4)
    assert not world.book.isolates("n2")


# ---- what excuses a fault without effect --------------------------------------------------------------------------


def test_a_fault_without_effect_that_had_its_time_and_its_nodes_to_itself_has_no_excuse(world: World) -> None:
    healed = world.heal(world.begin("f1", 0, Pause(["n1"]), "n1"), 100)
    assert (healed.effective, healed.effect, healed.moot) == (False, "nothing was seen", "")


def test_a_fault_with_effect_needs_no_excuse(world: World) -> None:
    world.begin("f1", 0, Kill(["n1"], [0]), "n1")
    assert world.heal(world.begin("f2", 5, Pause(["n1"]), "n1"), 10, DONE).moot == ""


@pytest.mark.parametrize(
    ("other_us", "nodes", "moot"),
    [
        ((0, 400), ["n1"], "f1"),
        ((0, 200), ["n1"], "f1"),
        ((300, 400), ["n1"], "f1"),
        ((250, 260), ["n1"], "f1"),
        ((250, None), ["n3", "n1"], "f1"),
        ((0, 199), ["n1"], ""),
        ((301, 400), ["n1"], ""),
        ((0, 400), ["n2", "n3"], ""),
        ((250, None), ["n2"], ""),
    ],
    ids=[
        "around it",
        "until it began",
        "since it ended",
        "within it",
        "still in force",
        "over before",
        "begun after",
        "on other nodes",
        "still in force on another",
    ],
)
def test_another_fault_on_one_of_its_nodes_at_the_same_time_is_its_excuse(
    world: World, other_us: tuple[int, int | None], nodes: list[str], moot: str
) -> None:
    """The fault in question hits n1 from 200 to 300. Its excuse is asked for when it is healed, so one that begins
    after that is no more than a span that does not meet it."""
    begin_us, end_us = other_us
    moments = [(begin_us, 0, "begin"), (200, 1, "it begins"), (300, 3, "it ends")]
    moments += [] if end_us is None else [(end_us, 2, "end")]
    excuse: str | None = None
    for at_us, _, what in sorted(moments):
        if what == "begin":
            other = world.begin("f1", at_us, Kill(nodes, [0] * len(nodes)), *nodes)
        elif what == "end":
            world.heal(other, at_us, DONE)
        elif what == "it begins":
            span = world.begin("f2", at_us, Network(["n1"], loss=0.5), "n1")
        else:
            excuse = world.heal(span, at_us).moot
    assert excuse == moot


def test_all_faults_that_excuse_it_are_named_in_the_order_in_which_they_began(world: World) -> None:
    world.begin("f3", 0, Kill(["n1"], [0]), "n1")
    world.begin("f1", 1, Pause(["n2"]), "n2")
    span = world.begin("f2", 2, Partition("one", {"n1": ["n2"]}), "n1", "n2")
    assert world.heal(span, 102).moot == "f3 f1"


def test_a_fault_that_was_cut_short_is_excused_if_no_other_excuses_it(world: World) -> None:
    span = world.begin("f1", 0, Pause(["n1"]), "n1")
    assert world.heal(span, 99).moot == "end of the safety phase"
    world.begin("f2", 200, Kill(["n1"], [0]), "n1")
    assert world.heal(world.begin("f3", 210, Pause(["n1"]), "n1"), 220).moot == "f2"


# ---- whom a fault means -------------------------------------------------------------------------------------------


def test_names_stand_for_nodes_each_only_once(world: World) -> None:
    named = world.book.named
    assert named(["n3", "leader"], "n1") == ["n3", "n1"]
    assert named(["leader", "n1"], "n1") == ["n1"]
    assert named(["others"], "n2") == ["n1", "n3"]
    assert named(["n3", "others"], "n2") == ["n3", "n1"]
    assert named(["others", "leader"], "n2") == ["n1", "n3", "n2"]


@pytest.mark.parametrize(
    ("action", "needs"),
    [
        (Kill(["leader", "n1"], [0, 0]), True),
        (Kill(["n1", "voter"], [0, 0]), False),
        (Pause(["others"]), True),
        (Pause(["n1"]), False),
        (Network(["n1", "leader"], loss=0.1), True),
        (Partition("isolate_leader", CUT_OFF), True),
        (Partition("one_way", {"n1": ["leader"]}), True),
        (Partition("one", {"n1": ["n2", "n3"]}), False),
    ],
)
def test_a_fault_waits_for_a_leader_only_if_it_names_one(world: World, action: Action, needs: bool) -> None:
    assert world.book.must_wait(action, None) is needs


@pytest.mark.parametrize("make", [lambda grudge: Partition("bridge", grudge), Clog])
def test_a_cut_waits_while_it_leaves_the_leader_s_links_alone(world: World, make: Callable[..., Action]) -> None:
    action = make({"n2": ["n3"], "n3": ["n2"]})
    assert world.book.must_wait(action, "n1")
    assert not world.book.must_wait(action, "n2")
    assert not world.book.must_wait(action, None)


# ---- the words ----------------------------------------------------------------------------------------------------


def test_the_words_for_a_kill() -> None:
    assert fault_log.killing(["n2", "n1"]) == "kill n2 n1"
    assert fault_log.killed(["n2", "n1"], ["n2", "n1"]) == Seen(True, "killed n2 n1, new incarnation of n2 n1")
    assert fault_log.killed(["n2", "n1"], ["n1"]) == Seen(False, "killed n2 n1, new incarnation of n1")
    assert fault_log.killed([], []) == Seen(False, "killed nothing, new incarnation of none")


def test_the_words_for_a_pause() -> None:
    assert fault_log.pausing(["n1", "n2"]) == "pause n1 n2"
    assert fault_log.paused(["n1", "n2"], ["n1", "n2"]) == Seen(True, "seen stopped: n1 n2")
    assert fault_log.paused(["n1", "n2"], ["n2"]) == Seen(False, "seen stopped: n2")
    assert fault_log.paused(["n1"], []) == Seen(False, "seen stopped: none")


def test_the_words_for_slow_syncs() -> None:
    assert fault_log.slowing(["n1"], SlowSync(["n1"], 500, 20_000)) == "syncs of n1 take 0.5 to 20 ms longer"
    assert fault_log.slowed(3) == Seen(True, "3 syncs slowed")
    assert fault_log.slowed(0) == Seen(False, "0 syncs slowed")


def test_the_words_for_a_partition() -> None:
    grudge = {"n1": ["n3"], "n2": ["n3"], "n3": ["n1", "n2"]}
    assert fault_log.cutting("one", grudge) == "one: n1 hears not n3, n2 hears not n3, n3 hears not n1 n2"
    held = {("n3", "n1"): 0, ("n3", "n2"): 4, ("n1", "n3"): 2, ("n2", "n3"): 0}
    assert fault_log.cut(grudge, held) == Seen(True, "6 frames held back")


def test_a_cut_must_show_in_each_direction() -> None:
    """The one direction is from n3 to those that it cannot reach, the other from these to n3."""
    grudge = {"n1": ["n3"], "n2": ["n3"], "n3": ["n2", "n1"]}
    held = {("n3", "n1"): 0, ("n3", "n2"): 0, ("n1", "n3"): 2, ("n2", "n3"): 0}
    assert fault_log.cut(grudge, held) == Seen(False, "2 frames held back, none n3 > n1 n2")
    nothing = dict.fromkeys(held, 0)
    assert fault_log.cut(grudge, nothing) == Seen(False, "0 frames held back, none n3 > n1 n2; n1 n2 > n3")


def test_the_words_for_a_bad_network() -> None:
    action = Network(["n1"], delay_min_us=500, delay_max_us=20_000, loss=0.05, duplicate=0.1, reorder=0.25)
    assert fault_log.degrading(["n1", "n2"], action) == (
        "n1 n2: delay 0.5 to 20 ms, loss 5%, duplicate 10%, reorder 25%"
    )
    assert fault_log.degrading(["n1"], Network(["n1"], delay_mean_us=1_500)) == (
        "n1: delay 0 to 0 ms and 1.5 ms more on average, loss 0%, duplicate 0%, reorder 0%"
    )
    assert fault_log.degraded(delayed=0, lost=2, duplicated=0, reordered=1) == Seen(
        True, "frames: 0 delayed, 2 lost, 0 duplicated, 1 reordered"
    )
    assert not fault_log.degraded(delayed=0, lost=0, duplicated=0, reordered=0).effective


def test_the_words_for_a_kill_at_a_failpoint() -> None:
    assert fault_log.killing(["n2"], "mid_send") == "kill n2, mid_send"


def test_the_words_for_a_clog() -> None:
    assert fault_log.clogging({"n1": ["n2", "n3"]}) == "clog: n1 waits for n2 n3"
    assert fault_log.clogged(3, 0) == Seen(True, "3 frames held and let go at once")
    assert fault_log.clogged(0, 0).excuse == "nothing was sent"
    assert fault_log.clogged(0, 4) == Seen(False, "0 frames held and let go at once"), "it let everything pass"


def test_the_words_for_a_reset() -> None:
    assert fault_log.resetting(["n1", "n2"]) == "reset the connections of n1 n2"
    assert fault_log.reset(1, 2, 5) == Seen(True, "frames in flight: 1 delivered, 2 lost")
    assert fault_log.reset(0, 0, 0).excuse == "nothing was sent"
    assert fault_log.reset(0, 0, 5) == Seen(False, "frames in flight: 0 delivered, 0 lost"), "it missed them"


def test_the_words_for_a_clock() -> None:
    bent = fault_log.bending(["n1"], Clock(["n1"], rate_ppm=-50_000, jump_us=2_500))
    assert bent == "clocks of n1 jump by 2.5 ms and gain -5 %"
    assert fault_log.bent(-1_500) == Seen(True, "gained -1.5 ms")
    assert not fault_log.bent(0).effective
