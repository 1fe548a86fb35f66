"""The words of a command line that starts a program of somebody else: where the program and its files are."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from raft_chaos.chaos.targets.protocol import TargetError


def found_beside(words: Sequence[str], folder: Path) -> list[str]:
    """The words of a command, where a word that is the relative path of a file in `folder` is its absolute path.

    A program's name without a slash is none of these: it is looked up in PATH, as in a shell.
    """

    def is_beside(place: int, word: str) -> bool:
        return (place > 0 or "/" in word) and "{" not in word and (folder / word).is_file()

    return [str((folder / word).absolute()) if is_beside(place, word) else word for place, word in enumerate(words)]


def find_program(name: str) -> None:
    """Raises TargetError if there is no such program."""
    if shutil.which(name) is None:
        raise TargetError(f"there is no program {name!r} that could be run")
