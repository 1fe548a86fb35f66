"""Data that is damaged while a node is down: the node finds out, stays down, and owes nothing."""

from __future__ import annotations

import pytest

from builders.runs import of, virtual
from builders.schedules import TWO_LEADERS, fault, short
from builders.scripted_world import NODES, Stage
from raft_chaos.chaos.faults.action import nodes_of
from raft_chaos.chaos.faults.at_rest import BitFlip, LostFile, LostWrite, MisdirectedWrite, Truncation
from raft_chaos.chaos.faults.damage import AtRest, Damage
from raft_chaos.chaos.faults.membership import Membership
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.schedule.check import check_schedule
from raft_chaos.chaos.schedule.config import ScheduleConfig
from raft_chaos.chaos.schedule.data import ScheduleError
from raft_chaos.chaos.schedule.generate import generate
from raft_chaos.invariants.events import FaultHealed, NodeExited, PhaseStarted
from raft_chaos.raft.server.exit_codes import EXIT_REFUSED

KINDS: list[type[AtRest]] = [BitFlip, Truncation, LostWrite, MisdirectedWrite, LostFile]


def test_a_node_is_damaged_while_it_is_down() -> None:
    stage = Stage()
    stage.world.exit_codes["n2"] = EXIT_REFUSED
    stage.play(fault("f1", 10, BitFlip(["n2"], 300, 50)))
    assert stage.world.asked == [
        (10, "kill", {"n2": 1000}),
        (10, "damage", "n2", Damage("bit_flip", 300)),
        (60, "start", "n2"),
    ]
    assert stage.injected().detail == "n2: damaged"
    assert stage.seen() == (True, "n2 refused to start with exit code 78", "")


def test_a_damaged_node_that_starts_makes_the_fault_ineffective() -> None:
    assert Stage().play(fault("f1", 10, LostWrite(["n2"], 0, 5))).seen() == (False, "n2 started", "")


def test_where_nothing_can_be_damaged_the_fault_is_excused_and_the_node_comes_back() -> None:
    stage = Stage()
    stage.world.damages = ""
    stage.play(fault("f1", 10, Truncation(["n2"], 0, 5)))
    assert stage.seen() == (False, "nothing was damaged", "no data that a node would miss")
    assert stage.log.touched == ["n2"]


def test_no_node_is_damaged_whose_loss_would_leave_the_members_without_a_quorum() -> None:
    """Of three members one may be damaged; of the two that are left while another leaves, none. And the reverse."""
    for flip_us, leave_us, refused in ((50, 10, "f1"), (10, 50, "f2")):
        stage = Stage(leader="n2")
        stage.play(fault("f1", flip_us, BitFlip(["n3"], 300, 5)), fault("f2", leave_us, Membership(["n1"]), 300))
        why = {
            "f1": (False, "nothing was damaged", "the members that are left would have no quorum"),
            "f2": (False, "nobody left", "too many of those that would be left are damaged"),
        }
        assert stage.seen(refused) == why[refused]
        assert len(stage.asked("damage")) == (refused == "f2") and stage.injected(refused).targets in ((), ("n1",))
    stage = Stage(leader="n2", members=["n1", "n2"])
    stage.play(fault("f1", 10, BitFlip(["n3"], 300, 5)), fault("f2", 50, BitFlip(["n1"], 300, 5)))
    assert [what[2] for what in stage.asked("damage")] == ["n3"], "who is no member may be damaged"


def test_a_damaged_node_owes_nothing_and_excuses_every_later_fault_on_it() -> None:
    stage = Stage()
    stage.play(fault("f1", 10, BitFlip(["n2"], 300, 5)), fault("f2", 50, Kill(["n2"], [5])), end_us=100)
    assert stage.log.touched == []
    stage = Stage()
    stage.world.lost.add("n2")
    stage.play(fault("f1", 10, BitFlip(["n2"], 300, 5)), fault("f2", 50, Kill(["n2"], [5])), end_us=100)
    assert stage.seen("f2") == (False, "killed nothing, new incarnation of none", "f1")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("at_permille", [0, 400, 999])
def test_in_sim_the_node_refuses_to_start_and_the_run_is_valid(kind: type[AtRest], at_permille: int) -> None:
    kill = fault("f0", 380_000, Kill(["n3"], [0]))  # its second recovery makes its mark durable
    run = virtual(short(kill, *TWO_LEADERS, fault("f3", 700_000, kind(["n3"], at_permille, 1_000))))
    assert run.go().analysis.verdict == "valid"
    (exited,) = of(NodeExited, run.trace.harness_events)
    assert (exited.subject, exited.exit_code, exited.excused) == ("n3", EXIT_REFUSED, "damaged data")
    assert "Refusing to start" in exited.log_tail
    assert all("n3" not in phase.owed for phase in of(PhaseStarted, run.trace.harness_events))
    assert all(healed.effective or healed.moot for healed in of(FaultHealed, run.trace.harness_events))


def test_a_schedule_may_damage_less_than_a_quorum_in_all() -> None:
    check_schedule(short(fault("f1", 1, BitFlip(["n1"], 0, 0)), fault("f2", 2, LostFile(["n1"], 0, 0))))
    with pytest.raises(ScheduleError, match=r"faults damage n1 n2 for good, and no quorum of 3 nodes is left"):
        check_schedule(short(fault("f1", 1, BitFlip(["n1"], 0, 0)), fault("f2", 2, LostFile(["n2"], 0, 0))))


def test_a_schedule_says_which_nodes_it_damages() -> None:
    with pytest.raises(ScheduleError, match="'leader' is unknown"):
        check_schedule(short(fault("f1", 1, BitFlip(["leader"], 0, 0))))
    assert list(BitFlip(["n1"], 1001, -1).check(NODES)) == [
        "action.restart_after_us: expected 0 or more µs, got -1",
        "action.at_permille: expected 0 to 1000, got 1001",
    ]


def test_what_is_damaged_counts_as_down_until_the_end() -> None:
    """However long ago the fault was over that damaged a node: later ones leave a majority of all nodes."""
    kinds = ("bit_flip", "stop", "starve")
    config = ScheduleConfig(faults=kinds, nodes=7, duration_s=120, swarm=True, fault_interval_s=10, ops_per_second=0)
    seen = 0
    for seed in range(200):
        faults = generate(seed, config).faults
        damages = [one for one in faults if one.action.ends_nodes]
        for later in (one for one in faults if not one.action.ends_nodes):
            before = [one for one in damages if (one.when.at_us or 0) < (later.when.at_us or 0)]
            damaged = {node for one in before for node in nodes_of(one.action)}
            seen += bool(damaged)
            assert not damaged or len(damaged) + later.action.disturbed(7) <= 3, (seed, later)
            assert damaged.isdisjoint(nodes_of(later.action)), (seed, later)
    assert seen > 3


def test_its_fields_keep_their_order() -> None:
    """The checksum of a saved reproduction depends on it."""
    assert BitFlip.__struct_fields__ == ("nodes", "at_permille", "restart_after_us")
