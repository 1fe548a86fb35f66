"""Where nodes run, as virtual time sees it: a driver starts incarnations, which take a step when they are told to."""

from __future__ import annotations

from typing import Any, Protocol

from raft_chaos.chaos.faults.process import Failpoint
from raft_chaos.chaos.run.nodes.stepped_node import StepConfig, StepReport
from raft_chaos.raft.server.node import EXIT_CRASHED, EXIT_REFUSED
from raft_chaos.raft.storage.wal import CorruptLogError


class DriverError(Exception):
    """The harness cannot drive a node, which says nothing about the node. Ends the run."""


class NodeDiedError(Exception):
    """A node in a process of its own ended by itself: its exit code, and what it died of."""

    def __init__(self, exit_code: int, said: str) -> None:
        super().__init__(said)
        self.exit_code = exit_code


class DrivenNode(Protocol):
    """One incarnation that can be told to take a step; see `SteppedNode`. An error but DriverError is its end."""

    first: StepReport

    def receive(
        self, sender: str, sender_inc: int, number: int, message: Any, now_us: int, failpoint: Failpoint | None
    ) -> StepReport: ...
    def tick(self, now_us: int, failpoint: Failpoint | None) -> StepReport: ...
    def persisted(self, lsn: int, now_us: int, failpoint: Failpoint | None) -> StepReport: ...
    def submit(self, token: Any, command: bytes, now_us: int, failpoint: Failpoint | None) -> StepReport: ...
    def change_clock(self, now_us: int, rate_ppm: int, jump_us: int) -> int: ...
    def crash(self, keep_permille: int, keep_bytes: int | None = None) -> tuple[int, int]:
        """The incarnation is gone; of its unsynced bytes so many reached the disk, and so many did not.

        How many are to: a share, or where `keep_bytes` is given a number.
        """
        ...


class Driver(Protocol):
    """Where incarnations run."""

    def start(self, config: StepConfig, now_us: int) -> DrivenNode:
        """Raises whatever the node dies of before it is up, or DriverError."""
        ...


def exit_status(error: Exception) -> tuple[int, str]:
    """(exit code, last words) of a node that dies of `error`: the same in every world of virtual time."""
    if isinstance(error, NodeDiedError):
        return error.exit_code, str(error)
    return EXIT_REFUSED if isinstance(error, CorruptLogError) else EXIT_CRASHED, f"{type(error).__name__}: {error}"
