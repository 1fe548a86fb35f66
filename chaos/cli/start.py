"""Imports of the console command. A signal or a lack of memory meanwhile must not end it with a traceback."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

from raft_chaos.chaos.processes import interrupts


@contextmanager
def importing() -> Iterator[None]:
    """For a block of imports. A signal meanwhile is remembered: raised inside an import, it could print a traceback.

    An import that fails ends the process, with exit code 255.
    """
    with interrupts.held(), _no_garbage():
        try:
            yield
        except Exception as error:
            _cannot_start(error)


@contextmanager
def _no_garbage() -> Iterator[None]:
    """Nobody looks for garbage in this block, and the console command never again among what was made in it: modules
    stay. To look for some took up to an eighth of the start of a command."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if interrupts.are_installed():
            gc.freeze()
        if collects:
            gc.enable()


def _cannot_start(error: Exception) -> NoReturn:
    """Ends with 255: Python's own code for an error is 1, which is the code of a violation. Nothing but the system call
    is sure to work here, since mostly memory or open files have run out."""
    if os.environ.get("RAFT_CHAOS_TRACEBACK"):
        raise error
    reason = " ".join(f"{type(error).__name__} {error}".split())
    said = f"raft-chaos cannot start: {reason}; allow more memory (`ulimit -v`) or files (`ulimit -n`), or reinstall it"
    with suppress(OSError):
        os.write(2, f"{said}\n".encode(errors="replace"))
    os._exit(255)
