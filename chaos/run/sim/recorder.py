"""Writes a run directory in virtual time: the same files as a live run's, and the order of their lines.

`order` names a stream and how many of its lines come next (`invariants.rundir`). Nodes that are processes of their own
write their events themselves, and the recorder writes only the order of their lines.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, Protocol, TypeAlias

from raft_chaos.invariants.rundir import RunDir

FLUSHED_AT_ONCE = 1000

Stream: TypeAlias = tuple[str, int]
"""A node and its incarnation, or one of these:"""
HARNESS_STREAM: Stream = ("harness", 0)
HISTORY_STREAM: Stream = ("history", 0)


class LineSink(Protocol):
    """Takes a run's lines in their order, `count` of them at a time."""

    def write(self, stream: Stream, lines: bytes, count: int) -> None: ...


class Recorder:
    """Appends lines to the streams' files. `nodes_write` leaves the files of the nodes' events to the nodes."""

    def __init__(self, run: RunDir, *, nodes_write: bool = False) -> None:
        self._run = run
        self._nodes_write = nodes_write
        self._files: dict[Path, BinaryIO] = {}
        self._stream: Stream = HARNESS_STREAM
        self._count = 0
        self._order: list[str] = []

    def write(self, stream: Stream, lines: bytes, count: int) -> None:
        """Writes `count` lines of a stream, then counts them, and notes no count twice: Ctrl-C may come between any two
        lines of this function, and the order must never name a line that does not exist."""
        file = self._file_of(stream)
        if file is not None:
            self._open(file).write(lines)
        if stream != self._stream:
            self._note()
            self._stream = stream
        self._count += count

    def close(self) -> None:
        self._note()
        self._flush()
        for file in self._files.values():
            file.close()

    def _note(self) -> None:
        (name, incarnation), count, self._count = self._stream, self._count, 0
        if count:
            self._order.append(f"{name}/{incarnation} {count}\n" if incarnation else f"{name} {count}\n")
        if len(self._order) >= FLUSHED_AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        """Writes the lines before their order."""
        for file in self._files.values():
            file.flush()
        noted, self._order = self._order, []
        with self._run.order.open("a", encoding="utf-8") as order:
            order.writelines(noted)

    def _file_of(self, stream: Stream) -> Path | None:
        if stream == HARNESS_STREAM:
            return self._run.harness
        if stream == HISTORY_STREAM:
            return self._run.history
        return None if self._nodes_write else self._run.node_events(*stream)

    def _open(self, path: Path) -> BinaryIO:
        if path not in self._files:
            self._files[path] = path.open("ab")
        return self._files[path]
