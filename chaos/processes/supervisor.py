"""Processes that the harness starts, and that never outlive it.

Each child leads a session, so that it and whatever it starts are one process group, signalled as a whole. Children
come from multiprocessing's fork server with the heavy modules loaded, which makes a start a matter of milliseconds.

Nothing is left behind even if the controller is killed with SIGKILL: a reaper, in a session of its own, holds one end
of a pipe, knows every child's group, and kills what is left when the pipe closes (a stopped process never sees its own
pipe close, so this cannot be left to the children). A child does nothing until it has been registered there: it waits
at a gate, and ends if the gate closes unopened.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import cache
from multiprocessing import resource_tracker, util
from multiprocessing.connection import Connection
from multiprocessing.forkserver import ensure_running
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import psutil

from raft_chaos.chaos.processes.safe_path import safe_imports, safe_interpreters

# The fork server loads these once. A child loads the program that started it again, so that is among them: Python 3.11
# does not do this for "__main__" although it says so. A name that cannot be imported is skipped.
PRELOAD = (
    "raft_chaos.chaos.processes.safe_path",
    "raft_chaos.chaos.cli.app",
    "raft_chaos.chaos.targets.raft_process",
    "raft_chaos.chaos.run.live.network.frame_proxy",
    "raft_chaos.chaos.run.lockstep.node_process",
    "uvloop",
)
GONE_TIMEOUT_S = 5.0


class ProcessError(Exception):
    """A process did not do what it was told: says which, what was expected, and what was seen."""


class Child:
    """One process group that this harness started. All signals go to the group, and only while it is ours."""

    def __init__(self, name: str, process: Any, forget: Callable[[int], None]) -> None:
        self.name = name
        self.pid: int = process.pid
        self._process = process
        self._forget = forget
        self._info = psutil.Process(self.pid)  # remembers the start time: a reused pid is another process

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative for a signal."""
        code: int | None = self._process.exitcode
        return code

    @property
    def is_alive(self) -> bool:
        return self.exit_code is None

    @property
    def info(self) -> psutil.Process:
        """For sampling CPU, memory, files and threads."""
        return self._info

    def strike(self) -> None:
        """SIGKILL to the whole group, without waiting; `kill` must follow."""
        self._signal(signal.SIGKILL)

    def kill(self) -> None:
        """SIGKILL to the whole group, and waits until none of it is left. Raises ProcessError if it stays."""
        self.strike()
        self._process.join(GONE_TIMEOUT_S)
        _wait(lambda: not _group_lives(self.pid), f"{self.name}: the process group {self.pid} survives SIGKILL")
        self._forget(self.pid)

    def wait(self, patience_s: float) -> None:
        """Lets it end by itself, and kills what is left after `patience_s`."""
        self._process.join(patience_s)
        self.kill()

    def terminate(self, patience_s: float) -> None:
        """SIGTERM, then SIGKILL to what is left after `patience_s`."""
        self._signal(signal.SIGTERM)
        self._process.join(patience_s)
        self.kill()

    def pause(self) -> None:
        """SIGSTOP; returns once the process is seen stopped, or has ended. Raises ProcessError."""
        self._signal(signal.SIGSTOP)
        done = (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD, None)
        _wait(lambda: self._status() in done, f"{self.name}: not stopped by SIGSTOP")

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _status(self) -> str | None:
        try:
            return self._info.status()
        except psutil.NoSuchProcess:
            return None

    def _signal(self, number: signal.Signals) -> None:
        if not self._info.is_running() and not _group_lives(self.pid):
            return
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            pass  # it has ended by itself, which its owner will find out


