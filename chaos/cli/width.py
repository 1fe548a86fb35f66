"""How wide the pages of all commands are."""

from __future__ import annotations

import os

NO_TERMINAL = 100
"""In a file, or in the log of a CI server."""


def columns() -> int:
    """What COLUMNS says, or else the width of the terminal, also if stdout goes through a pipe to a pager there."""
    from raft_chaos.reports.text import NARROW, WIDE  # help begins without it

    asked = os.environ.get("COLUMNS", "")
    width = int(asked) if asked.isdecimal() and int(asked) else _of_terminal()
    return max(NARROW, min(WIDE, width))


def _of_terminal() -> int:
    """A terminal that does not know its size, as one that a script makes, says 0."""
    for descriptor in (1, 2, 0):
        try:
            if width := os.get_terminal_size(descriptor).columns:
                return width
        except OSError:
            continue  # it is no terminal, or is closed
    return NO_TERMINAL
