"""Transfers of the leadership as a fault: over a scripted world, in schedules, and in every world."""

from __future__ import annotations

from pathlib import Path

import pytest

from builders.runs import in_lockstep, in_sim, of, virtual
from builders.schedules import TWO_LEADERS, fault, schedule, short
from builders.scripted_world import Stage
from raft_chaos.chaos.execution.merge import Merge
from raft_chaos.chaos.execution.player import Player
from raft_chaos.chaos.execution.recording import record
from raft_chaos.chaos.execution.steps import Transfer as TransferStep
from raft_chaos.chaos.faults.catalogue import VIRTUAL_KINDS
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.faults.transfer import Transfer
from raft_chaos.chaos.replay.node import replay_run
from raft_chaos.chaos.run.live.run import run_live
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.chaos.schedule.check import check_schedule
from raft_chaos.chaos.schedule.config import ScheduleConfig
from raft_chaos.chaos.schedule.data import ScheduleError
from raft_chaos.chaos.schedule.generate import generate
from raft_chaos.chaos.schedule.swarm import draw
from raft_chaos.chaos.targets.raft import RaftTarget
from raft_chaos.invariants.events import FaultHealed
from raft_chaos.invariants.rundir import RunDir, RunInfo
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.state.timing import Timing

TIMING = Timing(150_000, 300_000, 50_000)


# ---- alone -------------------------------------------------------------------------------------------------------


def test_the_leader_is_asked_once_if_it_hands_over() -> None:
    stage = Stage(leader="n2").play(fault("f1", 10, Transfer(["n3"]), 300))
    assert stage.world.asked == [(10, "transfer", "n2", "n3")]
    assert (stage.injected().detail, stage.injected().targets) == ("n2 is to hand over to n3", ("n2", "n3"))
    assert stage.seen() == (True, "n2 began to hand over to n3, which leads", "")


def test_a_target_that_leads_itself_is_replaced_by_the_next_node() -> None:
    stage = Stage(leader="n2").play(fault("f1", 10, Transfer(["n2"]), 300), fault("f2", 400, Transfer(["pivot"]), 300))
    assert stage.asked("transfer") == [(10, "transfer", "n2", "n3"), (400, "transfer", "n3", "n3")][:1]
    assert stage.seen()[0]


def test_a_target_without_a_vote_is_replaced_by_the_next_node_that_has_one() -> None:
    stage = Stage(leader="n1", members=["n1", "n3"]).play(fault("f1", 10, Transfer(["n2"]), 300))
    assert stage.asked("transfer") == [(10, "transfer", "n1", "n3")]
    assert stage.seen()[0]
    stage = Stage(leader="n1", members=["n1"]).play(fault("f1", 10, Transfer(["n2"]), 300))
    assert stage.asked("transfer") == []
    assert stage.seen()[::2] == (False, "only n1 has a vote")


def test_whoever_leads_is_asked_three_times() -> None:
    stage = Stage(leader="n2")
    stage.world.deaf_to_transfers.add("n3")
    stage.at(150, lambda: setattr(stage.world, "leading", "n1"))
    stage.at(250, lambda: setattr(stage.world, "leading", None))
    stage.play(fault("f1", 10, Transfer(["n3"]), 360))
    assert stage.asked("transfer") == [(10, "transfer", "n2", "n3"), (130, "transfer", "n2", "n3")]
    assert stage.seen() == (False, "n2 n2 began to hand over to n3, which does not lead", "")


def test_a_leader_that_does_not_begin_to_is_said_so() -> None:
    stage = Stage(leader="n2")
    stage.world.deaf_to_transfers.add("n3")
    stage.world.hanging.add("n2")
    stage.play(fault("f1", 10, Transfer(["n3"]), 300))
    assert stage.seen() == (False, "no leader began to hand over to n3, which does not lead", "")


def test_one_that_is_asked_when_it_leads_no_longer_cannot_begin_to() -> None:
    stage = Stage(leader="n2")
    stage.world.deaf_to_transfers.add("n3")
    stage.world.hanging.add("n2")
    stage.at(50, lambda: setattr(stage.world, "leading", None))
    stage.play(fault("f1", 10, Transfer(["n3"]), 300))
    assert stage.seen()[::2] == (False, "nobody led on")


