"""history.jsonl of a live run."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from raft_chaos.chaos.run.client_records import History
from raft_chaos.invariants.history import Op, encode


class HistoryFile(History):
    """Appends each operation to history.jsonl as it happens, then counts it and passes it to `observe`."""

    def __init__(self, file: Path, observe: Callable[[Op], None]) -> None:
        super().__init__(observe)
        self._fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)

    def write(self, op: Op) -> None:
        os.write(self._fd, encode(op))
        super().write(op)

    def close(self) -> None:
        os.close(self._fd)
