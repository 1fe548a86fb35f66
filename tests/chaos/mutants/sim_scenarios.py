"""Scenarios that take a whole run in `sim`: their invariants rest on times, and on what the harness reports."""

from __future__ import annotations

from raft_chaos.chaos.faults.names import LEADER, OTHERS
from raft_chaos.chaos.faults.partition import Partition
from raft_chaos.chaos.reproduction.reproduce import Lines
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.chaos.run.sim.run import VirtualRun
from raft_chaos.chaos.schedule.config import ScheduleConfig
from raft_chaos.chaos.schedule.data import Fault, Header, Operation, Schedule, When
from raft_chaos.chaos.schedule.generate import generate
from raft_chaos.invariants.events import Event
from raft_chaos.invariants.history import Op
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.state.timing import Timing

TIMING = Timing(150_000, 300_000, 50_000)
SECOND_US = 1_000_000


def in_sim(parts: Parts, schedule: Schedule) -> list[Event | Op]:
    """All events and operations of the schedule's run with nodes of these parts."""
    lines = Lines()
    VirtualRun(schedule, timing=TIMING, driver=MemoryDriver(parts), recorder=lines).go()
    return list(lines.items)


def deaf_leader(seed: int) -> Schedule:
    """Three nodes. For 25 election timeouts the leader, n1 or n2, hears nobody, and n3 does not hear it."""
    lasts_us = 25 * TIMING.election_timeout_max_us
    partition = Partition("one_way", {LEADER: [OTHERS], "n3": [LEADER]})
    header = Header(
        seed=seed,
        nodes=["n1", "n2", "n3"],
        clients=["c0", "c1"],
        safety_from_us=SECOND_US,
        safety_until_us=SECOND_US + lasts_us,
        liveness_for_us=SECOND_US,
    )
    operations = [
        Operation(
            id=f"c{client}/{number}", client=f"c{client}", at_us=number * 300_000, f="put", key="k", value=f"{number}"
        )
        for number in range(1, 30)
        for client in range(2)
    ]
    fault = Fault(id="f1", when=When(at_us=SECOND_US), action=partition, duration_us=lasts_us)
    return Schedule(header, [fault], operations)


def many_elections(seed: int) -> Schedule:
    """Five nodes and four seconds; the leader is killed or cut off again and again."""
    config = ScheduleConfig(
        nodes=5,
        clients=2,
        warmup_s=1,
        duration_s=5,
        liveness_s=0.5,
        ops_per_second=10,
        faults=("kill", "partition"),
        fault_interval_s=0.4,
        swarm=True,
    )
    return generate(seed, config)
