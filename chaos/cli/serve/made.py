"""The process that makes the report of a run, for `making`."""

from __future__ import annotations

import resource
from multiprocessing.connection import Connection
from pathlib import Path

from raft_chaos.chaos.cli.serve.folder import refuse_links
from raft_chaos.chaos.processes.shortage import sentence
from raft_chaos.invariants.rundir import RunDir
from raft_chaos.reports.write import render


def main(run: str, patience_s: int, to: Connection) -> None:
    """In a process of its own: sends the page, or why there is none."""
    resource.setrlimit(resource.RLIMIT_CPU, (patience_s, patience_s))
    to.send_bytes(made_of(Path(run)))


def made_of(run: Path) -> bytes:
    """ "+" and the page, or "-" and why there is none."""
    try:
        refuse_links(run)
        return b"+" + render(RunDir(run), "html").encode()
    except Exception as error:  # whatever is wrong with the run, the page says it
        return b"-" + sentence(error).encode(errors="replace")
