"""Which version of a system is broken: what its own program says, or the package or the class that describes it.

A verdict is about one version. So run.json and reproduction files name it, and whoever repeats a failure over another
version is told.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path

from raft_chaos.chaos.targets import description, python_class
from raft_chaos.chaos.targets.find import STDIO
from raft_chaos.chaos.targets.program import found_beside
from raft_chaos.chaos.targets.protocol import TargetError

SAYS_WITHIN_S = 10.0
MOST_CHARACTERS = 80


def version_of(name: str | None) -> str:
    """The version of the target by this name; "" if nothing says it.

    A target's file has a command for it (`version`). An installed target has the version of its package. A class may
    have `version`, a text or a function without arguments.
    """
    if name is None or name.startswith(STDIO):
        return ""
    if not name.endswith(".toml"):
        return _of_class(name)
    file = Path(name)
    try:
        described = description.load(file)
    except TargetError:
        return ""
    return _said(found_beside(described.version_words, file.parent), described.environment)


def _said(words: Sequence[str], environment: Mapping[str, str]) -> str:
    """The first line with a digit that the command prints; "" if it prints none."""
    if not words:
        return ""
    plain = {key: value for key, value in environment.items() if "{" not in value}
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env={**os.environ, **plain},
            timeout=SAYS_WITHIN_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    lines = (done.stdout + b"\n" + done.stderr).decode(errors="replace").splitlines()
    numbered = (line.strip() for line in lines if any(character.isdigit() for character in line))
    return next(numbered, "")[:MOST_CHARACTERS] if done.returncode == 0 else ""


def _of_class(name: str) -> str:
    for point in entry_points(group=python_class.GROUP):
        if point.name == name and point.dist is not None:
            return point.dist.version
    try:
        said = getattr(python_class.load(name), "version", "")
        return str(said() if callable(said) else said)[:MOST_CHARACTERS]
    except Exception:  # somebody else's code; a run does not need its answer
        return ""
