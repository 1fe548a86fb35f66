"""Disks that fail, and data that is damaged, are the same in `lockstep`: real files, and the trace of `sim`."""

from __future__ import annotations

from pathlib import Path

import pytest

from builders.runs import in_lockstep, in_sim
from builders.schedules import TWO_LEADERS, fault, short
from raft_chaos.chaos.faults.at_rest import BitFlip
from raft_chaos.chaos.faults.disk_error import DiskError
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.replay.node import replay_run
from raft_chaos.invariants.rundir import RunDir
from raft_chaos.raft.server.parts import Parts

pytestmark = [pytest.mark.slow, pytest.mark.live]

PLAN = short(
    *TWO_LEADERS,
    fault("f3", 420_000, DiskError(["n2"], "sync", "ENOSPC", once=True), 100_000),
    fault("f4", 560_000, Kill(["n1"], [1_000], [700], holes=[5])),
    fault("f5", 600_000, DiskError(["n1"], "read", "EIO"), 50_000),
    fault("f6", 720_000, BitFlip(["n3"], 400, 1_000)),
)


def test_faults_of_disks_make_the_same_trace_in_lockstep_and_replay_bit_for_bit(tmp_path: Path) -> None:
    simulated, real = in_sim(PLAN), in_lockstep(PLAN, tmp_path)
    assert (real.trace_sha256, real.verdict) == (simulated.trace_sha256, "valid")
    assert replay_run(RunDir(tmp_path / "run"), Parts()).differences == []
