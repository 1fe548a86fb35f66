"""How wide the pages of all commands are."""

from __future__ import annotations

import shutil

from raft_chaos.reports.text import NARROW, USUAL, WIDE


def columns() -> int:
    """The width of the terminal, or what COLUMNS says; 80 where there is neither, such as in a file."""
    return max(NARROW, min(WIDE, shutil.get_terminal_size((USUAL, 24)).columns))
