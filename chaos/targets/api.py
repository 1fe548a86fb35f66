"""What a target in Python consists of: `raft-chaos run --target module:Class`. docs/target-python.md explains it.

A class declares what it can, says how a node is started, and carries out operations:

    class MyTarget:
        name = "my-system"
        can = {"get", "put", "kill", "pause", "leader", "term"}
        ports = ("client", "peer")
        network = "tcp"
        ready_within_s = 30       # optional: how long a node may take until it answers
        stop_signal = "SIGTERM"   # optional, for "stop": what asks a node to end; with it stop_exit_codes = (0,), the
        stop_within_s = 10        # codes with which it may then end, and how long that may take

        def start(self, node: Node) -> Command: ...
        def ready(self, node: Node) -> bool: ...                      # optional: the first port accepts connections
        def invoke(self, node: Node, op: Operation) -> Answer: ...    # may be async
        def status(self, node: Node) -> Status | None: ...            # for "leader" and "term"; may be async
        def events(self) -> Sequence[LogLine]: ...                    # or these: lines of logs that say who leads
        def wipe(self, node: Node) -> None: ...                       # optional, for "wipe": beside emptying node.data
        def close(self) -> None: ...                                  # optional: the run is over; may be async

Any exception in `invoke` leaves the outcome unknown: a client library may have sent the operation before a second try
was refused. Return `Elsewhere` where nothing can have been sent. A function that is not async runs in a thread, so it
may block, and several run at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeAlias

from raft_chaos.chaos.schedule.data import Operation
from raft_chaos.chaos.targets.log_lines import LogLine
from raft_chaos.chaos.targets.protocol import Status
from raft_chaos.invariants.history import Value

__all__ = [
    "Node",
    "Command",
    "Operation",
    "Ok",
    "Fail",
    "Elsewhere",
    "Info",
    "Answer",
    "Status",
    "LogLine",
    "PythonTarget",
]


@dataclass(frozen=True)
class Node:
    """A node of a run, as its target sees it.

    `host` and `ports` are where it listens; `address` is where the harness reaches its first port; `peers` is where it
    reaches the link port of each other node. `data` is its folder, the same for all incarnations.
    """

    name: str
    number: int
    nodes: Sequence[str]
    incarnation: int
    host: str
    ports: Mapping[str, int]
    address: tuple[str, int]
    peers: Mapping[str, tuple[str, int]]
    data: Path


@dataclass(frozen=True)
class Command:
    """The program of a node."""

    argv: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Ok:
    """The operation happened; `value` is what a get read: a text, a list of texts, None for an absent key."""

    value: Value = None


@dataclass(frozen=True)
class Fail:
    """The operation certainly had no effect, and never will. `refused`: the target carried it out and found another
    value than the operation needs, as a cas does."""

    error: str = ""
    refused: bool = False


@dataclass(frozen=True)
class Elsewhere:
    """The node did not take the operation; another may. `node` is the one that it names."""

    error: str = ""
    node: str = ""


@dataclass(frozen=True)
class Info:
    """The operation may have happened, or may still happen."""

    error: str = ""


Answer: TypeAlias = Ok | Fail | Elsewhere | Info


class PythonTarget(Protocol):
    """What the harness needs of the class; see the module's header for the optional rest."""

    def start(self, node: Node) -> Command: ...
    def invoke(self, node: Node, op: Operation) -> Answer: ...
