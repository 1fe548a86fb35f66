"""`raft-chaos` as a process of its own: run to its end, or in the background until a test ends it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import psutil

from builders.processes import listening, lives
from builders.waiting import PATIENCE_S
from raft_chaos.invariants.rundir import RunDir

Command: TypeAlias = Callable[..., tuple[int, str, str]]
"""`raft-chaos` with these words, in this process: exit code, stdout, stderr."""
InLines: TypeAlias = Callable[..., tuple[int, list[str], str]]
"""The same, with stdout as lines."""

RAFT_CHAOS = str(Path(sys.executable).with_name("raft-chaos"))
SCRIPTS = Path(__file__).parents[1]
"""The folder from which `python -m` finds the scripts of these tests, and they the builders."""


ENDS_WITHIN_S = 300
"""A command that hangs ends a test; one that is slow on a busy machine does not."""


def raft_chaos(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Runs the command to its end, without a terminal."""
    return subprocess.run(
        [RAFT_CHAOS, *arguments], capture_output=True, text=True, timeout=ENDS_WITHIN_S, cwd=cwd, env=_plain()
    )


def _plain(**more: str) -> dict[str, str]:
    """The environment without variables that change the output: a CI's summary, colours, a terminal's width."""
    dropped = ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "FORCE_COLOR", "COLUMNS", "TTY_COMPATIBLE")
    return {name: value for name, value in os.environ.items() if name not in dropped} | more


def only_run(out: Path) -> RunDir:
    (path,) = out.iterdir()
    return RunDir(path)


class Background:
    """A command in a session of its own, as a terminal starts it; what it prints goes to files in `folder`."""

    def __init__(self, folder: Path, *argv: str, cwd: Path | None = None) -> None:
        self.temp = folder / "t"
        self.temp.mkdir()
        self._stdout, self._stderr = folder / "stdout", folder / "stderr"
        with self._stdout.open("wb") as out, self._stderr.open("wb") as err:
            self.process = subprocess.Popen(
                argv,
                cwd=cwd,
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
        """The process and all its descendants now, which `all_gone` checks later."""
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
        """SIGKILL to this process alone, which then cannot end the others."""
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def all_gone(self) -> bool:
        """Whether all processes that `family` ever saw have ended. (A zombie counts as ended.)"""
        return not any(lives(process) for process in self._family)

    def end(self) -> None:
        """For a test that failed half-way: kills the rest of the family, by pid."""
        if self.process.poll() is None:
            self.family()
            self.sigkill()
        for process in self._family:
            if lives(process):
                process.kill()


@contextmanager
def short_folder() -> Iterator[Path]:
    """A temporary folder with a path short enough for the sockets that multiprocessing puts into $TMPDIR."""
    folder = Path(tempfile.mkdtemp(prefix="rc-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def background(*argv: str, cwd: Path | None = None) -> Iterator[Background]:
    with short_folder() as folder:
        one = Background(folder, *argv, cwd=cwd)
        try:
            yield one
        finally:
            one.end()
