"""A child that becomes a program of somebody else."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping

from raft_chaos.chaos.processes import open_files


def execute(
    argv: list[str],
    environment: Mapping[str, str],
    limit: int,
    enter: Callable[[], None] | None = None,
    stdin_and_stdout: socket.socket | None = None,
) -> None:
    """Replaces this process by the program, in the same process group; it may have `limit` open files."""
    open_files.set_limit(limit)
    if enter is not None:
        enter()
    if stdin_and_stdout is not None:
        for number in (0, 1):
            os.dup2(stdin_and_stdout.fileno(), number)
    try:
        os.execvpe(argv[0], argv, {**os.environ, **environment})
    except OSError as error:
        raise SystemExit(f"cannot run {argv[0]!r}: {error.strerror}") from None
