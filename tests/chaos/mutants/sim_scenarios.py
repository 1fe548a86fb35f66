"""Scenarios that take a whole run in `sim`: their invariants rest on times, and on what the harness reports."""

from __future__ import annotations

from raft_chaos.chaos.faults.names import LEADER, OTHERS
from raft_chaos.chaos.faults.partition import Partition
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.reproduction.reproduce import Lines
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.chaos.run.sim.run import VirtualRun
from raft_chaos.chaos.schedule.data import Fault, Header, Operation, Schedule, SimModel, When
from raft_chaos.invariants.events import Event
from raft_chaos.invariants.history import Op
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.state.features import NONE, Features
from raft_chaos.raft.state.timing import Timing

TIMING = Timing(150_000, 300_000, 50_000)
SECOND_US = 1_000_000


def in_sim(parts: Parts, schedule: Schedule) -> list[Event | Op]:
    """All events and operations of the schedule's run with nodes of these parts."""
    lines = Lines()
    VirtualRun(schedule, timing=TIMING, driver=MemoryDriver(parts), recorder=lines).go()
    return list(lines.items)


def deaf_leader(seed: int, *, heard: bool = False, features: Features = NONE) -> Schedule:
    """Three nodes. For 25 election timeouts the leader, n1 or n2, hears nobody; n3 does not hear it, or all do."""
    lasts_us = 25 * TIMING.election_timeout_max_us
    partition = Partition("one_way", {LEADER: [OTHERS]} if heard else {LEADER: [OTHERS], "n3": [LEADER]})
    header = Header(
        seed=seed,
        nodes=["n1", "n2", "n3"],
        clients=["c0", "c1"],
        safety_from_us=SECOND_US,
        safety_until_us=SECOND_US + lasts_us,
        liveness_for_us=SECOND_US,
        features=features,
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
    """Five nodes. The leader is killed and started again, its successor is cut off, and the next one is killed, within
    2 s. The slow network splits votes."""
    nodes = [f"n{number}" for number in range(1, 6)]
    cut = Partition("isolate_leader", {LEADER: [OTHERS], OTHERS: [LEADER]})
    faults = [
        Fault(
            id=f"f{number:02}",
            when=When(at_us=SECOND_US + number * 700_000),
            action=cut if number % 2 else Kill([LEADER], [400_000]),
            duration_us=400_000,
        )
        for number in range(3)
    ]
    header = Header(
        seed=seed,
        nodes=nodes,
        clients=["c0"],
        safety_from_us=SECOND_US,
        safety_until_us=4 * SECOND_US,
        liveness_for_us=SECOND_US // 2,
        model=SimModel(latency_min_us=5_000, latency_max_us=10_000, sync_min_us=5_000, sync_max_us=20_000),
    )
    operations = [
        Operation(id=f"c0/{number}", client="c0", at_us=number * 20_000, f="put", key="k", value="v")
        for number in range(25, 200)
    ]
    return Schedule(header, faults, operations)


def cut_off_leader(seed: int, features: Features) -> Schedule:
    """Three nodes. The leader is cut off for 1.5 s, while clients go on."""
    header = Header(
        seed=seed,
        nodes=["n1", "n2", "n3"],
        clients=["c0", "c1", "c2"],
        safety_from_us=SECOND_US,
        safety_until_us=3 * SECOND_US,
        liveness_for_us=SECOND_US,
        features=features,
    )
    operations = [
        Operation(
            id=f"c{client}/{number}", client=f"c{client}", at_us=number * 30_000, f="put", key="k", value=f"{number}"
        )
        for number in range(20, 100)
        for client in range(3)
    ]
    cut = Partition("isolate_leader", {LEADER: [OTHERS], OTHERS: [LEADER]})
    return Schedule(header, [Fault(id="f1", when=When(at_us=SECOND_US), action=cut, duration_us=1_500_000)], operations)


def quiet_cluster(seed: int, *, features: Features = NONE) -> Schedule:
    """Three nodes without faults. One client writes every 0.5 s, which is longer than any election timeout."""
    header = Header(
        seed=seed,
        nodes=["n1", "n2", "n3"],
        clients=["c0"],
        safety_from_us=SECOND_US,
        safety_until_us=2 * SECOND_US,
        liveness_for_us=4 * SECOND_US,
        features=features,
    )
    operations = [
        Operation(id=f"c0/{number}", client="c0", at_us=number * SECOND_US // 2, f="put", key="k", value="v")
        for number in range(2, 12)
    ]
    return Schedule(header, [], operations)


def one_long_cut(seed: int, features: Features = NONE, *, value: str = "v") -> Schedule:
    """Three nodes, of which n3 is cut off for 7 s while clients write to 30 keys. They also read by ReadIndex."""
    header = Header(
        seed=seed,
        nodes=["n1", "n2", "n3"],
        clients=["c0"],
        safety_from_us=SECOND_US,
        safety_until_us=9 * SECOND_US,
        liveness_for_us=SECOND_US,
        features=features,
    )
    operations = [
        Operation(
            id=f"c0/{number}",
            client="c0",
            at_us=number * 40_000,
            f="get" if number % 10 == 0 else "put",
            key=f"k{number % 30}",
            value=None if number % 10 == 0 else f"{value}{number}",
            consistency="read_index" if number % 10 == 0 else None,
        )
        for number in range(15, 240)
    ]
    cut = Partition("one", {"n3": ["n1", "n2"], "n1": ["n3"], "n2": ["n3"]})
    fault = Fault(id="f1", when=When(at_us=SECOND_US), action=cut, duration_us=7 * SECOND_US)
    return Schedule(header, [fault], operations)


def a_learner(seed: int) -> Schedule:
    """Of three nodes n3 has no vote at first. At the end all are to vote."""
    header = Header(
        seed=seed,
        nodes=["n1", "n2", "n3"],
        clients=["c0"],
        safety_from_us=SECOND_US,
        safety_until_us=2 * SECOND_US,
        liveness_for_us=SECOND_US // 2,
        features=Features(membership="joint", first_voters=2),
    )
    operations = [
        Operation(id=f"c0/{number}", client="c0", at_us=number * 50_000, f="put", key="k", value="v")
        for number in range(20, 60)
    ]
    return Schedule(header, [], operations)
