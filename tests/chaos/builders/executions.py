"""Executions for tests: one by hand in which a leader is elected and acknowledges a write, and recorded ones."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from builders.schedules import NODES, TIMING
from builders.storms import stormy
from raft_chaos.chaos.execution.player import Mode, Played, Player
from raft_chaos.chaos.execution.recording import record
from raft_chaos.chaos.execution.steps import (
    Call,
    Deliver,
    Execution,
    Invoke,
    Persist,
    Return,
    Start,
    Step,
    Submit,
    Timeout,
)
from raft_chaos.chaos.mutants import parts_of
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.chaos.run.sim.recorder import Stream

PUT = Call("c0/0", "c0", 0, "put", "x", "c0.0", 1, value="1")
GET = Call("c1/0", "c1", 1, "get", "x", "c1.1", 1)

ELECTION: tuple[Step, ...] = (
    *(Start(node) for node in NODES),  # 0 to 2
    Timeout("n1"),  # 3
    Persist("n1"),  # 4: asks for votes
    Deliver(4, "n2"),  # 5
    Persist("n2"),  # 6: grants its own
    Deliver(6, "n1"),  # 7: n1 leads, and sends its first entry
)
WRITE: tuple[Step, ...] = (
    Persist("n1"),  # 8
    Deliver(7, "n2"),  # 9
    Persist("n2"),  # 10
    Deliver(10, "n1"),  # 11: the first entry is committed
    Invoke("c0/0"),  # 12
    Submit("n1", "c0/0"),  # 13
    Persist("n1"),  # 14
    Deliver(13, "n2"),  # 15
    Persist("n2"),  # 16
    Deliver(16, "n1"),  # 17: the write is committed and applied
    Return("c0/0", answer=13),  # 18
)


def execution(steps: Iterable[Step], calls: Sequence[Call] = (PUT, GET), nodes: Sequence[str] = NODES) -> Execution:
    return Execution(seed=1, nodes=list(nodes), timing=TIMING, calls=list(calls), steps=list(steps))


def play(one: Execution, mutant: str | None = None, mode: Mode = "strict", sink: Lines | None = None) -> Played:
    return player(one, mutant, mode, sink).play()


def player(one: Execution, mutant: str | None = None, mode: Mode = "strict", sink: Lines | None = None) -> Player:
    return Player(one, MemoryDriver(parts_of(mutant)), mode=mode, recorder=sink)


class Lines:
    """Everything that happened, in order: (stream, content of the line)."""

    def __init__(self) -> None:
        self.all: list[tuple[Stream, dict[str, Any]]] = []

    def write(self, stream: Stream, lines: bytes, count: int) -> None:
        self.all += [(stream, json.loads(line)) for line in lines.splitlines()]

    def timeless(self) -> list[tuple[Stream, dict[str, Any]]]:
        return [(stream, {name: said for name, said in line.items() if name != "t_us"}) for stream, line in self.all]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [line for _, line in self.all if line.get("kind") == kind]


# ---- recorded ones ---------------------------------------------------------------------------------------------------


def recorded(seed: int, mutant: str | None = None, *, until: str | None = None) -> Execution:
    """The execution of a run with every kind of fault."""
    return record(stormy(seed), TIMING, parts_of(mutant), until=until)[1]
