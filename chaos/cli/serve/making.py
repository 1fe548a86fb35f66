"""Makes the report of a run in a process of its own, for a bounded time: a long run, or a hostile one, takes long."""

from __future__ import annotations

import resource
from multiprocessing.connection import Connection
from pathlib import Path

from raft_chaos.chaos.cli.serve.folder import refuse_links
from raft_chaos.chaos.processes.shortage import sentence
from raft_chaos.chaos.processes.supervisor import Supervisor
from raft_chaos.invariants.rundir import RunDir
from raft_chaos.reports.write import render

PRELOAD = ("raft_chaos.chaos.processes.safe_path", "raft_chaos.chaos.cli.entry", "raft_chaos.reports.write")
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
        child = self._supervisor.start(f"report of {run.name}", _make, str(run), theirs)
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


def _make(run: str, to: Connection) -> None:
    """In a process of its own: sends the page, or why there is none."""
    resource.setrlimit(resource.RLIMIT_CPU, (PATIENCE_S, PATIENCE_S))
    to.send_bytes(made_of(Path(run)))


def made_of(run: Path) -> bytes:
    """ "+" and the page, or "-" and why there is none."""
    try:
        refuse_links(run)
        return b"+" + render(RunDir(run), "html").encode()
    except Exception as error:  # whatever is wrong with the run, the page says it
        return b"-" + sentence(error).encode(errors="replace")
