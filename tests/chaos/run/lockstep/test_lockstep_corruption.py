"""Flipped bits in lockstep: a real node reads the real bytes and refuses them, and the trace is that of `sim`."""

from __future__ import annotations

from pathlib import Path

import pytest

from builders.runs import in_lockstep, in_sim
from builders.schedules import fault, short
from raft_chaos.chaos.faults.corrupt import Corrupt
from raft_chaos.chaos.faults.pause import Pause
from raft_chaos.chaos.faults.process import Kill

pytestmark = [pytest.mark.slow, pytest.mark.live]

PLAN = short(
    fault("f1", 400_000, Corrupt(["n3"], 0.3), 300_000),
    fault("f2", 450_000, Pause(["n3"]), 80_000),
    fault("f3", 600_000, Kill(["leader"], [100_000]), 100_000),
    fault("f4", 650_000, Corrupt(["n1", "n2", "n3"], 0.1), 100_000),
)


@pytest.mark.parametrize("peer_auth", [False, True])
def test_real_nodes_refuse_them_and_the_trace_is_that_of_sim(tmp_path: Path, peer_auth: bool) -> None:
    expected = in_sim(PLAN)
    real = in_lockstep(PLAN, tmp_path, peer_auth=peer_auth)
    assert (real.trace_sha256, real.verdict) == (expected.trace_sha256, "valid")
    logs = "".join(file.read_text() for file in (tmp_path / "run").glob("nodes/*/stderr.log"))
    assert "the checksum of a frame" in logs


def test_the_mutant_takes_the_same_frames_as_in_sim(tmp_path: Path) -> None:
    plan = short(fault("f1", 400_000, Corrupt(["n3"], 0.3), 400_000))
    expected = in_sim(plan, "frame_checksum_ignored")
    real = in_lockstep(plan, tmp_path, "frame_checksum_ignored")
    assert (real.trace_sha256, real.verdict) == (expected.trace_sha256, "violated")
