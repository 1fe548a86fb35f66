"""Compares the simulator with a bare event loop, in one process and in turn, so that other load affects both.

The bare loop does the minimum of any simulator in Python: it takes the earliest item of a heap, calls a method that
makes one reply, draws one delay, and pushes. The simulator's deliveries do that too, and in addition run the node
itself (the live replica, its log and its recovery), every checker, and the digest of the trace.

All figures are CPU time on one core.
"""

from __future__ import annotations

import heapq
from random import Random
from time import process_time

import msgspec

from bench.measures import Row, Sizes
from raft_chaos.chaos.faults.catalogue import VIRTUAL_KINDS
from raft_chaos.chaos.judgement.analysis import Stats
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.chaos.run.sim.run import VirtualRun
from raft_chaos.chaos.schedule.config import ScheduleConfig
from raft_chaos.chaos.schedule.data import Header, Operation, Schedule
from raft_chaos.chaos.schedule.generate import generate
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.state.timing import Timing

NODES = 5
BARE_TURNS = 200_000
OPS_PER_SECOND = 10.0
SHORT_RUNS = 20
TIMING = Timing(150_000, 300_000, 50_000)


def measure(sizes: Sizes) -> list[Row]:
    """The rows of `python -m bench --only sim`; each round has another seed."""
    rows = [
        Row("heartbeats alone: deliveries/s, turns/s", [], [], more_is_better=True),
        Row(f"swarm, {OPS_PER_SECOND:g} commands/s: deliveries/s, turns/s", [], [], more_is_better=True),
        Row(f"swarm, {OPS_PER_SECOND:g} commands/s: simulated s/s", [], [], more_is_better=True),
        Row("one election and one command, start to verdict: ms", [], [], more_is_better=False),
    ]
    for seed in range(1, sizes.rounds + 1):
        turns = bare_turns_per_s()
        idle, idle_s = run(heartbeats(seed, sizes.simulated_s))
        swarm, swarm_s = run(standard_swarm(seed, sizes.simulated_s))
        ours = (
            float(idle["deliveries"]) / idle_s,
            float(swarm["deliveries"]) / swarm_s,
            float(swarm["simulated_s"]) / swarm_s,
            short_run_ms(seed),
        )
        for row, figure in zip(rows, ours, strict=True):
            row.ours.append(figure)
        for row in rows[:2]:
            row.theirs.append(turns)
    return rows


# ---- the bare loop --------------------------------------------------------------------------------------------------


class _Reply:
    __slots__ = ("at", "to")

    def __init__(self, at: float, to: int) -> None:
        self.at = at
        self.to = to


class _Toy:
    __slots__ = ("_next",)

    def __init__(self, place: int) -> None:
        self._next = (place + 1) % NODES

    def receive(self, now: float, reply: _Reply | None) -> _Reply:
        return _Reply(now, self._next)


def bare_turns_per_s() -> float:
    """Five toy nodes, each turn one delivery."""
    toys = [_Toy(place) for place in range(NODES)]
    heap: list[tuple[float, int, _Toy, _Reply | None]] = [(0.0, place, toys[place], None) for place in range(NODES)]
    pop, push, delay = heapq.heappop, heapq.heappush, Random(1).expovariate
    began = process_time()
    for number in range(NODES, NODES + BARE_TURNS):
        now, _, toy, received = pop(heap)
        reply = toy.receive(now, received)
        push(heap, (now + delay(1.0), number, toys[reply.to], reply))
    return BARE_TURNS / (process_time() - began)


# ---- the simulator --------------------------------------------------------------------------------------------------


def heartbeats(seed: int, duration_s: float) -> Schedule:
    """Without faults and clients: after the election, a leader's heartbeats and their answers."""
    config = ScheduleConfig(nodes=NODES, warmup_s=1.5, duration_s=duration_s, liveness_s=1.5, ops_per_second=0)
    return msgspec.structs.replace(generate(seed, config), faults=[])


def standard_swarm(seed: int, duration_s: float) -> Schedule:
    """Faults of every kind, drawn as in a campaign."""
    config = ScheduleConfig(
        swarm=True,
        nodes=NODES,
        warmup_s=1.5,
        duration_s=duration_s,
        liveness_s=1.5,
        faults=VIRTUAL_KINDS,
        ops_per_second=OPS_PER_SECOND,
    )
    return generate(seed, config)


def short(seed: int) -> Schedule:
    """An election, one command, and little else: about sixty steps."""
    header = Header(
        seed=seed,
        nodes=["n1", "n2", "n3"],
        clients=["c0"],
        safety_from_us=200_000,
        safety_until_us=230_000,
        liveness_for_us=30_000,
    )
    return Schedule(header, [], [Operation(id="c0/1", client="c0", at_us=0, f="put", key="x", value="1")])


def run(schedule: Schedule) -> tuple[Stats, float]:
    """The run's numbers, and the CPU seconds that it took."""
    began = process_time()
    simulated = VirtualRun(schedule, timing=TIMING, driver=MemoryDriver(Parts())).go()
    return simulated.analysis.stats, process_time() - began


def short_run_ms(seed: int) -> float:
    """The time of a whole run, from the start to its verdict."""
    schedule = short(seed)
    began = process_time()
    for _ in range(SHORT_RUNS):
        run(schedule)
    return (process_time() - began) / SHORT_RUNS * 1e3
