"""Where progress is shown: drawn by rich if stderr is a terminal, and elsewhere in plain lines, without rich."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress
    from rich.status import Status

ASKED_FOR = ("FORCE_COLOR", "TTY_COMPATIBLE")
"""The environment variables by which a user makes rich draw in what is no terminal."""


def console() -> Console | None:
    """The console on stderr; None if that is no terminal."""
    if not sys.stderr.isatty() and not any(name in os.environ for name in ASKED_FOR):
        return None
    from rich.console import Console

    found = Console(stderr=True, highlight=False)
    return found if found.is_terminal else None


def status(said: str) -> Status | None:
    """A line that changes, to be started and stopped; None if stderr is no terminal."""
    if (there := console()) is None:
        return None
    from rich.status import Status

    return Status(said, console=there)


def bar(total: int) -> Progress | None:
    """A bar with one task of so many steps, to be started and stopped; None if stderr is no terminal."""
    if (there := console()) is None:
        return None
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    found = Progress(BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=there, transient=True)
    found.add_task("", total=total)
    return found