class Supervisor:
    """Starts children and ends them all. Use as a context manager, one for each run.

    `preload` are the modules that the fork server loads; the first supervisor of a process decides.
    """

    def __init__(self, preload: Sequence[str] = PRELOAD) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(list(preload))
        _start_forkserver()
        self._children: dict[int, Child] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._reaper = _the_reaper()

    def __enter__(self) -> Supervisor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def is_closed(self) -> bool:
        """Whether everything has been, or is being, killed."""
        return self._closed

    def pipe(self) -> tuple[Connection, Connection]:
        """Two ends of a two-way pipe, one of which may be given to a child."""
        ours, theirs = self._context.Pipe()
        return ours, theirs

    def remove_when_orphaned(self, folder: Path | None) -> None:
        """A temporary folder that the reaper removes if this process is killed before it can do so itself."""
        if folder is not None:
            self._reaper.send(("folder", str(folder)))

    def start(self, name: str, target: Callable[..., None], *args: Any, stderr: Path | None = None) -> Child:
        """Runs `target(*args)` in a process of its own; its stdout and stderr are appended to `stderr`."""
        gate, their_gate = self._context.Pipe()
        # Starts happen in threads. One that begins after `close` must not leave a child behind.
        with self._lock:
            if self._closed:
                raise ProcessError(f"{name}: not started, since the run is ending")
            process = self._context.Process(target=_enter, args=(their_gate, stderr, target, args), name=name)
            _begin(process)
            their_gate.close()
            try:
                gate.recv_bytes()  # it leads its session now
            except EOFError:
                raise ProcessError(f"{name}: the process ended before it began ({process.exitcode})") from None
            child = Child(name, process, self._forget)
            self._children[child.pid] = child
            self._reaper.send(("add", child.pid))
            gate.send_bytes(b"go")
            gate.close()
            return child

    def close(self) -> None:
        """Kills whatever still runs, all at once, and waits for it."""
        with self._lock:
            self._closed = True
            children = list(self._children.values())
        for child in children:
            child.strike()
        for child in children:
            child.kill()

    def _forget(self, pid: int) -> None:
        with self._lock:
            if self._children.pop(pid, None) is not None:
                self._reaper.send(("remove", pid))


@cache
def _the_reaper() -> Connection:
    """The pipe to this process's reaper, started at the first call. It lives as long as this process does, since the
    fork server's folder does, and so must be there for that too when no supervisor is at work."""
    context = multiprocessing.get_context("forkserver")
    ours, theirs = context.Pipe()
    _begin(context.Process(target=_reap, args=(theirs, util.get_temp_dir()), name="reaper"))
    theirs.close()
    ours.recv_bytes()  # from here on a death of this process is noticed
    # At a normal exit it must end before multiprocessing waits for it, and leave the folder to its owner.
    util.Finalize(None, _dismiss, args=(ours,), exitpriority=100)
    return ours


def _dismiss(reaper: Connection) -> None:
    reaper.send(("done", 0))
    reaper.close()


def _start_forkserver() -> None:
    """Starts it, if it does not run yet, deaf to Ctrl-C: one that is still importing would say so with a traceback."""
    with safe_interpreters():
        resource_tracker.ensure_running()  # the fork server wants it, and starting it would take the block away again
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            ensure_running()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(process: BaseProcess) -> None:
    """Starts a child of the fork server."""
    _start_forkserver()  # one that has died would be started again by the next line, but not safely
    with safe_imports():
        process.start()


def _enter(gate: Connection, stderr: Path | None, target: Callable[..., None], args: tuple[Any, ...]) -> None:
    """A child's first steps: a session, default signals, its own stderr, and the gate."""
    os.setsid()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if stderr is not None:
        fd = os.open(stderr, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(fd, 1)
        os.dup2(fd, 2)
        os.close(fd)
    gate.send_bytes(b"ready")
    try:
        gate.recv_bytes()
    except EOFError:
        os._exit(0)
    gate.close()
    target(*args)


def _reap(pipe: Connection, temp_dir: str) -> None:
    """The reaper: keeps the list of groups, and ends those that are left when the controller is gone."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        pipe.send_bytes(b"ready")
    except OSError:
        pass  # the controller is gone already, as the first read will tell
    groups: dict[int, psutil.Process] = {}
    folders = [temp_dir]  # the fork server's socket is in there, which its owner can no longer remove
    while True:
        try:
            what, value = pipe.recv()
        except (EOFError, OSError):
            break
        if what == "done":
            return
        if what == "add":
            try:
                groups[value] = psutil.Process(value)
            except psutil.NoSuchProcess:
                pass
        elif what == "folder":
            folders.append(value)
        else:
            groups.pop(value, None)
    for pid, leader in groups.items():
        # A leader that is gone may have left members behind; the group's number is not given away while they live.
        if leader.is_running() or not psutil.pid_exists(pid):
            try:
                os.killpg(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _group_lives(pgid: int) -> bool:
    """Whether a process of this group still runs; one that is dead but not yet waited for does not count."""
    try:
        os.killpg(pgid, 0)
    except ProcessLookupError:
        return False
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == pgid and process.status() != psutil.STATUS_ZOMBIE:
                return True
        except (psutil.NoSuchProcess, ProcessLookupError):
            continue
    return False


def _wait(condition: Callable[[], bool], complaint: str) -> None:
    """Polls: the kernel does not tell a stranger when a process stops or a group becomes empty."""
    deadline = time.monotonic() + GONE_TIMEOUT_S
    while not condition():
        if time.monotonic() > deadline:
            raise ProcessError(complaint)
        time.sleep(0.001)
