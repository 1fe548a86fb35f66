"""The fault log: the events about a fault, and the excuses of a fault without effect."""

from __future__ import annotations

import pytest

from raft_chaos.chaos.faults.action import Action
from raft_chaos.chaos.faults.clock import Clock
from raft_chaos.chaos.faults.disk import SlowSync
from raft_chaos.chaos.faults.grudge import Grudge
from raft_chaos.chaos.faults.network import Network, Reset
from raft_chaos.chaos.faults.partition import Clog, Partition
from raft_chaos.chaos.faults.pause import Pause
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.faults.rolling_restart import RollingRestart
from raft_chaos.chaos.faults.strike import Effect
from raft_chaos.chaos.run.fault_log import FaultLog, Span
from raft_chaos.chaos.schedule.data import Fault, When
from raft_chaos.invariants.events import HARNESS, FaultHealed, FaultInjected, HarnessEvent

NODES = ["n1", "n2", "n3"]
DONE, IDLE = Effect(True, "it worked"), Effect(False, "nothing was seen")
CUT_OFF: Grudge = {"leader": ["others"], "others": ["leader"]}


class World:
    """Virtual time that a test sets, and what the log reported."""

    def __init__(self) -> None:
        self.now_us = 0
        self.events: list[HarnessEvent] = []
        self.log = FaultLog(NODES, lambda: self.now_us, self.events.append)

    def begin(self, name: str, at_us: int, action: Action, *nodes: str, leader: str | None = None) -> Span:
        """The fault, which is to last 100 µs, hits the nodes."""
        self.now_us = at_us
        fault = Fault(id=name, when=When(at_us=at_us), action=action, duration_us=100)
        span = self.log.begin(fault, nodes, leader)
        self.log.injected(span, f"what {name} does")
        return span

    def heal(self, span: Span, at_us: int, seen: Effect = IDLE, *, is_over: bool = False) -> FaultHealed:
        self.now_us = at_us
        self.log.healed(span, seen, is_over=is_over)
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
    span = world.log.begin(fault, ["n2", "n3"], "n2")
    assert world.events == []
    world.now_us = 12
    world.log.injected(span, "kill n2 n3", ["n2"])
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


def test_the_log_lists_each_fault_while_it_is_in_force(world: World) -> None:
    first, second = world.begin("f1", 1, Pause(["n1"]), "n1"), world.begin("f2", 2, Pause(["n2"]), "n2")
    assert world.log.current == {"f1": "what f1 does", "f2": "what f2 does"}
    world.heal(first, 3)
    assert world.log.current == {"f2": "what f2 does"}
    world.heal(second, 4)
    assert world.log.current == {}


@pytest.mark.parametrize(
    ("action", "touches"),
    [
        (Kill(["n1"], [0]), True),
        (Pause(["n1"]), True),
        (Partition("one", {"n1": ["n2"]}), True),
        (SlowSync(["n1"], 0, 9), False),
        (Network(["n1"], loss=0.5), False),
        (Clog({"n1": ["n2"]}), False),
        (Reset(["n1"], 0.5), False),
        (Clock(["n1"], 0, 9), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_only_kills_pauses_and_cuts_touch_a_node(world: World, action: Action, touches: bool) -> None:
    span = world.begin("f1", 1, action, "n1")
    assert world.log.touched == (["n1"] if touches else [])
    world.heal(span, 2, DONE)
    assert world.log.touched == (["n1"] if touches else [])


def test_touched_nodes_are_listed_in_the_order_of_the_cluster(world: World) -> None:
    world.begin("f1", 1, Pause(["n3"]), "n3")
    fault = Fault(id="f2", when=When(at_us=2), action=Kill(["n2", "n1"], [0, 0]), duration_us=0)
    world.log.injected(world.log.begin(fault, ["n2", "n1"], None), "kill n2 n1", ["n1"])
    assert world.log.touched == ["n1", "n3"]


def test_a_leader_is_isolated_while_the_fault_that_isolates_it_lasts(world: World) -> None:
    isolating = world.begin("f1", 1, Partition("isolate_leader", CUT_OFF), *NODES, leader="n2")
    other = world.begin("f2", 2, Partition("one", {"n3": ["n1", "n2"]}), *NODES, leader="n1")
    assert [node for node in NODES if world.log.isolates(node)] == ["n2"]
    world.heal(other, 3)
    assert world.log.isolates("n2")
    world.heal(isolating, 4)
    assert not world.log.isolates("n2")


# ---- what excuses a fault without effect --------------------------------------------------------------------------


def test_a_fault_without_effect_and_without_other_faults_has_no_excuse(world: World) -> None:
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
def test_a_fault_without_effect_is_excused_by_another_on_the_same_node(
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


def test_a_fault_that_was_cut_short_is_excused_by_the_end_of_the_phase(world: World) -> None:
    span = world.begin("f1", 0, Pause(["n1"]), "n1")
    assert world.heal(span, 99, is_over=True).moot == "end of the safety phase"
    world.begin("f2", 200, Kill(["n1"], [0]), "n1")
    assert world.heal(world.begin("f3", 210, Pause(["n1"]), "n1"), 220, is_over=True).moot == "f2"


def test_a_fault_that_gave_up_before_the_end_of_the_phase_has_no_excuse(world: World) -> None:
    assert world.heal(world.begin("f1", 0, RollingRestart(["n1", "n2"], 0, 90), "n1", "n2"), 5).moot == ""
