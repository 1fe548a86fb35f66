"""Empties the data folder of a node that loses its disk."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def emptied(folder: Path) -> int:
    """Removes everything in the folder, follows no link, and returns how many files there were."""
    if folder.is_symlink() or not folder.is_dir():
        return 0
    files = sum(len(names) for _, _, names in os.walk(folder))
    for entry in list(folder.iterdir()):
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink(missing_ok=True)
    return files
