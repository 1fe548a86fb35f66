"""Processes that the harness starts, and that never outlive it.

Each child leads a session, so that it and whatever it starts form one process group, and each signal goes to the whole
group. Children come from multiprocessing's fork server, which has imported the large modules already, so a start takes
milliseconds.

Nothing is left behind even if the controller, or its whole group, is killed with SIGKILL. A process of its own, the
reaper (`reaper`), holds one end of a pipe and knows the group of every child and each temporary folder; when the pipe
closes, it kills the groups that are left and removes the folders. (Children cannot do this themselves: a stopped
process does not see its pipe close.) A child does nothing before the reaper knows it: it waits for a message on a
second pipe, the gate, and ends if the gate closes without one. A folder is not there before the reaper knows it.
"""

from __future__ import annotations

import multiprocessing
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from multiprocessing import resource_tracker, spawn, util
from multiprocessing.connection import Connection
from multiprocessing.forkserver import ensure_running
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import psutil

from raft_chaos.chaos.processes import open_files, reaper
from raft_chaos.chaos.processes.first_steps import READY, enter
from raft_chaos.chaos.processes.interrupts import blocked
from raft_chaos.chaos.processes.safe_path import safe_imports, safe_interpreters
from raft_chaos.chaos.processes.shortage import HarnessError, sentence

# The fork server imports these once, and skips a name that it cannot import. A child first runs the main module of its
# parent again; the console script imports cli.entry, and what is behind it only when it is called. Nothing but what
# nodes need: each node has all of it in its memory. A proxy, of which a run starts one, imports the rest by itself; the
# world lockstep adds its own node to these.
PRELOAD = (
    "raft_chaos.chaos.processes.safe_path",
    "raft_chaos.chaos.processes.first_steps",
    "raft_chaos.chaos.cli.entry",
    "raft_chaos.chaos.targets.raft_process",
    "uvloop",
)
GONE_TIMEOUT_S = 5.0
SPARE_FILES = 8
REAPER_ENDED = "the reaper, which ends what a killed run leaves behind, ended by itself"


class ProcessError(HarnessError):
    """A process did not react as expected. The message says which, what was expected, and what was seen."""


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

    def ends_within(self, patience_s: float) -> bool:
        """Waits for it to end by itself; returns whether it did."""
        self._process.join(patience_s)
        return self.exit_code is not None

    def ask(self, number: signal.Signals) -> None:
        """Sends this signal to the whole group, and does not wait for what it does."""
        self._signal(number)

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

    @property
    def is_stopped(self) -> bool:
        """Whether the system reports it as stopped by a signal."""
        return self._status() == psutil.STATUS_STOPPED

    def _status(self) -> str | None:
        try:
            return self._info.status()
        except psutil.NoSuchProcess:
            return None

    def _is_ours(self) -> bool:
        """Whether the process, or another one of its group, still runs: afterwards the number may be reused."""
        try:
            return self._info.is_running() or _group_lives(self.pid)
        except OSError:
            return self.is_alive  # no file is left with which to look

    def _signal(self, number: signal.Signals) -> None:
        if not self._is_ours():
            return
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            pass  # it has ended by itself; its owner will see that


class Supervisor:
    """Starts children and ends them all. Use as a context manager, one for each run. Raises the limit of open files.

    `preload` are the modules that the fork server imports. A process has one fork server, which the first supervisor
    starts; later ones change nothing.
    """

    def __init__(self, preload: Sequence[str] = PRELOAD) -> None:
        open_files.raise_limit()  # first, since all processes inherit it
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(list(preload))
        self._reaper = _the_reaper()
        _start_forkserver()
        self._children: dict[int, Child] = {}
        self._lock = threading.Lock()
        self._closed = False
        # To look at processes takes open files. If there are no more, these make room for the end.
        self._spare = [os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC) for _ in range(SPARE_FILES)]

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
        """Has the reaper remove this temporary folder if this process is killed before it can do so itself."""
        if folder is not None:
            self._reaper.send(("folder", str(folder)))

    def check(self) -> None:
        """Raises ProcessError if the reaper has ended: nothing would end the children if this process were killed."""
        if _ended(self._reaper):
            raise ProcessError(REAPER_ENDED)

    def start(self, name: str, target: Callable[..., None], *args: Any, stderr: Path | None = None) -> Child:
        """Runs `target(*args)` in a process of its own; its stdout and stderr are appended to `stderr`."""
        gate, their_gate = self._context.Pipe()
        # Starts happen in threads. One that begins after `close` must not leave a child behind.
        with self._lock:
            if self._closed:
                raise ProcessError(f"{name}: not started, since the run is ending")
            process = self._context.Process(target=enter, args=(their_gate, stderr, target, args), name=name)
            _begin(process)
            their_gate.close()
            try:
                begun = gate.recv_bytes()
            except (EOFError, OSError):
                raise ProcessError(f"{name}: the process ended before it began ({process.exitcode})") from None
            if begun != READY:
                raise ProcessError(f"{name}: {begun.decode()}")
            child = Child(name, process, self._forget)
            self._children[child.pid] = child
            try:
                self._reaper.send(("add", child.pid))
            except OSError:
                raise ProcessError(REAPER_ENDED) from None  # the child ends too, since its gate closes
            gate.send_bytes(b"go")
            gate.close()
            return child

    def child(self, name: str) -> Child | None:
        """The child of this name that was started last, if it may still run; also one that is being started."""
        named = [child for child in list(self._children.values()) if child.name == name]
        return named[-1] if named else None

    def close(self) -> None:
        """Kills whatever still runs, all at once, and waits for it. Raises the first error, after it has tried all."""
        with self._lock:
            self._closed = True
            children = list(self._children.values())
            spare, self._spare = self._spare, []
        for descriptor in spare:
            os.close(descriptor)
        for child in children:
            child.strike()
        errors: list[Exception] = []
        for child in children:
            try:
                child.kill()
            except (HarnessError, OSError) as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def _forget(self, pid: int) -> None:
        with self._lock:
            if self._children.pop(pid, None) is not None:
                with suppress(OSError):  # without a reaper there is nothing to remove
                    self._reaper.send(("remove", pid))


