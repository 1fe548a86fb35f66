"""Schedules full of faults: what a seed draws, and at least one fault of each kind on top of it."""

from __future__ import annotations

from msgspec.structs import replace

from builders.schedules import NODES, TIMING, fault
from raft_chaos.chaos.faults.catalogue import VIRTUAL_KINDS
from raft_chaos.chaos.faults.clock import Clock
from raft_chaos.chaos.faults.disk import SlowSync
from raft_chaos.chaos.faults.network import Network, Reset
from raft_chaos.chaos.faults.partition import Clog
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.schedule.config import ScheduleConfig
from raft_chaos.chaos.schedule.data import Schedule
from raft_chaos.chaos.schedule.generate import generate


def swarm_config(nodes: int = len(NODES), duration_s: float = 0.8) -> ScheduleConfig:
    """Seeds draw from all faults, for runs of a second or two of virtual time."""
    return ScheduleConfig(
        swarm=True,
        nodes=nodes,
        clients=3,
        faults=VIRTUAL_KINDS,
        warmup_s=0.2,
        duration_s=duration_s,
        liveness_s=0.1,
        fault_interval_s=0.1,
        election_timeout_us_max=TIMING.election_timeout_max_us,
    )


def stormy(seed: int) -> Schedule:
    """About a second of virtual time: what the seed draws, and on top of it at least one fault of each kind."""
    drawn = generate(seed, swarm_config())
    added = [
        (250_000, Network(NODES, delay_max_us=3_000, loss=0.05, duplicate=0.3, reorder=0.2), 300_000),
        (300_000, Clog({"n2": ["n1", "n3"], "n1": ["n2"]}), 40_000),
        (380_000, Reset(["n1"], delivered=0.5), 0),
        (400_000, Clock(["n3"], rate_ppm=-200_000, jump_us=20_000), 200_000),
        (430_000, SlowSync(NODES, 4_000, 12_000), 250_000),
        (450_000, Kill(["leader"], [60_000], keep_permille=[600], failpoint="mid_send"), 0),
        (560_000, Kill(["n1"], [40_000], keep_permille=[300], failpoint="before_answer"), 0),
        (650_000, Kill(["leader", "n2"], [30_000, 50_000], keep_permille=[500, 900]), 0),
    ]
    faults = [fault(f"storm/{number}", *one) for number, one in enumerate(added)]
    # A clock jumps, so nobody reads by a lease.
    operations = [
        replace(one, consistency="read_index") if one.consistency == "lease" else one for one in drawn.operations
    ]
    return Schedule(drawn.header, [*drawn.faults, *faults], operations)


def without_clocks(plan: Schedule) -> Schedule:
    faults = [fault for fault in plan.faults if not isinstance(fault.action, Clock)]
    return Schedule(plan.header, faults, plan.operations)
