"""Changes of the members as a fault: over a scripted world, in schedules, and in every world."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from builders.runs import in_lockstep, in_sim, of, virtual
from builders.schedules import fault, schedule, short
from builders.scripted_world import Stage
from raft_chaos.chaos.execution.merge import Merge
from raft_chaos.chaos.execution.player import Player
from raft_chaos.chaos.execution.recording import record
from raft_chaos.chaos.execution.steps import Submit
from raft_chaos.chaos.faults.catalogue import VIRTUAL_KINDS
from raft_chaos.chaos.faults.membership import ASK_US, RESTORE_US, RETRY_US, Membership
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.replay.node import replay_run
from raft_chaos.chaos.run.live.run import run_live
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.chaos.schedule.check import check_schedule
from raft_chaos.chaos.schedule.config import ScheduleConfig
from raft_chaos.chaos.schedule.data import Schedule
from raft_chaos.chaos.schedule.generate import generate
from raft_chaos.chaos.targets.raft import RaftTarget
from raft_chaos.invariants.events import FaultHealed
from raft_chaos.invariants.rundir import RunDir, RunInfo
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.state.features import Features
from raft_chaos.raft.state.timing import Timing

ALL = ("n1", "n2", "n3")


def during(stage: Stage, at_us: int) -> list[tuple[str, ...]]:
    """Who votes at that time, once the stage has played."""
    seen: list[tuple[str, ...]] = []
    stage.at(at_us, lambda: seen.append(stage.world.members.voters))
    return seen


# ---- alone -----------------------------------------------------------------------------------------------------------


def test_a_node_leaves_and_comes_back_as_a_learner_and_then_as_a_voter() -> None:
    stage = Stage(leader="n2")
    seen = during(stage, 200)
    stage.play(fault("f1", 10, Membership(["n3"]), 300))
    assert seen == [("n1", "n2")] and stage.world.members.voters == ALL
    changes = [what for _, _, _, what in stage.asked("change_members")]
    assert changes[:3] == ["remove n3", "add n3", "promote n3"]
    assert stage.asked("change_members")[1][0] == 310, "it comes back when the fault ends"
    assert (stage.injected().detail, stage.injected().targets) == ("remove n3 from the cluster", ("n3",))
    assert stage.seen() == (True, "n3 left, and vote again", "")


def test_the_leader_itself_may_leave() -> None:
    stage = Stage(leader="n2")
    seen = during(stage, 200)
    stage.at(100, lambda: setattr(stage.world, "leading", "n1"))
    stage.play(fault("f1", 10, Membership(["leader"]), 300))
    assert seen == [("n1", "n3")] and stage.world.members.voters == ALL
    assert stage.seen()[0]
    assert {node for _, _, node, what in stage.asked("change_members") if what == "promote n2"} == {"n1"}


def test_several_leave_together_or_one_after_the_other_where_it_must_be_so() -> None:
    together, singly = Stage(leader="n2"), Stage(leader="n2")
    singly.world.one_at_a_time = True
    for stage in (together, singly):
        seen = during(stage, 200)
        stage.play(fault("f1", 10, Membership(["n1", "n3"]), 300))
        assert seen == [("n2",)] and stage.world.members.voters == ALL and stage.seen()[0]
    changes = [what for _, _, _, what in together.asked("change_members")]
    assert changes[:3] == ["remove n1 n3", "add n1 n3", "promote n1 n3"]
    changes = [what for _, _, _, what in singly.asked("change_members")]
    assert changes[:4] == ["remove n1 n3", "remove n1", "remove n3", "add n1 n3"]


def test_whoever_is_asked_says_who_leads_and_a_promotion_is_asked_for_until_it_is_done() -> None:
    stage = Stage(leader="n2")
    stage.world.leading, stage.world.catching_up = "n1", 2
    stage.play(fault("f1", 10, Membership(["n3"]), 40_000))
    asked = stage.asked("change_members")
    assert asked[:2] == [
        (10, "change_members", "n2", "remove n3"),
        (10 + RETRY_US, "change_members", "n1", "remove n3"),
    ]
    assert [at - asked[3][0] for at, _, _, what in asked if what == "promote n3"][:3] == [0, RETRY_US, 2 * RETRY_US]
    assert stage.seen()[0]


def test_where_no_leader_removes_anybody_there_was_nothing_that_it_could_act_on() -> None:
    stage = Stage(leader="n2")
    stage.world.hanging.add("n2")
    stage.at(400, lambda: stage.world.hanging.clear())
    stage.play(fault("f1", 10, Membership(["n3"]), 300))
    assert stage.seen() == (False, "n3 did not leave, and vote again", "no leader removed anybody")


def test_a_leader_that_brings_nobody_back_is_no_excuse() -> None:
    stage = Stage(leader="n2")
    stage.at(200, lambda: setattr(stage.world, "leading", None))
    stage.play(fault("f1", 10, Membership(["n3"]), 300), end_us=2 * ASK_US)
    stage.scheduler.run_until(2 * ASK_US + 2 * RESTORE_US)
    assert stage.seen() == (False, "n3 left, and do not vote", "")


# ---- in schedules ----------------------------------------------------------------------------------------------------

FEATURES = ("check_quorum", "membership")
CAN = Features.of(FEATURES)


def with_members(plan: Schedule, features: Features = CAN) -> Schedule:
    return Schedule(replace(plan.header, features=features), plan.faults, plan.operations)


def test_only_seeds_with_the_feature_draw_it() -> None:
    def drawn(features: tuple[str, ...] | None) -> list[bool]:
        config = ScheduleConfig(swarm=True, nodes=0, faults=VIRTUAL_KINDS, ops_per_second=2, features=features)
        made = [generate(seed, config) for seed in range(25)]
        for one in made:
            check_schedule(one)
            can = bool(one.header.features.membership)
            assert can or not any(isinstance(fault.action, Membership) for fault in one.faults)
        return [any(isinstance(fault.action, Membership) for fault in one.faults) for one in made]

    assert sum(drawn(FEATURES)) > 5
    assert not any(drawn(("check_quorum",)))


# ---- in every world --------------------------------------------------------------------------------------------------

LEAVES = with_members(
    short(
        fault("f1", 330_000, Membership(["n3"]), 120_000),
        fault("f2", 620_000, Membership(["leader"]), 60_000),
        fault("f3", 850_000, Kill(["n1"], [50_000]), 50_000),
        safety_us=(320_000, 1_000_000),
    )
)


@pytest.mark.parametrize("features", [FEATURES, ("check_quorum", "membership=single")])
def test_in_sim_nodes_leave_and_come_back_and_an_execution_does_the_same_again(features: tuple[str, ...]) -> None:
    plan = with_members(LEAVES, Features.of(features))
    run = virtual(plan)
    analysis = run.go().analysis
    assert analysis.verdict == "valid", analysis
    healed = of(FaultHealed, run.trace.harness_events)
    assert [event.effective for event in healed] == [True] * 3, healed
    _, execution = record(plan, virtual(plan).timing, Parts())
    changes = [call for call in execution.calls if call.f == "change"]
    assert {str(call.change) for call in changes} >= {"remove n3", "add n3", "promote n3"}
    played = Player(execution, MemoryDriver(Parts())).play()
    assert {verdict.outcome for verdict in played.verdicts} == {"valid"}
    assert any(verdict.invariant == "membership_changes" for verdict in played.verdicts)


@pytest.mark.slow
@pytest.mark.live
def test_it_makes_the_same_trace_in_lockstep_and_replays_bit_for_bit(tmp_path: Path) -> None:
    simulated, real = in_sim(LEAVES), in_lockstep(LEAVES, tmp_path)
    assert (real.trace_sha256, real.verdict) == (simulated.trace_sha256, "valid")
    assert replay_run(RunDir(tmp_path / "run"), Parts()).differences == []


@pytest.mark.slow
@pytest.mark.live
def test_real_nodes_leave_and_come_back_and_replay_bit_for_bit(tmp_path: Path) -> None:
    faults = [
        fault("f1", 800_000, Membership(["n3"]), 700_000),
        fault("f2", 2_200_000, Kill(["leader"], [300_000])),
        fault("f3", 3_500_000, Membership(["leader"]), 900_000),
    ]
    run = RunDir(tmp_path / "run")
    plan = with_members(schedule(faults, safety_us=(700_000, 5_500_000), liveness_us=800_000, every_us=80_000))
    timing = Timing(150_000, 300_000, 50_000, features=CAN)
    info = run_live(plan, RaftTarget(timing), run, RunInfo(seed=1, nodes=plan.header.nodes))
    assert info.verdict == "valid", (info.invariants, info.vacuous)
    harness = run.harness_events()
    assert all(event.effective for event in of(FaultHealed, harness)), of(FaultHealed, harness)
    assert replay_run(run, Parts()).differences == []
    merged = Merge(run, timing, Parts()).go()
    changes = {call.id for call in merged.execution.calls if call.f == "change"}
    assert changes and changes <= {step.call for step in merged.execution.steps if isinstance(step, Submit)}
    played = Player(merged.execution, MemoryDriver(Parts())).play()
    assert not [verdict for verdict in played.verdicts if verdict.outcome == "violated"]
