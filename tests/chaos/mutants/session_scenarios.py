"""The scenarios that convict the mutants of client sessions: runs in `sim`."""

from __future__ import annotations

from msgspec.structs import replace
from sim_scenarios import SECOND_US, in_sim

from raft_chaos.chaos.faults.names import LEADER, OTHERS
from raft_chaos.chaos.faults.partition import Partition
from raft_chaos.chaos.schedule.data import Fault, Header, Operation, Schedule, SimModel, When
from raft_chaos.invariants.events import Event
from raft_chaos.invariants.history import Op
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.state.features import Features


def appending(faults: list[Fault], every_us: tuple[int, ...]) -> Schedule:
    """Three nodes, and a client for each time between two of its operations."""
    header = Header(
        seed=1,
        nodes=["n1", "n2", "n3"],
        clients=[f"c{number}" for number in range(len(every_us))],
        safety_from_us=SECOND_US,
        safety_until_us=4 * SECOND_US,
        liveness_for_us=SECOND_US,
    )
    operations = [
        Operation(
            id=f"{client}/{number}", client=client, at_us=number * us, f="append", key="k", value=f"{client}.{number}"
        )
        for client, us in zip(header.clients, every_us, strict=True)
        for number in range(1, 4 * SECOND_US // us)
    ]
    return Schedule(header, faults, operations)


def session_expiry_by_clock(parts: Parts) -> list[Event | Op]:
    """No fault at all: sessions are idle for longer and shorter than they live, and each node has its own time."""
    return in_sim(parts, appending([], (30_000, 530_000, 610_000, 700_000)))


def dedup_in_leader_memory(parts: Parts) -> list[Event | Op]:
    """Leaders are cut off while commands are on their way: the next leader has them, and clients give it them again."""
    cut = Partition("isolate_leader", {LEADER: [OTHERS], OTHERS: [LEADER]})
    faults = [
        Fault(id=f"f{turn}", when=When(at_us=turn * SECOND_US), action=cut, duration_us=SECOND_US * 3 // 4)
        for turn in range(1, 4)
    ]
    schedule = appending(faults, (20_000, 20_000, 20_000))
    slow = SimModel(latency_min_us=5_000, latency_max_us=10_000, sync_min_us=5_000, sync_max_us=20_000)
    return in_sim(parts, replace(schedule, header=replace(schedule.header, model=slow)))


def failures_not_remembered(parts: Parts) -> list[Event | Op]:
    """c0 expects what c1 puts only then, and c0's command arrives once more after that."""
    schedule = appending([], (SECOND_US, SECOND_US))
    header = replace(schedule.header, safety_until_us=2 * SECOND_US)
    cas = Operation(id="c0/1", client="c0", at_us=SECOND_US, f="cas", key="x", value="new", expected="old")
    put = Operation(id="c1/1", client="c1", at_us=SECOND_US + 100_000, f="put", key="x", value="old")
    get = Operation(id="c0/2", client="c0", at_us=SECOND_US + 200_000, f="get", key="x", again=1)
    return in_sim(parts, replace(schedule, header=header, operations=[cas, put, get]))


def session_named_by_client(parts: Parts) -> list[Event | Op]:
    """A client appends, and begins a new session before every third of its commands."""
    schedule = appending([], (100_000,))
    operations = [replace(one, anew=place % 3 == 0) for place, one in enumerate(schedule.operations)]
    read = Operation(id="c0/99", client="c0", at_us=4 * SECOND_US, f="get", key="k")
    return in_sim(parts, replace(schedule, operations=[*operations, read]))


def of_two_sessions(every_us: tuple[int, ...]) -> Schedule:
    """Clients without any fault. Nodes remember two sessions."""
    schedule = appending([], every_us)
    return replace(schedule, header=replace(schedule.header, features=Features(max_sessions=2)))


def sessions_never_forgotten(parts: Parts) -> list[Event | Op]:
    """Three clients take turns: whoever comes next was used before the two others."""
    return in_sim(parts, of_two_sessions((300_000, 310_000, 320_000)))


def oldest_session_forgotten(parts: Parts) -> list[Event | Op]:
    """One client is in a hurry, and two begin new sessions again and again."""
    return in_sim(parts, of_two_sessions((300_000, 310_000, 20_000)))


SCENARIOS = (
    session_expiry_by_clock,
    dedup_in_leader_memory,
    failures_not_remembered,
    session_named_by_client,
    sessions_never_forgotten,
    oldest_session_forgotten,
)
