"""A pool of worker processes that never outlives its owner, and that can be given up at once.

All workers hold the reading end of one pipe, the lifeline; only the owner holds the writing end. A thread in each
worker waits for the pipe to close and then ends the process, whatever it is doing. This works in the same way for an
owner that is killed with SIGKILL and for one that closes the pipe to give up the work.

Workers are spawned. A fork server would start them sooner, but its folder would stay behind if the owner were killed,
and a campaign starts its workers only once.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import ParamSpec, TypeVar

import psutil

from raft_chaos.chaos.processes.interrupts import blocked
from raft_chaos.chaos.processes.safe_path import safe_interpreters

P = ParamSpec("P")
T = TypeVar("T")

GONE_S = 10.0
POLL_S = 0.005


class WorkerPool(ProcessPoolExecutor):
    """`jobs` processes, started as they are needed. Only the owner gets Ctrl-C and the other signals that end
    a command: they are blocked in the workers, which end with the lifeline.

    A worker that ends before its work is done removes the folder `temp`, since the owner may have been killed.
    """

    def __init__(self, jobs: int, temp: Path | None = None) -> None:
        context = multiprocessing.get_context("spawn")
        self._lifeline, self._owners_end = context.Pipe(duplex=False)
        with safe_interpreters(), blocked():  # the queues of the pool start multiprocessing's resource tracker
            super().__init__(jobs, mp_context=context, initializer=_hold, initargs=(self._lifeline, temp))

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """See the base class; raises BrokenProcessPool once a worker has died."""
        # Workers start here and inherit the blocked signals. If Ctrl-C came while one is starting, it would print a
        # traceback; and if SIGTERM to the group ended them first, the harness would seem to have failed.
        with safe_interpreters(), blocked():
            return super().submit(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Returns once every worker has ended. Without `wait`, their work is given up, and what they have started (the
        nodes of a run) is gone then, too: their reapers kill it."""
        started = [] if wait else self._started_by_workers()
        if not wait:
            self._owners_end.close()
        super().shutdown(wait=True, cancel_futures=cancel_futures or not wait)
        _wait_for(started)
        self._owners_end.close()
        self._lifeline.close()

    def _started_by_workers(self) -> list[psutil.Process]:
        found: list[psutil.Process] = []
        for pid in list(self._processes or ()):
            with suppress(psutil.NoSuchProcess):
                found += psutil.Process(pid).children(recursive=True)
        return found


def _wait_for(processes: list[psutil.Process]) -> None:
    """Waits until they have ended, for at most `GONE_S`. A zombie has."""
    deadline = time.monotonic() + GONE_S
    while any(map(_lives, processes)) and time.monotonic() < deadline:
        time.sleep(POLL_S)


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _hold(lifeline: Connection, temp: Path | None) -> None:
    """A worker's first step."""
    threading.Thread(target=_end_with, args=(lifeline, temp), name="lifeline", daemon=True).start()


def _end_with(lifeline: Connection, temp: Path | None) -> None:
    try:
        lifeline.recv_bytes()
    except (EOFError, OSError):
        pass
    if temp is not None:
        shutil.rmtree(temp, ignore_errors=True)
    os._exit(1)
