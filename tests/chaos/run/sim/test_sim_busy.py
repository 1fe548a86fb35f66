"""A leader that is cut off holds what it may, and refuses the rest at once, without effect."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from msgspec.structs import replace

from builders.schedules import TIMING, fault, short
from raft_chaos.chaos.faults.partition import Partition
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.chaos.run.sim.run import VirtualRun
from raft_chaos.chaos.schedule.data import Operation
from raft_chaos.raft.replica.replica import Replica
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.state.timing import Timing

FROM_US, LASTS_US = 400_000, 8 * TIMING.election_timeout_max_us
CUT = fault("f1", FROM_US, Partition("isolate_leader", {"leader": ["others"], "others": ["leader"]}), LASTS_US)
CLIENTS = [f"c{number}" for number in range(6)]
A_COMMAND = 25
"""A command of these clients has hardly more bytes."""


class Watched(Replica):
    """Notes the most that waited at a node, and how often one was too busy."""

    most: ClassVar[int] = 0
    refused: ClassVar[int] = 0

    def submit(self, token: Any, command: bytes, now_us: int) -> bool:
        Watched.refused += self.core.role == "leader" and bool(self.busy(len(command)))
        taken = super().submit(token, command, now_us)
        Watched.most = max(Watched.most, self.waiting)
        return taken


def run(timing: Timing) -> tuple[dict[str, str], int, int]:
    """The verdicts of a run whose leader is cut off, the most that waited, and how often a leader was too busy."""
    plan = short(CUT, safety_us=(FROM_US, FROM_US + LASTS_US))
    operations = [
        Operation(id=f"{client}/{number}", client=client, at_us=at_us, f="append", key="k", value=f"{client}.{number}")
        for number, at_us in enumerate(range(300_000, FROM_US + LASTS_US, 5_000))
        for client in CLIENTS
    ]
    plan = replace(plan, header=replace(plan.header, clients=CLIENTS), operations=operations)
    Watched.most = Watched.refused = 0
    done = VirtualRun(plan, timing=timing, driver=MemoryDriver(Parts(replica=Watched))).go()
    verdicts = {one.invariant: one.outcome for one in done.analysis.invariants}
    return {name: outcome for name, outcome in verdicts.items() if outcome == "violated"}, Watched.most, Watched.refused


def test_without_a_tiny_bound_all_clients_wait_at_the_leader() -> None:
    assert run(TIMING) == ({}, len(CLIENTS), 0)


@pytest.mark.parametrize("bound", [{"max_waiting": 2}, {"max_waiting_bytes": 2 * A_COMMAND}])
def test_a_busy_leader_refuses_what_is_more_and_loses_nothing(bound: dict[str, int]) -> None:
    """What it refuses has no effect, so a client takes it elsewhere: appended once, and acknowledged once."""
    violated, most, refused = run(replace(TIMING, **bound))
    assert violated == {}
    assert most == 2
    assert refused > 10