@pytest.mark.parametrize("nodes", [["leader"], ["others"], ["n1", "n2"], ["leader@f0"]])
def test_the_target_is_a_single_node_and_not_the_leader(nodes: list[str]) -> None:
    with pytest.raises(ScheduleError, match=r"f1: (action\.nodes: |it follows)"):
        check_schedule(schedule([fault("f1", 1, Transfer(nodes), 10)]))
    check_schedule(schedule([fault("f1", 1, Transfer(["lacker"]), 10)]))


def test_seeds_draw_it_and_a_seed_keeps_what_it_had() -> None:
    # Without leases: some of the episodes of these are transfers.
    wide = ScheduleConfig(swarm=True, nodes=0, faults=VIRTUAL_KINDS, ops_per_second=20, features=())
    without = ScheduleConfig(
        swarm=True,
        nodes=0,
        faults=tuple(kind for kind in VIRTUAL_KINDS if kind != "transfer"),
        ops_per_second=20,
        features=(),
    )
    found = lost = 0
    for seed in range(40):
        if draw(seed, wide).steered != draw(seed, without).steered:
            continue  # an episode that needs a transfer
        made, before = generate(seed, wide), generate(seed, without)
        check_schedule(made)
        theirs = [(one.when, one.action) for one in made.faults if "lost_transfer" not in one.id]
        kept = [one for one in theirs if not isinstance(one[1], Transfer)]
        assert kept == [(one.when, one.action) for one in before.faults]
        found += len(kept) < len(theirs)
        lost += len(theirs) < len(made.faults)
    assert found > 10 and 2 < lost < 16


# ---- in every world ----------------------------------------------------------------------------------------------

HANDS_OVER = short(
    *TWO_LEADERS,
    fault("f3", 330_000, Transfer(["pivot"]), 60_000),
    fault("f4", 345_000, Transfer(["pivot"]), 60_000),
)


def test_in_sim_the_leadership_moves_and_an_execution_moves_it_again() -> None:
    run = virtual(HANDS_OVER)
    assert run.go().analysis.verdict == "valid"
    healed = {event.fault: event for event in of(FaultHealed, run.trace.harness_events)}
    assert healed["f3"].effective and healed["f4"].effective, healed
    _, execution = record(HANDS_OVER, virtual(HANDS_OVER).timing, Parts())
    asked = [step for step in execution.steps if isinstance(step, TransferStep)]
    services = ("n2", "n1")
    assert [(step.node, step.to) for step in asked] == [("n1", "n2"), ("n2", "n3"), services]
    played = Player(execution, MemoryDriver(Parts())).play()
    assert {verdict.outcome for verdict in played.verdicts} == {"valid"}
    assert any(verdict.invariant == "leadership_transfer" for verdict in played.verdicts)


@pytest.mark.slow
@pytest.mark.live
def test_it_makes_the_same_trace_in_lockstep_and_replays_bit_for_bit(tmp_path: Path) -> None:
    simulated, real = in_sim(HANDS_OVER), in_lockstep(HANDS_OVER, tmp_path)
    assert (real.trace_sha256, real.verdict) == (simulated.trace_sha256, "valid")
    assert replay_run(RunDir(tmp_path / "run"), Parts()).differences == []


@pytest.mark.slow
@pytest.mark.live
def test_real_nodes_hand_over_and_replay_bit_for_bit(tmp_path: Path) -> None:
    faults = [
        fault("f1", 800_000, Transfer(["pivot"]), 900_000),
        fault("f2", 2_000_000, Kill(["leader"], [300_000])),
        fault("f3", 3_500_000, Transfer(["pivot"]), 900_000),
    ]
    run = RunDir(tmp_path / "run")
    plan = schedule(faults, safety_us=(700_000, 5_000_000), liveness_us=800_000, every_us=80_000)
    info = run_live(plan, RaftTarget(TIMING), run, RunInfo(seed=1, nodes=plan.header.nodes))
    assert info.verdict == "valid", (info.invariants, info.vacuous)
    harness = run.harness_events()
    assert all(event.effective for event in of(FaultHealed, harness)), of(FaultHealed, harness)
    assert replay_run(run, Parts()).differences == []
    merged = Merge(run, TIMING, Parts()).go()
    assert any(isinstance(step, TransferStep) for step in merged.execution.steps)
