"""Where nodes run in virtual time: a driver starts incarnations, which take one step for each input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from raft_chaos.chaos.faults.damage import Damage
from raft_chaos.chaos.faults.process import Failpoint
from raft_chaos.chaos.processes.shortage import HarnessError
from raft_chaos.chaos.run.nodes.step import StepConfig, StepReport
from raft_chaos.raft.replica.command import Read
from raft_chaos.raft.server.exit_codes import EXIT_CRASHED, EXIT_DISK, EXIT_REFUSED, EXIT_STARVED, exit_code_of
from raft_chaos.raft.storage.failing import Failing

CODE_OF_NODES = ("raft_chaos.raft.", "raft_chaos.chaos.mutants.")


class DriverError(HarnessError):
    """The harness cannot drive a node. The error says nothing about the node, and ends the run."""


class NodeDiedError(Exception):
    """A node in a process of its own ended by itself: its exit code and its error."""

    def __init__(self, exit_code: int, said: str) -> None:
        super().__init__(said)
        self.exit_code = exit_code


class DrivenNode(Protocol):
    """One incarnation that takes steps; see `SteppedNode`. Any error but a DriverError is its end."""

    first: StepReport

    def receive(
        self, sender: str, sender_inc: int, number: int, message: Any, now_us: int, failpoint: Failpoint | None
    ) -> StepReport: ...
    def receive_corrupted(
        self,
        sender: str,
        sender_inc: int,
        number: int,
        message: Any,
        flips: Sequence[float],
        now_us: int,
        failpoint: Failpoint | None,
    ) -> StepReport | None:
        """The frame arrives with flipped bits at these places (`chaos.faults.corrupt`); None if the node refuses it."""
        ...

    def tick(self, now_us: int, failpoint: Failpoint | None) -> StepReport: ...
    def persisted(self, lsn: int, now_us: int, failpoint: Failpoint | None) -> StepReport: ...
    def submit(self, token: Any, command: bytes, now_us: int, failpoint: Failpoint | None) -> StepReport: ...
    def read(self, token: Any, read: Read, now_us: int, failpoint: Failpoint | None) -> StepReport: ...
    def transfer(self, target: str | None, now_us: int, failpoint: Failpoint | None) -> StepReport: ...
    def change_clock(self, now_us: int, rate_ppm: int, jump_us: int) -> int: ...
    def break_disk(self, failing: Failing | None) -> int: ...
    def crash(self, keep_permille: int, keep_bytes: int | None = None, holes: int = 0) -> tuple[int, int]:
        """Ends the incarnation; returns how many of its unsynced bytes reached the disk, and how many did not.

        `keep_permille` is the share that reaches it; `keep_bytes`, if given, is the number of bytes instead. `holes`
        says which blocks of these do not reach it.
        """
        ...

    def stop(self) -> None:
        """Ends the incarnation in order, as it does when it is asked to. Raises its error if it dies of that."""
        ...


class Driver(Protocol):
    """Where incarnations run."""

    def start(self, config: StepConfig, now_us: int) -> DrivenNode:
        """Raises the error of a node that dies before it is up, or DriverError."""
        ...

    def damage(self, node: str, damage: Damage) -> str:
        """Damages the data of a node that is down; returns what that did, "" if it found nothing to damage."""
        ...


def exit_status(error: Exception) -> tuple[int, str]:
    """(exit code, last message) of a node that dies of `error`: the same in every world of virtual time."""
    if isinstance(error, NodeDiedError):
        return error.exit_code, str(error)
    code, said = exit_code_of(error), f"{type(error).__name__}: {error}"
    return code, f"{said} ({at})" if code == EXIT_CRASHED and (at := place_of(error)) else said


def place_of(error: Exception) -> str:
    """The line of the node's code that raised the error: "raft/core/leader.py:84, in _on_ack". "" if it was not raised.

    It is named by its module, so it is the same wherever the code is installed. An error in a library counts for the
    line of ours that called it.
    """
    place, ours = "", False
    trace = error.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        module = str(frame.f_globals.get("__name__", ""))
        is_ours = module.startswith(CODE_OF_NODES)
        if is_ours or not ours:
            file = module.removeprefix("raft_chaos.").replace(".", "/")
            place, ours = f"{file}.py:{trace.tb_lineno}, in {frame.f_code.co_name}", ours or is_ours
        trace = trace.tb_next
    return place


@dataclass
class DiskState:
    """What was done to a node's disk: what it fails at, and whether its data is damaged."""

    failing: Failing | None = None
    damaged: bool = False


class End(NamedTuple):
    """How a node ended by itself; `excused` is what the harness did to it that lets it end like this, or "". It may
    start again if it `can_start`."""

    exit_code: int
    said: str
    excused: str
    can_start: bool


def end_of(node: str, error: Exception, disk: DiskState) -> End:
    """How a node ends that dies of `error`. Raises DriverError if it only had too little of this machine."""
    code, said = exit_status(error)
    excused = excuse(code, disk.failing, damaged=disk.damaged)
    if code == EXIT_STARVED and not excused:
        raise DriverError(f"{node} had too little of this machine to continue: {said}")
    can_start = excused == FAILING_DISK
    if can_start and disk.failing is not None and disk.failing.once:
        disk.failing = None
    return End(code, said, excused, can_start)


ASKED = "asked to stop"
FAILING_DISK = "a failing disk"
DAMAGED_DATA = "damaged data"


def excuse(exit_code: int, failing: Failing | None, *, damaged: bool) -> str:
    """What lets a node of our own end by itself with this code; "" if nothing does.

    A node whose disk fails must stop, and says so by its exit code. A node that finds its data damaged must not start.
    """
    if failing is not None and exit_code == (EXIT_STARVED if failing.error == "ENOSPC" else EXIT_DISK):
        return FAILING_DISK
    return DAMAGED_DATA if damaged and exit_code == EXIT_REFUSED else ""
