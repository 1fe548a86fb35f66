"""Carries out commands whose stdout or stderr is broken: `python -m cli.bad_outsides`, cases as JSON on stdin.

A case is {"words": [...], "outside": NAME, "cwd": FOLDER}. For each case one line of JSON: the exit code and what came
to stderr. Each command is a child of its own that begins like the console command, but importing once is enough.
"""

from __future__ import annotations

import io
import json
import os
import sys
import tempfile
from collections.abc import Callable

from raft_chaos.chaos.cli import app, ends, entry, streams  # noqa: F401  what `entry.main` imports
from raft_chaos.chaos.cli.commands import COMMANDS
from raft_chaos.chaos.cli.lazy import load


def _closed(number: int) -> None:
    os.close(number)


def _full(number: int) -> None:
    os.dup2(os.open("/dev/full", os.O_WRONLY), number)


def _unread(number: int) -> None:
    """A pipe whose reader has gone."""
    theirs, ours = os.pipe()
    os.dup2(ours, number)
    os.close(theirs)
    os.close(ours)


def _fine(number: int) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), number)


OUTSIDES: dict[str, tuple[int, Callable[[int], None]]] = {
    "stdout closed": (1, _closed),
    "stdout full": (1, _full),
    "stdout unread": (1, _unread),
    "stderr closed": (2, _closed),
    "stderr full": (2, _full),
    "stderr unread": (2, _unread),
    "ascii": (1, _fine),
}


def main() -> None:
    for command in COMMANDS:
        load(command)
    for line in sys.stdin:
        case = json.loads(line)
        with tempfile.TemporaryFile() as said:
            child = os.fork()
            if child == 0:
                _child(case["words"], case["outside"], case["cwd"], said.fileno())
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            said.seek(0)
            sys.stdout.write(json.dumps([code, said.read().decode(errors="replace")]) + "\n")
            sys.stdout.flush()


def _child(words: list[str], outside: str, cwd: str, said: int) -> None:
    """The command. Its streams are as Python makes them when it starts: None for a closed descriptor."""
    os.chdir(cwd)
    os.dup2(said, 2)
    number, spoil = OUTSIDES[outside]
    if number == 2:
        _fine(1)
    spoil(number)
    encoding = "ascii" if outside == "ascii" else "utf-8"
    sys.stdout = _stream(1, encoding, "strict")
    sys.stderr = _stream(2, encoding, "backslashreplace")
    sys.argv = ["raft-chaos", *words]
    entry.main()


def _stream(number: int, encoding: str, errors: str) -> io.TextIOWrapper:
    try:
        os.fstat(number)
    except OSError:
        return None  # type: ignore[return-value]
    return open(number, "w", encoding=encoding, errors=errors, closefd=False)


if __name__ == "__main__":
    main()
