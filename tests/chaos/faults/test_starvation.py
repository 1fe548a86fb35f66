"""CPU starvation: over a scripted world, in virtual time, and on real processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from builders.runs import in_lockstep, in_sim, of, virtual
from builders.schedules import TWO_LEADERS, fault, schedule, short
from builders.scripted_world import Stage
from raft_chaos.chaos.faults.pause import Pause
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.faults.starve import CpuShare, Starve, Waits
from raft_chaos.chaos.faults.stop import Stop
from raft_chaos.chaos.replay.node import replay_run
from raft_chaos.chaos.run.live.run import run_live
from raft_chaos.chaos.targets.raft import RaftTarget
from raft_chaos.invariants.events import FaultHealed, NodeExited, NodePaused
from raft_chaos.invariants.rundir import RunDir, RunInfo
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.state.timing import Timing

TIMING = Timing(150_000, 300_000, 50_000)
FIFTH = Starve(["n1"], 200, 20_000)
SEVERAL = short(
    *TWO_LEADERS,
    fault("f3", 350_000, Starve(["n2"], 100, 40_000), 300_000),
    fault("f4", 420_000, Pause(["n2"]), 50_000),
    fault("f5", 560_000, Stop(["n2"], 10_000)),
    fault("f6", 660_000, Starve(["n3"], 300, 20_000), 100_000),
    fault("f7", 670_000, Kill(["n3"], [10_000]), 10_000),
)


def test_a_share_is_a_slice_of_each_period() -> None:
    assert (CpuShare(200, 20_000).run_us, CpuShare(200, 20_000).wait_us) == (4_000, 16_000)
    assert list(Starve(["n1"], 0, 100).check(["n1"])) == [
        "action.share_permille: expected 1 to 999, got 0",
        "action.period_us: expected 1000 to 10000000, got 100",
    ]


def test_of_two_shares_of_a_node_the_smallest_counts() -> None:
    less = Starve(["n1"], 100, 50_000)
    stage = Stage().play(fault("f1", 10, FIFTH, 100_000), fault("f2", 20, less, 40))
    assert stage.asked("starve") == [
        (10, "starve", "n1", FIFTH.share),
        (20, "starve", "n1", less.share),
        (60, "starve", "n1", FIFTH.share),
        (100_010, "starve", "n1", None),
    ]


@pytest.mark.parametrize(("waited_us", "effective"), [(80_000, True), (40_000, True), (39_999, False)])
def test_it_is_effective_if_the_node_waited_for_half_of_the_planned_time(waited_us: int, effective: bool) -> None:
    stage = Stage()
    stage.at(100, lambda: stage.world.waited.update(n1=Waits(5, waited_us)))
    seen, text, _ = stage.play(fault("f1", 10, FIFTH, 100_000)).seen()
    assert (seen, text) == (effective, f"n1 waited 5 times, {waited_us / 1000:g} ms in all")
    assert stage.injected().detail == "n1 get 20 % of the processor"


def test_in_sim_inputs_wait_until_the_node_has_the_processor() -> None:
    run = virtual(short(*TWO_LEADERS, fault("f3", 401_000, Starve(["n2"], 250, 40_000), 180_000)))
    steps: list[int] = []
    acted = run.trace.node

    def noted(name: str, incarnation: int, reported: list) -> None:  # type: ignore[type-arg]
        if name == "n2":
            steps.append(run.scheduler.now_us)
        acted(name, incarnation, reported)

    run.trace.node = noted  # type: ignore[method-assign]
    assert run.go().analysis.verdict == "valid"
    inside = [at_us for at_us in steps if 401_000 <= at_us < 561_000]
    assert inside and all((at_us - 401_000) % 40_000 >= 30_000 for at_us in inside)
    healed = {event.fault: event for event in of(FaultHealed, run.trace.harness_events)}["f3"]
    assert healed.effective and "waited 5 times, 140 ms in all" in healed.effect and "delayed 0" not in healed.effect


def test_a_starved_node_may_be_paused_asked_to_stop_and_killed() -> None:
    run = virtual(SEVERAL)
    assert run.go().analysis.verdict == "valid"
    assert all(event.effective or event.moot for event in of(FaultHealed, run.trace.harness_events))
    (exited,) = of(NodeExited, run.trace.harness_events)
    assert exited.t_us == 350_000 + 6 * 40_000 - 4_000, "a node that waits for the processor ends once it has it"


@pytest.mark.slow
@pytest.mark.live
def test_starvation_makes_the_same_trace_in_lockstep_and_replays_bit_for_bit(tmp_path: Path) -> None:
    simulated, real = in_sim(SEVERAL), in_lockstep(SEVERAL, tmp_path)
    assert (real.trace_sha256, real.verdict) == (simulated.trace_sha256, "valid")
    assert replay_run(RunDir(tmp_path / "run"), Parts()).differences == []


@pytest.mark.slow
@pytest.mark.live
def test_real_nodes_run_in_slices_also_when_they_are_paused_killed_or_asked_to_stop(tmp_path: Path) -> None:
    faults = [
        fault("f1", 800_000, Starve(["leader"], 100, 50_000), 1_000_000),
        fault("f2", 2_200_000, Starve(["n2"], 200, 20_000), 2_000_000),
        fault("f3", 2_500_000, Pause(["n2"]), 100_000),
        fault("f4", 2_900_000, Stop(["n2"], 0)),
        fault("f5", 3_500_000, Kill(["n2"], [0])),
        fault("f6", 4_500_000, Kill(["leader"], [100_000]), 100_000),
    ]
    run = RunDir(tmp_path / "run")
    plan = schedule(faults, safety_us=(700_000, 5_000_000), liveness_us=800_000, every_us=80_000)
    info = run_live(plan, RaftTarget(TIMING), run, RunInfo(seed=1, nodes=plan.header.nodes))
    assert info.verdict == "valid", (info.invariants, info.vacuous)
    healed = {event.fault: event for event in of(FaultHealed, run.harness_events())}
    assert healed["f1"].effective, healed["f1"].effect
    assert all(event.effective or event.moot for event in healed.values())
    assert len(of(NodePaused, run.harness_events())) == 1, "a slice is no pause"