@contextmanager
def temporary_folder(folder: Path | None = None) -> Iterator[Path]:
    """A new folder, at this path or among the temporary ones, that only its owner can read. It is removed at the end of
    the block, also if this process is killed within it."""
    folder = _announced_folder(folder or _temporary("raft-chaos-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@cache
def _the_reaper() -> Connection:
    """The pipe to the reaper of this process. The first call starts it, and it runs until this process ends, even while
    there is no supervisor: the fork server's folder exists as long, and the reaper has to remove it after a SIGKILL."""
    ours, theirs = multiprocessing.Pipe()
    command = [spawn.get_executable(), "-I", "-S", reaper.__file__, str(theirs.fileno())]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()], start_new_session=True, cwd="/"
    )
    theirs.close()
    ours.recv_bytes()  # from now on the reaper notices the death of this process
    # At a normal exit the reaper first ends what is left, for which multiprocessing would wait.
    util.Finalize(None, _dismiss, args=(ours, process), exitpriority=100)
    return ours


def _ended(pipe: Connection) -> bool:
    """Whether the process at the other end, which sends nothing, is gone."""
    try:
        return pipe.poll() and not pipe.recv_bytes()
    except (EOFError, OSError):
        return True


def _temporary(prefix: str) -> Path:
    return Path(tempfile.gettempdir()) / f"{prefix}{secrets.token_hex(6)}"


def _announced_folder(folder: Path) -> Path:
    """Makes the folder, of which the reaper knows before it exists."""
    _the_reaper().send(("folder", str(folder.absolute())))
    folder.mkdir(mode=0o700)
    return folder


def _own_temp_dir() -> None:
    """Gives multiprocessing its temporary folder, which has the fork server's socket. It would make one itself, but the
    reaper would know of it too late."""
    config = multiprocessing.current_process()._config  # type: ignore[attr-defined]
    if config.get("tempdir") is None:
        folder = _announced_folder(_temporary("pymp-"))
        config["tempdir"] = str(folder)
        util.Finalize(None, shutil.rmtree, args=(folder,), kwargs={"ignore_errors": True}, exitpriority=-100)


def _dismiss(pipe: Connection, process: subprocess.Popen[bytes]) -> None:
    with suppress(OSError):
        pipe.send(("done", 0))
    pipe.close()
    process.wait(GONE_TIMEOUT_S)


def _start_forkserver() -> None:
    """Starts the fork server if it does not run yet.

    The signals that end a command are blocked in it. It would print a traceback if Ctrl-C came while it imports; and if
    a signal to the whole group ended it before the controller reacts, every node would seem to have ended by itself.
    """
    _own_temp_dir()
    with safe_interpreters():
        with blocked():
            resource_tracker.ensure_running()  # the fork server needs it; its start unblocks two of the signals again
        with blocked():
            ensure_running()


def _begin(process: BaseProcess) -> None:
    """Starts a child of the fork server. Raises ProcessError."""
    _start_forkserver()  # `process.start` would also start a fork server that has died, but without a safe path
    try:
        # A signal that came between the request and what the child needs would leave the child without it.
        with safe_imports(), blocked():
            process.start()
    except (EOFError, OSError, RuntimeError, MemoryError) as error:
        # An EOFError says that the fork server gave up: it has the same limits as this process.
        raise ProcessError(f"{process.name}: the process cannot be started: {sentence(error)}") from error


def _group_lives(pgid: int) -> bool:
    """Whether a process of this group still runs. A zombie does not count."""
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
    """Polls, since the kernel tells only the parent when a process stops, and nobody when a group becomes empty."""
    deadline = time.monotonic() + GONE_TIMEOUT_S
    while not condition():
        if time.monotonic() > deadline:
            raise ProcessError(complaint)
        time.sleep(0.001)
