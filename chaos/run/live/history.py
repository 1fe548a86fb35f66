"""history.jsonl of a live run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from raft_chaos.chaos.run.client_records import History
from raft_chaos.chaos.run.live.line_file import LineFile
from raft_chaos.invariants.history import Op, encode


class HistoryFile(History):
    """Appends each operation to history.jsonl as it happens, then counts it and passes it to `observe`."""

    def __init__(self, file: Path, observe: Callable[[Op], None]) -> None:
        super().__init__(observe)
        self._lines = LineFile(file)

    def write(self, op: Op) -> None:
        self._lines.write(encode(op))
        super().write(op)

    def close(self) -> None:
        self._lines.close()
