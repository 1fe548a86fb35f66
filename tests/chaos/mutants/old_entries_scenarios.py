"""The scenarios that convict the mutants of reading back what is not in memory: runs in `sim` with a tiny cache."""

from __future__ import annotations

from sim_scenarios import SECOND_US, in_sim

from raft_chaos.chaos.faults.disk_error import DiskError
from raft_chaos.chaos.faults.names import LEADER, OTHERS
from raft_chaos.chaos.faults.partition import Partition
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.schedule.data import Fault, Header, Operation, Schedule, When
from raft_chaos.invariants.events import Event
from raft_chaos.invariants.history import Op
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.state.features import Features


def tiny_cache(faults: list[Fault], until_us: int) -> Schedule:
    """Three nodes that keep a few entries each, and two clients that write all the time."""
    header = Header(
        seed=1,
        nodes=["n1", "n2", "n3"],
        clients=["c0", "c1"],
        safety_from_us=SECOND_US,
        safety_until_us=until_us,
        liveness_for_us=SECOND_US,
        features=Features(cache_bytes=2_000),
    )
    operations = [
        Operation(id=f"{client}/{number}", client=client, at_us=number * 20_000, f="put", key="k", value=f"{number}")
        for number in range(1, until_us // 20_000)
        for client in header.clients
    ]
    return Schedule(header, faults, operations)


def read_error_matches_nothing(parts: Parts) -> list[Event | Op]:
    """Two terms have entries. n3 misses so many that the leader must read them back, and its disk fails at that."""
    apart = Partition("one", {"n3": ["n1", "n2"], "n1": ["n3"], "n2": ["n3"]})
    faults = [
        Fault(id="f1", when=When(at_us=SECOND_US), action=Kill([LEADER], [400_000]), duration_us=400_000),
        Fault(id="f2", when=When(at_us=3 * SECOND_US), action=apart, duration_us=SECOND_US),
        Fault(
            id="f3",
            when=When(at_us=4 * SECOND_US - 100_000),
            action=DiskError([LEADER], "read_back", "EIO", once=True),
            duration_us=SECOND_US,
        ),
    ]
    return in_sim(parts, tiny_cache(faults, 6 * SECOND_US))


def deleted_entry_read_back(parts: Parts) -> list[Event | Op]:
    """Leaders that are cut off write entries that others replace. Later all nodes start again, and apply their logs
    from the beginning."""
    cut = Partition("isolate_leader", {LEADER: [OTHERS], OTHERS: [LEADER]})
    faults = [
        Fault(id=f"f{turn}", when=When(at_us=turn * SECOND_US), action=cut, duration_us=SECOND_US // 2)
        for turn in range(1, 4)
    ]
    restarts = Kill(["n1", "n2", "n3"], [0, 0, 0])
    faults.append(Fault(id="f4", when=When(at_us=4 * SECOND_US), action=restarts, duration_us=1))
    return in_sim(parts, tiny_cache(faults, 5 * SECOND_US))


SCENARIOS = (read_error_matches_nothing, deleted_entry_read_back)
