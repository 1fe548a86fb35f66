"""All pages of docs/reference/, by the names of their files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from docs.tools.reference import commands, configuration, docstrings, events, faults, invariants, mutants

FOLDER = Path(__file__).parents[2] / "reference"

PAGES: dict[str, Callable[[], str]] = {
    "commands.md": commands.text,
    "configuration.md": configuration.text,
    "events.md": events.text,
    "exit-codes.md": docstrings.exit_codes,
    "faults.md": faults.text,
    "files.md": docstrings.files,
    "invariants.md": invariants.text,
    "mutants.md": mutants.text,
}
