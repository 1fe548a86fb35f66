"""Graceful stops: over a scripted world, in virtual time, and on real processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from builders.runs import in_lockstep, in_sim, of, virtual
from builders.schedules import NODES, TWO_LEADERS, fault, schedule, short
from builders.scripted_world import Stage
from raft_chaos.chaos.execution.merge import Merge
from raft_chaos.chaos.execution.player import Player
from raft_chaos.chaos.execution.recording import record
from raft_chaos.chaos.faults.disk import SlowSync
from raft_chaos.chaos.faults.disk_error import DiskError
from raft_chaos.chaos.faults.pause import Pause
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.faults.stop import Stop
from raft_chaos.chaos.replay.node import replay_run
from raft_chaos.chaos.run.live.run import run_live
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.chaos.run.nodes.step import StepConfig
from raft_chaos.chaos.targets.raft import RaftTarget
from raft_chaos.invariants.events import FaultHealed, NodeExited
from raft_chaos.invariants.rundir import RunDir, RunInfo
from raft_chaos.raft.server.exit_codes import EXIT_DISK
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.state.timing import Timing
from raft_chaos.raft.storage.log_file import FILE

TIMING = Timing(150_000, 300_000, 50_000)
SEVERAL = short(
    *TWO_LEADERS,
    fault("f3", 420_000, SlowSync(["others"], 20_000, 30_000), 60_000),
    fault("f4", 430_000, Stop(["n2", "n3"], 20_000)),
    fault("f5", 660_000, Pause(["n1"]), 60_000),
    fault("f6", 700_000, Stop(["n1"], 1_000)),
)
"""Of nodes whose writes are under way, and of one that is paused."""


def test_each_node_starts_again_a_while_after_its_end() -> None:
    stage = Stage().play(fault("f1", 10, Stop(["n2", "n1"], 50)))
    assert stage.world.asked == [(10, "stop", "n2"), (10, "stop", "n1"), (60, "start", "n2"), (60, "start", "n1")]
    assert (stage.injected().detail, stage.injected().targets) == ("stop n2 n1", ("n2", "n1"))
    assert stage.seen() == (True, "n2 ended by itself, n1 ended by itself; running again: n2 n1", "")


def test_a_node_that_does_not_end_in_time_is_killed_and_the_effect_says_so() -> None:
    stage = Stage()
    stage.world.hanging.add("n1")
    stage.play(fault("f1", 10, Stop(["n1"], 50)))
    assert [what for _, what, *_ in stage.world.asked] == ["stop", "kill", "start"]
    assert stage.seen() == (False, "n1 did not end within 2 s, and was killed; running again: n1", "")


def test_a_node_that_is_down_is_not_started_too_early() -> None:
    stage = Stage().play(fault("f1", 10, Kill(["n1"], [500]), 500), fault("f2", 20, Stop(["n1"], 0)))
    assert stage.asked("start") == [(510, "start", "n1")]
    assert stage.seen("f2") == (False, "no node ran; running again: none", "f1")


@pytest.mark.parametrize("in_order", [True, False])
def test_a_node_that_stops_loses_nothing_that_it_wrote(in_order: bool) -> None:
    """A node that is killed at the same moment forgets that it stood for election."""
    driver = MemoryDriver(Parts())
    config = StepConfig.of("n1", NODES, 1, seed=1, timing=TIMING)
    node = driver.start(config, 0)
    report = node.tick(node.first.deadline_us, None)
    assert report.write_lsn and node.disk.unsynced_bytes(FILE)
    if in_order:
        node.stop()
    else:
        node.crash(0)
    again = driver.start(StepConfig.of("n1", NODES, 2, seed=1, timing=TIMING), 1_000_000)
    assert again.replica.core.current_term == int(in_order)


def test_in_sim_each_ends_with_a_clean_exit_code_a_paused_one_when_it_resumes() -> None:
    run = virtual(SEVERAL)
    assert run.go().analysis.verdict == "valid"
    exits = of(NodeExited, run.trace.harness_events)
    assert [(exit.subject, exit.t_us) for exit in exits] == [("n2", 430_000), ("n3", 430_000), ("n1", 720_000)]
    assert {(exit.exit_code, exit.excused) for exit in exits} == {(0, "asked to stop")}
    healed = {event.fault: event for event in of(FaultHealed, run.trace.harness_events)}
    assert healed["f4"].effective and healed["f6"].effective


def test_a_node_whose_disk_fails_at_its_last_sync_says_so_and_starts_later() -> None:
    broken = fault("f3", 420_000, DiskError(["n2"], "sync", "EIO", once=True), 100_000)
    run = virtual(short(*TWO_LEADERS, broken, fault("f4", 420_000, Stop(["n2"], 10_000))))
    assert run.go().analysis.verdict == "valid"
    (exited,) = of(NodeExited, run.trace.harness_events)
    assert (exited.exit_code, exited.excused) == (EXIT_DISK, "a failing disk")
    healed = {event.fault: event for event in of(FaultHealed, run.trace.harness_events)}
    assert f"n2 ended with exit code {EXIT_DISK}" in healed["f4"].effect and healed["f4"].moot == "f3"


def test_an_execution_has_the_stops_of_its_run() -> None:
    _, execution = record(SEVERAL, virtual(SEVERAL).timing, Parts())
    played = Player(execution, MemoryDriver(Parts())).play()
    assert {verdict.outcome for verdict in played.verdicts} == {"valid"}
    assert sum(type(step).__name__ == "Stop" for step in execution.steps) == 3


@pytest.mark.slow
@pytest.mark.live
def test_stops_make_the_same_trace_in_lockstep_and_replay_bit_for_bit(tmp_path: Path) -> None:
    simulated, real = in_sim(SEVERAL), in_lockstep(SEVERAL, tmp_path)
    assert (real.trace_sha256, real.verdict) == (simulated.trace_sha256, "valid")
    assert replay_run(RunDir(tmp_path / "run"), Parts()).differences == []


@pytest.mark.slow
@pytest.mark.live
def test_real_nodes_end_in_order_and_their_run_merges_into_an_execution(tmp_path: Path) -> None:
    faults = [
        fault("f1", 800_000, Stop(["leader"], 200_000)),
        fault("f2", 2_000_000, Stop(["leader"], 0)),
        fault("f3", 3_000_000, Stop(["n1", "n2", "n3"], 50_000)),
    ]
    run = RunDir(tmp_path / "run")
    plan = schedule(faults, safety_us=(700_000, 4_500_000), liveness_us=800_000, every_us=80_000)
    info = run_live(plan, RaftTarget(TIMING), run, RunInfo(seed=1, nodes=plan.header.nodes))
    assert info.verdict == "valid", (info.invariants, info.vacuous)
    exits = of(NodeExited, run.harness_events())
    assert len(exits) == 5 and {(exit.exit_code, exit.excused) for exit in exits} == {(0, "asked to stop")}
    assert all(event.effective for event in of(FaultHealed, run.harness_events()))
    assert replay_run(run, Parts()).differences == []
    merged = Merge(run, TIMING, Parts()).go()
    assert sum(type(step).__name__ == "Stop" for step in merged.execution.steps) == 5 and not merged.remarks
