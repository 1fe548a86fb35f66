"""Where nodes run in virtual time: a driver starts incarnations, which take one step for each input."""

from __future__ import annotations

from typing import Any, Protocol

from raft_chaos.chaos.faults.process import Failpoint
from raft_chaos.chaos.processes.shortage import HarnessError
from raft_chaos.chaos.run.nodes.stepped_node import StepConfig, StepReport
from raft_chaos.raft.server.node import EXIT_CRASHED, EXIT_REFUSED, EXIT_STARVED, is_starved
from raft_chaos.raft.storage.wal import CorruptLogError

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
    def tick(self, now_us: int, failpoint: Failpoint | None) -> StepReport: ...
    def persisted(self, lsn: int, now_us: int, failpoint: Failpoint | None) -> StepReport: ...
    def submit(self, token: Any, command: bytes, now_us: int, failpoint: Failpoint | None) -> StepReport: ...
    def change_clock(self, now_us: int, rate_ppm: int, jump_us: int) -> int: ...
    def crash(self, keep_permille: int, keep_bytes: int | None = None) -> tuple[int, int]:
        """Ends the incarnation; returns how many of its unsynced bytes reached the disk, and how many did not.

        `keep_permille` is the share that reaches it; `keep_bytes`, if given, is the number of bytes instead.
        """
        ...


class Driver(Protocol):
    """Where incarnations run."""

    def start(self, config: StepConfig, now_us: int) -> DrivenNode:
        """Raises the error of a node that dies before it is up, or DriverError."""
        ...


def exit_status(error: Exception) -> tuple[int, str]:
    """(exit code, last message) of a node that dies of `error`: the same in every world of virtual time."""
    if isinstance(error, NodeDiedError):
        return error.exit_code, str(error)
    said = f"{type(error).__name__}: {error}"
    if is_starved(error):
        return EXIT_STARVED, said
    if isinstance(error, CorruptLogError):
        return EXIT_REFUSED, said
    return EXIT_CRASHED, f"{said} ({at})" if (at := place_of(error)) else said


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


def end_of(node: str, error: Exception) -> tuple[int, str]:
    """`exit_status`, of which the node is accused. Raises DriverError if it only had too little of this machine."""
    code, said = exit_status(error)
    if code == EXIT_STARVED:
        raise DriverError(f"{node} had too little of this machine to continue: {said}")
    return code, said
