"""What a world offers to a cluster by hand."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

from raft_chaos.chaos.run.clients import Client
from raft_chaos.chaos.run.fault_log import FaultLog
from raft_chaos.chaos.run.nemesis import Nemesis
from raft_chaos.chaos.run.tasks import Tasks
from raft_chaos.invariants.rundir import RunDir, RunInfo

Result = TypeVar("Result")

CLIENT = "hand"


class Stage(Protocol):
    """A run whose nodes are up. Time passes only within `go` in virtual time, and always in real time."""

    run: RunDir
    info: RunInfo

    @property
    def log(self) -> FaultLog: ...
    @property
    def tasks(self) -> Tasks: ...
    @property
    def client(self) -> Client: ...
    def new_nemesis(self) -> Nemesis:
        """A nemesis that gets the anchor events from now on."""
        ...

    def address(self, node: str) -> str:
        """Where clients reach the node; its name in virtual time."""
        ...

    def go(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """Carries out the coroutine. Raises HarnessError or DriverError if the harness fails meanwhile."""
        ...

    def finish(self) -> RunInfo:
        """Ends all nodes, judges the run, and returns the finished run.json. Further calls return the same."""
        ...
