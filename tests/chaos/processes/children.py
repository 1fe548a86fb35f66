"""What children do in tests of the supervisor. A module of its own: each child imports it anew."""

from __future__ import annotations

import os
import signal
import sys
from multiprocessing.connection import Connection


def sleeps() -> None:
    """Sleeps until it is killed."""
    while True:
        signal.pause()


def exits(code: int) -> None:
    os.write(1, b"last words\n")
    sys.exit(code)


def has_a_stubborn_child(pipe: Connection) -> None:
    """Starts a process that ignores all signals that can be ignored, and sends its pid."""
    child = os.fork()
    if child == 0:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        pipe.send(os.getpid())
    sleeps()


def leaves_a_child_behind(pipe: Connection) -> None:
    """Ends at once; the process that it started continues, in its group."""
    if os.fork() == 0:
        pipe.send(os.getpid())
        sleeps()
    pipe.close()
