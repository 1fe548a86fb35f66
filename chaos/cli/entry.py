"""The entry point of the console command. Signals and lost output are taken care of before anything else is imported.

The rest is imported only here, which takes about a second. A signal meanwhile is remembered: raised in the middle of an
import, it could print a traceback.
"""

from __future__ import annotations

import sys

from raft_chaos.chaos.processes import interrupts


def main() -> None:
    """The console command; see `chaos.cli.ends` for its exit codes."""
    interrupts.install()
    with interrupts.held():
        from raft_chaos.chaos.cli import streams

        streams.prepare()
        from raft_chaos.chaos.cli import app
    code = app.main()
    interrupts.over()
    sys.exit(code)
