"""Which version of a system is broken: what its own program says, or the package or the class that describes it.

A verdict is about one version. So run.json and reproduction files name it, and whoever repeats a failure over another
version is told.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from raft_chaos.chaos.targets import class_names, description
from raft_chaos.chaos.targets.command_lines import found_beside
from raft_chaos.chaos.targets.find import STDIO
from raft_chaos.chaos.targets.protocol import TargetError

SAYS_WITHIN_S = 10.0
POLL_S = 0.02
MOST_BYTES = 64 * 1024
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
    # The system's `timeout` ends the command also if this process is killed meanwhile.
    within = ["timeout", "-s", "KILL", f"{SAYS_WITHIN_S:g}"]
    try:
        process = subprocess.Popen(
            [*within, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **plain},
            start_new_session=True,
        )
    except OSError:
        return ""
    try:
        printed = _until_end(process)
    finally:  # whatever it has started, too; its group is there as long as nobody has waited for it
        os.killpg(process.pid, signal.SIGKILL)
        code = process.wait()
    if printed is None or code != 0:
        return ""
    lines = printed.decode(errors="replace").splitlines()
    return next((line.strip() for line in lines if any(map(str.isdigit, line))), "")[:MOST_CHARACTERS]


def _until_end(process: subprocess.Popen[bytes]) -> bytes | None:
    """What it prints until it ends; None if it does not end in time, or prints too much."""
    assert process.stdout is not None
    printed, until_s = b"", time.monotonic() + SAYS_WITHIN_S
    with process.stdout as pipe:
        while (left_s := until_s - time.monotonic()) > 0 and len(printed) <= MOST_BYTES:
            if not select.select([pipe], [], [], left_s)[0]:
                return None
            if not (more := os.read(pipe.fileno(), MOST_BYTES)):
                return printed if _has_ended(process.pid, until_s) else None
            printed += more
    return None


def _has_ended(pid: int, until_s: float) -> bool:
    """Whether the process ends in time. It stays a zombie, so that its group still has its number."""
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
        if time.monotonic() >= until_s:
            return False
        time.sleep(POLL_S)
    return True


def _of_class(name: str) -> str:
    from importlib.metadata import entry_points  # it brings the parser of mails

    for point in entry_points(group=class_names.GROUP):
        if point.name == name and point.dist is not None:
            return point.dist.version
    try:
        said = getattr(class_names.load(name), "version", "")
        return str(said() if callable(said) else said)[:MOST_CHARACTERS]
    except Exception:  # somebody else's code; a run does not need its answer
        return ""
