"""Runs whose nodes take snapshots (§7) replay like others, although a snapshot replaces the log that they recovered."""

from __future__ import annotations

from pathlib import Path

import pytest

from raft_chaos.chaos.replay.node import replay_run
from raft_chaos.chaos.run.lockstep.run import run_lockstep
from raft_chaos.chaos.run.settings import Settings, describe
from raft_chaos.chaos.run.sim.world import run_sim
from raft_chaos.chaos.schedule.config import ScheduleConfig
from raft_chaos.chaos.schedule.swarm import SHARED
from raft_chaos.invariants.events import SnapshotInstalled, SnapshotTaken, Started
from raft_chaos.invariants.rundir import RunDir
from raft_chaos.invariants.trace import first_difference
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.state.timing import Timing

TIMING = Timing(150_000, 300_000, 50_000)
CONFIG = ScheduleConfig(
    nodes=3,
    clients=3,
    swarm=True,
    faults=SHARED,
    warmup_s=1,
    duration_s=6,
    liveness_s=1,
    ops_per_second=40,
    features=("snapshot_every=5",),
)


@pytest.mark.live
def test_a_run_with_snapshots_is_the_same_in_both_worlds_and_replays(tmp_path: Path) -> None:
    digests = []
    for world, carry_out in (("sim", run_sim), ("lockstep", run_lockstep)):
        settings = Settings(world="lockstep" if world == "lockstep" else "sim", schedule=CONFIG, timing=TIMING)
        schedule, run = settings.make_schedule(1), RunDir(tmp_path / world)
        info = carry_out(schedule, TIMING, None, run, describe(settings, 1, schedule, run))
        assert not [one for one in info.invariants if one.outcome == "violated"]
        digests.append(info.trace_sha256)
    real = RunDir(tmp_path / "lockstep")
    assert first_difference(RunDir(tmp_path / "sim").trace(), real.trace()) is None
    assert digests[0] == digests[1]
    events = [event for stream in real.node_streams() for event in stream]
    for kind in (SnapshotTaken, SnapshotInstalled):
        assert any(isinstance(event, kind) for event in events), "otherwise nothing is shown"
    assert any(isinstance(event, Started) and event.base_index for event in events)
    replayed = replay_run(real, Parts())
    assert [node.differences for node in replayed.nodes] == [[]] * 3
    assert sum(node.events for node in replayed.nodes) == len(events)
