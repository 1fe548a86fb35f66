"""Clocks of real processes: what the nodes say of them, and whole runs in which they go wrong."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from live_nodes import Cluster

from builders.schedules import TIMING, fault, schedule
from raft_chaos.chaos.faults.clock import Ahead, Clock, Strobe
from raft_chaos.chaos.faults.pause import Pause
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.processes.supervisor import Supervisor
from raft_chaos.chaos.replay.node import replay_run
from raft_chaos.chaos.run.live.run import run_live
from raft_chaos.chaos.targets.raft import RaftTarget
from raft_chaos.invariants.events import FaultHealed
from raft_chaos.invariants.rundir import RunDir, RunInfo
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.storage.journal import ClockChanged, read_journal
from raft_chaos.reports.write import render

pytestmark = pytest.mark.live


def test_a_clock_is_the_machine_s_so_it_outlives_restarts_and_pauses(tmp_path: Path) -> None:
    async def scenario(cluster: Cluster) -> list[Ahead | None]:
        said = [await cluster.change_clock("n1", 0, 7_000)]  # before its first start
        await cluster.start("n1")
        said.append(await cluster.change_clock("n1", 0, 5_000_000))
        await cluster.kill(["n1"])
        await cluster.start("n1")
        said.append(await cluster.change_clock("n1", 0, -4_000_000))
        await cluster.pause("n1")
        said.append(await cluster.change_clock("n1", 0, -1_007_000))
        await cluster.resume("n1")
        said.append(await cluster.change_clock("n1", 0, 0))
        return said

    (tmp_path / "nodes" / "n1").mkdir(parents=True)
    with Supervisor() as supervisor:
        said = asyncio.run(scenario(Cluster(supervisor, tmp_path, 1, RaftTarget(TIMING))))
    assert said == [None, (7_000, 5_007_000), (5_007_000, 1_007_000), None, (0, 0)]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_correct_cluster_lives_with_clocks_that_go_wrong(seed: int, tmp_path: Path) -> None:
    """They run fast, slow and back, on nodes that are killed and paused meanwhile."""
    faults = [
        fault("fast", 800_000, Clock(["leader"], 500_000, 400_000), 900_000),
        fault("killed", 1_000_000, Kill(["n1"], [100_000]), 0),
        fault("paused", 1_300_000, Pause(["n2"]), 200_000),
        fault("back", 1_800_000, Clock(["others"], -300_000, -200_000), 700_000),
        fault("strobe", 2_600_000, Strobe(["n1", "n2", "n3"], 350_000, 30_000), 900_000),
        fault("there and back", 3_600_000, Strobe(["leader"], 2_000_000, 300_000), 700_000),
        fault("just before the end", 4_400_000, Clock(["n1", "n2"], 0, -900_000), 2_000_000),
    ]
    run = RunDir(tmp_path / "run")
    plan = schedule(faults, safety_us=(700_000, 4_600_000), liveness_us=1_500_000, every_us=100_000)
    info = run_live(plan, RaftTarget(TIMING), run, RunInfo(seed=seed, nodes=plan.header.nodes))
    assert info.verdict == "valid", render(run, "text")
    healed = {event.fault: event for event in run.harness_events() if isinstance(event, FaultHealed)}
    assert {name: event.effective for name, event in healed.items()} == dict.fromkeys((f.id for f in faults), True)
    journals = [file for files in run.journals().values() for _, file in files]
    assert sum(isinstance(record, ClockChanged) for file in journals for record in read_journal(file)) > 10
    assert replay_run(run, Parts()).differences == []
