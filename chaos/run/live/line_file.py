"""A file of the run that the controller appends lines to: its own events, and the history of the clients."""

from __future__ import annotations

import os
from pathlib import Path

from raft_chaos.chaos.processes.shortage import HarnessError, shortage


class LineFile:
    """Writes each line at once and whole. Raises HarnessError if it cannot, and from then on writes nothing more:
    behind half a line, every later one would be lost too."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._failure = ""

    def write(self, line: bytes) -> None:
        try:
            while line and not self._failure:
                line = line[os.write(self._fd, line) :]
        except OSError as error:
            why = f"the harness ran out of {missing}" if (missing := shortage(error)) else error.strerror
            self._failure = f"{self._file} cannot be written: {why}"
        if self._failure:
            raise HarnessError(self._failure)

    def close(self) -> None:
        os.close(self._fd)
