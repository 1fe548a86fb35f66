"""Makes the report of a run in a process of its own, for a bounded time: a long run, or a hostile one, takes long."""

from __future__ import annotations

from pathlib import Path

from raft_chaos.chaos.processes.first_steps import MainOf
from raft_chaos.chaos.processes.supervisor import Supervisor

PRELOAD = (
    "raft_chaos.chaos.processes.safe_path",
    "raft_chaos.chaos.cli.entry",
    "raft_chaos.chaos.cli.serve.made",
    "raft_chaos.reports.html.run",
)
MAIN = MainOf("cli.serve.made:main")
PATIENCE_S = 120


class NoReportError(Exception):
    """There is no report of this run. The message says why."""


class Maker:
    """Makes reports in processes of this supervisor, which ends them if the server is killed."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    def __call__(self, run: Path) -> bytes:
        """The page. Raises NoReportError."""
        ours, theirs = self._supervisor.pipe()
        child = self._supervisor.start(f"report of {run.name}", MAIN, str(run), PATIENCE_S, theirs)
        theirs.close()
        try:
            if not ours.poll(PATIENCE_S):
                raise NoReportError(
                    f"the report took longer than {PATIENCE_S} s; raft-chaos report {run} has more time"
                )
            made = ours.recv_bytes()
        except (EOFError, OSError):
            raise NoReportError("the process that made the report ended before it was ready") from None
        finally:
            ours.close()
            child.kill()
        if made[:1] != b"+":
            raise NoReportError(made[1:].decode())
        return made[1:]
