"""`raft-chaos` with a harness that runs out of something: `python starved_run.py PART WORDS...`.

The limits are real ones. `PART` is one of the functions below that begin with `starve_`. Each child runs this module
too, so it imports little.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil

from raft_chaos.chaos.run.live.network.proxy import proxy_main

BEGINNING = 60
"""How many lines of the history are written before the controller runs out of something."""


def limit(what: int, soft: int) -> None:
    resource.setrlimit(what, (soft, resource.getrlimit(what)[1]))


def starved_proxy(control: Connection, nodes: list[str], *rest: Any) -> None:
    """It can listen on each link, but not connect them all."""
    links = len(nodes) * (len(nodes) - 1)
    limit(resource.RLIMIT_NOFILE, len(os.listdir("/proc/self/fd")) + links + 10)
    proxy_main(control, nodes, *rest)


def starve_proxy() -> None:
    from raft_chaos.chaos.run.live.network import proxy

    proxy.proxy_main = starved_proxy


def starve_nodes() -> None:
    """No process may write a file of this size."""
    limit(resource.RLIMIT_FSIZE, 300_000)


def starve_history() -> None:
    """The history may not grow any further."""
    _after_the_beginning(lambda size: limit(resource.RLIMIT_FSIZE, size + 10))


def starve_controller() -> None:
    """It has as many files open as it may have."""
    _after_the_beginning(lambda size: _take_all_descriptors())


def starve_disks() -> None:
    """The lossy disks may open no more files."""
    _after_the_beginning(lambda size: _to_each_disk(lambda pid: resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, 3))))


def starve_dead_disks() -> None:
    """The processes of the lossy disks are killed, as the system does for want of memory."""
    _after_the_beginning(lambda size: _to_each_disk(lambda pid: os.kill(pid, signal.SIGKILL)))


def _to_each_disk(act: Callable[[int], object]) -> None:
    """Calls `act` with the number of each process, of those that this one has started, that serves a lossy disk."""
    for process in psutil.Process().children(recursive=True):
        with suppress(OSError, psutil.Error):
            files = Path(f"/proc/{process.pid}/fd")
            if any(os.readlink(file) == "/dev/fuse" for file in files.iterdir()):
                act(process.pid)


def _take_all_descriptors() -> None:
    limit(resource.RLIMIT_NOFILE, 100)
    with suppress(OSError):
        while True:
            os.dup(0)


def _after_the_beginning(act: Callable[[int], None]) -> None:
    """Calls `act` with the size of the history."""
    from raft_chaos.chaos.run.live.history import HistoryFile

    written, write = [0], HistoryFile.write

    def counted(self: HistoryFile, op: Any) -> None:
        written[0] += 1
        if written[0] == BEGINNING:
            act(os.fstat(self._lines._fd).st_size)
        write(self, op)

    HistoryFile.write = counted  # type: ignore[method-assign]


if __name__ == "__main__":
    from raft_chaos.chaos.cli.app import main

    globals()["starve_" + sys.argv.pop(1)]()
    sys.exit(main())
