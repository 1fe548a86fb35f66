"""Kills between two operations of a sync: each point is reached, and the node recovers whatever is lost."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from builders.runs import TIMING
from builders.schedules import fault, short
from raft_chaos.chaos.faults.kill_in_sync import OF_ANY_SNAPSHOT, KillInSync
from raft_chaos.chaos.faults.process import WHOLE_PERMILLE
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.chaos.run.nodes.stepped_node import SteppedNode
from raft_chaos.chaos.run.sim.run import VirtualRun
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.state.features import Features


@pytest.mark.parametrize("operations", range(1, OF_ANY_SNAPSHOT + 1))
@pytest.mark.parametrize(("keep", "holes"), [(0, 0), (WHOLE_PERMILLE, 0), (WHOLE_PERMILLE, 0b0101)])
def test_a_node_recovers_from_a_kill_at_each_point_of_a_sync(
    operations: int, keep: int, holes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuts: list[bool] = []
    whole = SteppedNode._cut_off

    def watched(node: SteppedNode, operations: int) -> bool:
        is_snapshot = node.wal.staged is not None
        if is_cut := whole(node, operations):
            cuts.append(is_snapshot)
        return is_cut

    monkeypatch.setattr(SteppedNode, "_cut_off", watched)
    plan = short(fault("f1", 450_000, KillInSync(["n3"], operations, 1_000, keep, holes)))
    plan = replace(plan, header=replace(plan.header, features=Features(snapshot_every=3)))
    verdicts = VirtualRun(plan, timing=TIMING, driver=MemoryDriver(Parts())).go().analysis.invariants
    assert not [verdict.invariant for verdict in verdicts if verdict.outcome == "violated"]
    assert len(cuts) == 1 and (operations < 3 or cuts == [True])
