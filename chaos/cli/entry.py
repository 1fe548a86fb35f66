"""The entry point of the console command. Signals and lost output are taken care of before the rest is imported."""

from __future__ import annotations

import gc
import sys

from raft_chaos.chaos.cli.start import importing
from raft_chaos.chaos.processes import interrupts


def main() -> None:
    """The console command; see `chaos.cli.ends` for its exit codes."""
    interrupts.install()
    with importing():
        from raft_chaos.chaos.cli import streams

        streams.prepare()
        from raft_chaos.chaos.cli import app
    code = app.main()
    interrupts.over()
    gc.freeze()  # the end of the process frees all: a search of a big run's objects would take seconds
    sys.exit(code)
