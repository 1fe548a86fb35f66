"""Rolling restarts and crash loops: over a scripted world, in virtual time, and on real processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from builders.runs import in_lockstep, in_sim, of, virtual
from builders.schedules import NODES, TWO_LEADERS, fault, schedule, short
from builders.scripted_world import Stage
from raft_chaos.chaos.execution.merge import Merge
from raft_chaos.chaos.execution.player import Player
from raft_chaos.chaos.execution.recording import record
from raft_chaos.chaos.faults.abilities import OF_NETWORK, OURS
from raft_chaos.chaos.faults.crash_loop import CrashLoop
from raft_chaos.chaos.faults.pause import Pause
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.faults.rolling_restart import RollingRestart
from raft_chaos.chaos.replay.node import replay_run
from raft_chaos.chaos.run.live.follow import Follower
from raft_chaos.chaos.run.live.run import run_live
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.chaos.schedule.config import ScheduleConfig
from raft_chaos.chaos.schedule.generate import generate
from raft_chaos.chaos.targets.raft import RaftTarget
from raft_chaos.invariants.events import EntryApplied, FaultHealed, NodeExited, NodeKilled, NodeLaunched
from raft_chaos.invariants.rundir import RunDir, RunInfo
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.state.timing import Timing

TIMING = Timing(150_000, 300_000, 50_000)
SEVERAL = short(
    *TWO_LEADERS,
    fault("f3", 350_000, RollingRestart(["others", "leader"], 2_000, 5_000), 40_000),
    fault("f4", 480_000, CrashLoop(["n3"], 1_000, [0, 1, 3, 5, 6, 50], [0, 300, 2_000], 500)),
    fault("f5", 580_000, RollingRestart(["n3", "n1"], 0, 1_000, "kill"), 2_000),
)


# ---- rolling restarts --------------------------------------------------------------------------------------------


def test_the_next_node_ends_once_the_one_before_is_up() -> None:
    stage = Stage(leader="n2").play(fault("f1", 10, RollingRestart(["others", "leader"], 5, 100), 215))
    assert stage.world.asked == [
        (10, "stop", "n1"),
        (15, "start", "n1"),
        (115, "stop", "n3"),
        (120, "start", "n3"),
        (220, "stop", "n2"),
        (225, "start", "n2"),
    ]
    assert stage.injected().detail == "restart n1 n3 n2 one after the other (stop)"
    ends = "n1 ended by itself, n3 ended by itself, n2 ended by itself"
    assert stage.seen() == (True, f"{ends}; running again: n1 n3 n2", "")


def test_no_other_node_ends_while_one_may_be_down() -> None:
    stage = Stage()
    stage.world.lost.add("n1")
    stage.play(fault("f1", 10, RollingRestart(["n3", "n1", "n2"], 5, 0, "kill"), 15))
    assert [what[1:] for what in stage.asked("kill")] == [("kill", {"n3": 1000}), ("kill", {"n1": 1000})]
    assert stage.seen() == (False, "n3 was killed, n1 was killed; running again: n3", "")


def test_a_node_that_is_killed_because_it_did_not_end_in_time_starts_again() -> None:
    """It owes catching up, and nobody else would start it."""
    stage = Stage()
    stage.world.hanging.add("n1")
    stage.play(fault("f1", 10, RollingRestart(["n1", "n2"], 5, 0), 10))
    asked = [what[1:] for what in stage.world.asked]
    assert asked == [("stop", "n1"), ("kill", {"n1": 1000}), ("start", "n1"), ("stop", "n2"), ("start", "n2")]
    ends = "n1 did not end within 2 s, and was killed, n2 ended by itself"
    assert stage.seen() == (False, f"{ends}; running again: n1 n2", "")


def test_in_sim_a_long_pause_does_not_leave_a_restarted_node_behind() -> None:
    long = fault("f3", 350_000, Pause(["n1"]), 2_600_000)
    roll = fault("f4", 400_000, RollingRestart(["n1"], 5_000, 0), 5_000)
    plan = schedule([*TWO_LEADERS, long, roll], safety_us=(200_000, 3_000_000), liveness_us=500_000, every_us=80_000)
    run = virtual(plan)
    assert run.go().analysis.verdict == "valid"
    (healed,) = [event for event in of(FaultHealed, run.trace.harness_events) if event.fault == "f4"]
    assert healed.effect == "n1 did not end within 2 s, and was killed; running again: n1"


def test_the_end_of_the_safety_phase_ends_the_roll() -> None:
    """Two nodes make a roll, and one does not."""
    stage = Stage().play(fault("f1", 10, RollingRestart(NODES, 0, 500), 1_000), end_us=600)
    assert [what[2] for what in stage.asked("stop")] == ["n1", "n2"]
    assert stage.seen()[0] is True
    stage = Stage().play(fault("f1", 10, RollingRestart(NODES, 0, 500), 1_000), end_us=400)
    assert [what[2] for what in stage.asked("stop")] == ["n1"]
    assert stage.seen()[0] is False and stage.seen()[2] == "end of the safety phase"


def test_a_target_that_does_not_stop_by_itself_is_killed_and_one_that_forgets_is_spared() -> None:
    roll = RollingRestart(NODES, 1, 2)
    assert roll.weakened(frozenset(("kill", "pause"))) == RollingRestart(NODES, 1, 2, "kill")
    assert roll.weakened(frozenset(("kill", "stop"))) == roll
    assert roll.weakened(frozenset(("stop", "pause"))) is None


def test_a_roll_shrinks_to_fewer_nodes() -> None:
    assert list(RollingRestart(["n1", "n2"], 5, 6).smaller()) == [
        RollingRestart(["n2"], 5, 6),
        RollingRestart(["n1"], 5, 6),
        RollingRestart(["n1", "n2"], 5, 0),
        RollingRestart(["n1", "n2"], 0, 6),
    ]


# ---- crash loops -------------------------------------------------------------------------------------------------


def test_a_node_is_killed_in_its_starts_and_then_once_it_is_up() -> None:
    stage = Stage().play(fault("f1", 10, CrashLoop(["n1"], 5, [1, 9], [20], 300)))
    assert stage.world.asked == [
        (10, "kill", {"n1": 300}),
        (15, "start_and_kill", "n1", 1),
        (20, "start_and_kill", "n1", 9),
        (25, "start", "n1"),
        (45, "kill", {"n1": 300}),
        (50, "start", "n1"),
    ]
    assert stage.seen() == (True, "n1 killed once up 2, in its start 1; running again: n1", "")


def test_a_loop_whose_kills_do_not_all_hit_is_not_effective() -> None:
    stage = Stage()
    stage.world.lost.add("n1")
    assert stage.play(fault("f1", 10, CrashLoop(["n1"], 5, [], [20]))).seen()[0] is False
    stage = Stage().play(fault("f1", 10, Kill(["n1"], [500]), 500), fault("f2", 20, CrashLoop(["n1"], 0, [1])))
    assert stage.seen("f2") == (False, "nothing killed; running again: none", "f1")


def test_the_nodes_recover_from_every_interrupted_start_and_before_they_have_caught_up() -> None:
    run = virtual(SEVERAL)
    applied: set[int] = set()
    acted = run.trace.node

    def noted(name: str, incarnation: int, reported: list) -> None:  # type: ignore[type-arg]
        if name == "n3" and any(isinstance(event, EntryApplied) for event in reported):
            applied.add(incarnation)
        acted(name, incarnation, reported)

    run.trace.node = noted  # type: ignore[method-assign]
    assert run.go().analysis.verdict == "valid"
    events = run.trace.harness_events
    healed = {event.fault: event for event in of(FaultHealed, events)}
    assert healed["f4"].effect == "n3 killed in its start 5, once up 4; running again: n3"
    assert all(event.effective for event in healed.values()), healed
    killed = {event.subject_inc for event in of(NodeKilled, events) if event.subject == "n3"}
    launched = {event.subject_inc for event in of(NodeLaunched, events) if event.subject == "n3"}
    assert len(killed - launched) == 5, "these never came up"
    assert len((killed & launched) - applied) >= 2, "these were killed before they had caught up"


@pytest.mark.parametrize("kind", ["rolling_restart", "crash_loop", "stop", "starve"])
def test_what_a_seed_draws_leaves_a_majority(kind: str) -> None:
    config = ScheduleConfig(faults=(kind,), nodes=3, duration_s=40, swarm=True, ops_per_second=0)
    drawn = [one for seed in range(30) for one in generate(seed, config).faults]
    assert len(drawn) > 30
    for one in drawn:
        assert one.action.disturbed(3) == 1 and one.when.at_us is not None
        assert one.when.at_us + one.duration_us <= 40_000_000
    everything = frozenset(OURS | OF_NETWORK["frames"])
    assert all(one.action.weakened(everything) == one.action for one in drawn)


def test_an_execution_has_the_interrupted_starts_of_its_run() -> None:
    _, execution = record(SEVERAL, virtual(SEVERAL).timing, Parts())
    played = Player(execution, MemoryDriver(Parts())).play()
    assert {verdict.outcome for verdict in played.verdicts} == {"valid"}
    assert sum(getattr(step, "dies_after", None) is not None for step in execution.steps) == 6


@pytest.mark.slow
@pytest.mark.live
def test_restarts_make_the_same_trace_in_lockstep_and_replay_bit_for_bit(tmp_path: Path) -> None:
    simulated, real = in_sim(SEVERAL), in_lockstep(SEVERAL, tmp_path)
    assert (real.trace_sha256, real.verdict) == (simulated.trace_sha256, "valid")
    assert replay_run(RunDir(tmp_path / "run"), Parts()).differences == []


@pytest.mark.slow
@pytest.mark.live
def test_real_nodes_restart_one_by_one_and_survive_a_crash_loop(tmp_path: Path) -> None:
    faults = [
        fault("f1", 800_000, RollingRestart(["others", "leader"], 50_000, 400_000), 1_100_000),
        fault("f2", 2_800_000, CrashLoop(["n2"], 5_000, [0, 1, 2, 3, 4, 6, 8, 12, 20], [0, 5_000, 20_000])),
        fault("f3", 5_000_000, RollingRestart(["n3", "n1"], 0, 500_000, "kill"), 600_000),
    ]
    run = RunDir(tmp_path / "run")
    plan = schedule(faults, safety_us=(700_000, 7_500_000), liveness_us=800_000, every_us=80_000)
    info = run_live(plan, RaftTarget(TIMING), run, RunInfo(seed=1, nodes=plan.header.nodes))
    assert info.verdict == "valid", (info.invariants, info.vacuous)
    harness = run.harness_events()
    assert all(event.effective for event in of(FaultHealed, harness)), of(FaultHealed, harness)
    assert {event.excused for event in of(NodeExited, harness)} == {"asked to stop"}
    launched = {(event.subject, event.subject_inc) for event in of(NodeLaunched, harness)}
    in_start = {(event.subject, event.subject_inc) for event in of(NodeKilled, harness)} - launched
    assert in_start, "some were killed before they were up"
    assert replay_run(run, Parts()).differences == []
    merged = Merge(run, TIMING, Parts()).go()
    assert not merged.remarks
    follower = Follower(run, run.load_info())
    while follower.read():
        pass
    follower.close()
    assert not follower.trouble
    assert follower.status().events == info.stats["events"]
