"""Schedules written by hand: faults at their times, and clients that write and read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from raft_chaos.chaos.faults.action import Action
from raft_chaos.chaos.faults.partition import Partition
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.schedule.data import Fault, Header, Operation, RequiredEvent, Schedule, When
from raft_chaos.chaos.schedule.file import save
from raft_chaos.raft.state.timing import Timing

TIMING = Timing(30_000, 60_000, 10_000)
"""Of runs in virtual time: short timeouts make short runs."""
LONGEST_US = TIMING.election_timeout_max_us
NODES = ["n1", "n2", "n3"]
SAFETY_US = (320_000, 800_000)
LIVENESS_US = 103_007


def fault(name: str, when: When | int, action: Action, duration_us: int = 0) -> Fault:
    at = When(at_us=when) if isinstance(when, int) else when
    return Fault(id=name, when=at, action=action, duration_us=duration_us)


def operations(clients: Sequence[str], until_us: int, every_us: int) -> list[Operation]:
    """Each client in turn writes to its own register and a shared list, and reads its neighbour's and the list."""
    made: list[Operation] = []
    for place, client in enumerate(clients):
        neighbour = clients[(place + 1) % len(clients)]
        for number, at_us in enumerate(range(300_000 + 1_000 * place, until_us, every_us)):
            name, value = f"{client}/{number}", f"{client}-{number}"
            match number % 4:
                case 0:
                    made.append(
                        Operation(id=name, client=client, at_us=at_us, f="put", key=f"reg/{client}", value=value)
                    )
                case 1:
                    made.append(Operation(id=name, client=client, at_us=at_us, f="append", key="list", value=value))
                case 2:
                    made.append(Operation(id=name, client=client, at_us=at_us, f="get", key=f"reg/{neighbour}"))
                case _:
                    made.append(Operation(id=name, client=client, at_us=at_us, f="get", key="list"))
    return sorted(made, key=lambda operation: operation.at_us)


def schedule(
    faults: Sequence[Fault] = (),
    *,
    safety_us: tuple[int, int] = (700_000, 1_500_000),
    liveness_us: int = 300_000,
    nodes: int = 3,
    clients: int = 3,
    every_us: int = 20_000,
    seed: int = 1,
    required: Sequence[RequiredEvent] = (),
) -> Schedule:
    """The faults, with `clients` clients that each do something every `every_us` (0: nothing at all)."""
    names = [f"c{number}" for number in range(clients)]
    header = Header(
        seed=seed,
        nodes=[f"n{number}" for number in range(1, nodes + 1)],
        clients=names,
        safety_from_us=safety_us[0],
        safety_until_us=safety_us[1],
        liveness_for_us=liveness_us,
        required=list(required),
    )
    return Schedule(header, list(faults), operations(names, safety_us[1] + liveness_us, every_us) if every_us else [])


def short(
    *faults: Fault,
    safety_us: tuple[int, int] = SAFETY_US,
    liveness_us: int = LIVENESS_US,
    every_us: int = 30_000,
    clients: int = 2,
    seed: int = 1,
) -> Schedule:
    """About a second of virtual time and five dozen operations."""
    return schedule(faults, safety_us=safety_us, liveness_us=liveness_us, every_us=every_us, clients=clients, seed=seed)


ISOLATED = {"leader": ["others"], "others": ["leader"]}
TWO_LEADERS = (
    fault("f1", 400_000, Kill(["leader"], [150_000]), 150_000),
    fault("f2", 600_000, Partition("isolate_leader", ISOLATED), 180_000),
)
"""What makes a run of `short` mean something: it has a change of leader."""


def saved(folder: Path, plan: Schedule) -> str:
    """The schedule as a file for `--schedule`."""
    file = folder / "by-hand.jsonl"
    save(plan, file)
    return str(file)
