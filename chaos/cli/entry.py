"""The entry point of the console command. Signals and lost output are taken care of before anything else is imported.

The rest is imported only here, which takes about a second. A signal meanwhile is remembered: raised in the middle of an
import, it could print a traceback.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import NoReturn

from raft_chaos.chaos.processes import interrupts


def main() -> None:
    """The console command; see `chaos.cli.ends` for its exit codes."""
    interrupts.install()
    with interrupts.held():
        try:
            from raft_chaos.chaos.cli import streams

            streams.prepare()
            from raft_chaos.chaos.cli import app
        except Exception as error:
            _cannot_start(error)
    code = app.main()
    interrupts.over()
    sys.exit(code)


def _cannot_start(error: Exception) -> NoReturn:
    """Ends with 255: Python's own code for an error is 1, which is the code of a violation. Nothing but the system call
    is sure to work here, since mostly memory or open files have run out."""
    if os.environ.get("RAFT_CHAOS_TRACEBACK"):
        raise error
    reason = " ".join(f"{type(error).__name__} {error}".split())
    said = f"raft-chaos cannot start: {reason}; allow more memory (`ulimit -v`) or files (`ulimit -n`), or reinstall it"
    with suppress(OSError):
        os.write(2, f"{said}\n".encode(errors="replace"))
    os._exit(255)
