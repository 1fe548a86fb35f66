"""The lossy disk of a node as the controller sees it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

from raft_chaos.chaos.processes.shortage import HarnessError, SetupError
from raft_chaos.chaos.processes.supervisor import Child, Supervisor
from raft_chaos.chaos.run.live.disk.server import disk_main
from raft_chaos.chaos.run.live.disk.unsynced import WHOLE_PERMILLE, Lost
from raft_chaos.chaos.run.live.enter import Enter, Namespace

REPLY_TIMEOUT_S = 30.0
GRAVES = "removed"
"""The folder beside a node's data for files that the node has removed, while a loss would bring them back."""


class DiskError(HarnessError):
    """The process of a disk is in trouble, or gone: the message says what happened."""


class Disk:
    """The folder of a node's data during one incarnation of it."""

    def __init__(self, node: str, process: Child, control: Connection, graves: Path, enter: Enter) -> None:
        self._node = node
        self._process = process
        self._control = control
        self._graves = graves
        self.enter = enter
        """What the node's process calls to see it. It can be pickled."""

    def check(self) -> None:
        """Raises DiskError if the node's files are out of its reach: the checkers would blame the node."""
        if self._control.poll():
            self._received()
        if not self._process.is_alive:
            raise DiskError(f"the disk of {self._node} ended by itself with exit code {self._process.exit_code}")

    def lose(self, keep_permille: int) -> Lost:
        """The node is gone: undoes what it has not synced, but for the first `keep_permille` thousandths of the bytes.
        Then the disk is gone too, also after an error. Raises DiskError."""
        try:
            self._control.send(keep_permille)
            return self._received()
        except OSError:
            raise DiskError(f"the disk of {self._node} is gone") from None
        finally:
            self._process.kill()  # it has done its part, or it never will
            self._control.close()
            shutil.rmtree(self._graves, ignore_errors=True)

    def end(self) -> None:
        """The node ended by itself, so nothing is lost; or the run is over."""
        with suppress(DiskError):
            self.lose(WHOLE_PERMILLE)

    def _received(self) -> Lost:
        if not self._control.poll(REPLY_TIMEOUT_S):
            raise DiskError(f"the disk of {self._node} has not answered for {REPLY_TIMEOUT_S:.0f} s")
        try:
            received: Lost | str = self._control.recv()
        except EOFError:
            raise DiskError(f"the disk of {self._node} is gone") from None
        if isinstance(received, str):
            raise DiskError(f"the disk of {self._node} failed: {received}")
        return received


def start(supervisor: Supervisor, node: str, folder: Path, enter: Callable[[], None] | None, log: Path) -> Disk:
    """A disk for the next incarnation of the node, whose data is in `data` in this folder and whose network is entered
    by `enter`. Raises SetupError where this machine cannot have it."""
    data, graves = folder.absolute() / "data", folder.absolute() / GRAVES
    supervisor.remove_when_orphaned(graves)
    for one in (data, graves):
        one.mkdir(parents=True, exist_ok=True)
    ours, theirs = supervisor.pipe()
    try:
        process = supervisor.start(f"disk of {node}", disk_main, theirs, data, graves, enter, stderr=log)
        theirs.close()
        holder, namespaces = _described(process, ours, log)
    except Exception:
        ours.close()
        shutil.rmtree(graves, ignore_errors=True)
        raise
    return Disk(node, process, ours, graves, Enter(node, "the namespace of its disk", holder, namespaces))


def _described(process: Child, control: Connection, log: Path) -> tuple[int, tuple[Namespace, ...]]:
    """How to enter the namespaces of the process, which has just been started. Raises SetupError, and ends it then."""
    try:
        described = control.recv() if control.poll(REPLY_TIMEOUT_S) else "it does not answer"
    except EOFError:
        described = f"its process ended; see {log}"
    if isinstance(described, str):
        process.kill()
        raise SetupError(f"a disk that loses unsynced bytes is not possible on this machine: {described}")
    holder, namespaces = described
    return holder, namespaces


def missing() -> str | None:
    """What this machine lacks for such disks, in one line; None if nothing is missing."""
    with Supervisor() as supervisor, tempfile.TemporaryDirectory(prefix="raft-chaos-") as folder:
        try:
            start(supervisor, "n1", Path(folder), None, Path(os.devnull)).end()
        except SetupError as error:
            return str(error)
    return None
