"""Short runs for tests: schedules written by hand, `raft-chaos` as a process of its own, and waiting for what is real.

Nothing here sleeps for a fixed time: `eventually` polls the real state until a deadline that only a fault reaches.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import psutil

from raft_chaos.chaos.schedule.data import Fault, Header, Operation, RequiredEvent, Schedule
from raft_chaos.chaos.schedule.file import save
from raft_chaos.invariants.rundir import RunDir

RAFT_CHAOS = str(Path(sys.executable).with_name("raft-chaos"))
PATIENCE_S = 30.0
"""Only something that hangs reaches it."""

T = TypeVar("T")


def eventually(what: str, condition: Callable[[], T], patience_s: float = PATIENCE_S) -> T:
    """The first true value of `condition`."""
    deadline = time.monotonic() + patience_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {patience_s:g} s in vain: {what}"
        time.sleep(0.01)
    return value


@contextmanager
def short_folder() -> Iterator[Path]:
    """A temporary folder with a path short enough for the sockets that multiprocessing puts into $TMPDIR."""
    folder = Path(tempfile.mkdtemp(prefix="rc-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


# ---- schedules ---------------------------------------------------------------------------------------------------


def operations(clients: Sequence[str], until_us: int, every_us: int) -> list[Operation]:
    """Each client in turn writes to its own register and a shared list, and reads its neighbour's and the list."""
    made: list[Operation] = []
    for place, client in enumerate(clients):
        neighbour = clients[(place + 1) % len(clients)]
        for number, at_us in enumerate(range(300_000 + 1_000 * place, until_us, every_us)):
            name, value = f"{client}/{number}", f"{client}-{number}"
            match number % 4:
                case 0:
                    made.append(
                        Operation(id=name, client=client, at_us=at_us, f="put", key=f"reg/{client}", value=value)
                    )
                case 1:
                    made.append(Operation(id=name, client=client, at_us=at_us, f="append", key="list", value=value))
                case 2:
                    made.append(Operation(id=name, client=client, at_us=at_us, f="get", key=f"reg/{neighbour}"))
                case _:
                    made.append(Operation(id=name, client=client, at_us=at_us, f="get", key="list"))
    return sorted(made, key=lambda operation: operation.at_us)


def schedule(
    faults: Sequence[Fault] = (),
    *,
    safety_us: tuple[int, int] = (700_000, 1_500_000),
    liveness_us: int = 300_000,
    nodes: int = 3,
    clients: int = 3,
    every_us: int = 20_000,
    seed: int = 1,
    required: Sequence[RequiredEvent] = (),
) -> Schedule:
    """The faults, with `clients` clients that each do something every `every_us` (0: nothing at all)."""
    names = [f"c{number}" for number in range(clients)]
    header = Header(
        seed=seed,
        nodes=[f"n{number}" for number in range(1, nodes + 1)],
        clients=names,
        safety_from_us=safety_us[0],
        safety_until_us=safety_us[1],
        liveness_for_us=liveness_us,
        required=list(required),
    )
    return Schedule(header, list(faults), operations(names, safety_us[1] + liveness_us, every_us) if every_us else [])


def saved(folder: Path, plan: Schedule) -> str:
    """The schedule as a file for `--schedule`."""
    file = folder / "by-hand.jsonl"
    save(plan, file)
    return str(file)


# ---- raft-chaos as a process -------------------------------------------------------------------------------------


def raft_chaos(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Runs it to its end, without a terminal."""
    return subprocess.run([RAFT_CHAOS, *arguments], capture_output=True, text=True, timeout=60, cwd=cwd, env=_plain())


def _plain(**more: str) -> dict[str, str]:
    """The environment without what would change the output: a CI's summary, colours, a terminal's width."""
    dropped = ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "FORCE_COLOR", "COLUMNS", "TTY_COMPATIBLE")
    return {name: value for name, value in os.environ.items() if name not in dropped} | more


def only_run(out: Path) -> RunDir:
    (path,) = out.iterdir()
    return RunDir(path)


class Background:
    """A command in a session of its own, as a terminal starts it; what it prints goes to files in `folder`."""

    def __init__(self, folder: Path, *argv: str) -> None:
        self.temp = folder / "t"
        self.temp.mkdir()
        self._stdout, self._stderr = folder / "stdout", folder / "stderr"
        with self._stdout.open("wb") as out, self._stderr.open("wb") as err:
            self.process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
                env=_plain(TMPDIR=str(self.temp)),
            )
        self._family: list[psutil.Process] = []

    @property
    def stdout(self) -> str:
        return self._stdout.read_text()

    @property
    def stderr(self) -> str:
        return self._stderr.read_text()

    def family(self) -> list[psutil.Process]:
        """It and all its descendants now; they are remembered."""
        one = psutil.Process(self.process.pid)
        now = [one, *one.children(recursive=True)]
        self._family += [process for process in now if process not in self._family]
        return now

    def listening(self) -> list[int]:
        """The TCP ports on which the family listens."""
        return [port for process in self.family() for port in listening(process)]

    def interrupt(self) -> int:
        """Ctrl-C: SIGINT to the whole foreground group. Returns the exit code."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(PATIENCE_S)

    def sigkill(self) -> None:
        """To the one process, so that it can do nothing for the others."""
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def all_gone(self) -> bool:
        """Whether of all that `family` ever saw nothing runs. (A dead process whose parent does not wait is gone.)"""
        return not any(lives(process) for process in self._family)

    def end(self) -> None:
        """For a test that failed half-way: kills what is left of the family, by pid."""
        if self.process.poll() is None:
            self.family()
            self.sigkill()
        for process in self._family:
            if lives(process):
                process.kill()


def lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def listening(process: psutil.Process) -> list[int]:
    """The TCP ports on which a process listens."""
    try:
        connections = process.net_connections(kind="tcp")
    except psutil.NoSuchProcess:
        return []
    return [connection.laddr.port for connection in connections if connection.status == psutil.CONN_LISTEN]


@contextmanager
def background(*argv: str) -> Iterator[Background]:
    with short_folder() as folder:
        one = Background(folder, *argv)
        try:
            yield one
        finally:
            one.end()


def accepts(port: int) -> bool:
    """Whether somebody listens on that port of the loopback."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_ports(count: int, after: int) -> int:
    """The first of `count` ports in a row, all of them above `after`, that were free a moment ago."""
    for first in range(after + 1, 65_536 - count):
        try:
            with ExitStack() as held:
                for port in range(first, first + count):
                    held.enter_context(socket.create_server(("127.0.0.1", port)))
                return first
        except OSError:
            continue
    raise AssertionError("no free ports")
