"""A folder of a user whose modules have the names of the standard library's, and tell when somebody imports them."""

from __future__ import annotations

from pathlib import Path

NAMES = ("json", "logging", "random", "signal")

MODULE = """
import sys
from pathlib import Path
with (Path(__file__).parent / "imported").open("a") as file:
    print(__name__, sys.argv, sys.path, file=file)
raise RuntimeError("the user's own module was imported in place of the standard library's")
"""


def shadow_the_standard_library(folder: Path) -> None:
    for name in NAMES:
        (folder / f"{name}.py").write_text(MODULE)


def imported_from(folder: Path) -> str:
    """The importers of these modules; empty if there were none."""
    told = folder / "imported"
    return told.read_text() if told.exists() else ""
