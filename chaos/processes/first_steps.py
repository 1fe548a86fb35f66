"""The first steps of a child that the supervisor starts, and the main function that follows them.

The fork server and the child import this module, and not the supervisor. What a child runs is named by its place, so
the process that starts it does not import it either.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raft_chaos.chaos.processes import safe_path  # noqa: F401  # it is to be imported in each process
from raft_chaos.chaos.processes.interrupts import ENDING

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

READY = b"ready"
"""What a child says once it leads its session. Anything else is why it cannot begin."""


@dataclass(frozen=True)
class MainOf:
    """A main function by its place, "module:function" below `raft_chaos.chaos`: the child alone imports the module."""

    place: str

    def __call__(self, *args: Any) -> None:
        module, _, name = self.place.partition(":")
        getattr(import_module(f"raft_chaos.chaos.{module}"), name)(*args)


def enter(gate: Connection, stderr: Path | None, target: Callable[..., None], args: tuple[Any, ...]) -> None:
    """A child's first steps: a session, default signals, its own stderr, and the gate."""
    os.setsid()
    # A signal that came before this session began is for the controller alone: to ignore it drops what is pending.
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
    for number in ENDING:
        signal.signal(number, signal.SIG_DFL)
    if stderr is not None:
        try:
            fd = os.open(stderr, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            with suppress(OSError):  # the controller may be gone
                gate.send_bytes(f"{error.filename}: {error.strerror}".encode(errors="replace"))
            os._exit(1)
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(fd, 1)
        os.dup2(fd, 2)
        os.close(fd)
    try:
        gate.send_bytes(READY)
        gate.recv_bytes()
    except (EOFError, OSError):
        os._exit(0)  # the controller is gone
    gate.close()
    target(*args)
