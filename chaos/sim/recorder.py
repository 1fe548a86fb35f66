"""Writes a run directory in virtual time: the same files as a live run's, and the order of their lines.

`order` names a stream and how many of its lines come next (`invariants.rundir`). Where the nodes are processes of their
own they write their events themselves, and only the order is written for them here.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from invariants.rundir import RunDir

FLUSHED_AT_ONCE = 1000


class Recorder:
    """Appends lines to the streams' files. `nodes_write` leaves the files of the nodes' events to the nodes."""

    def __init__(self, run: RunDir, *, nodes_write: bool = False) -> None:
        self._run = run
        self._nodes_write = nodes_write
        self._files: dict[Path, BinaryIO] = {}
        self._last = ("", 0)
        self._order: list[str] = []

    def write(self, stream: str, lines: bytes, count: int) -> None:
        """`count` lines of the stream "harness", "history", or a node and its incarnation such as "n1/2"."""
        if not count:
            return
        name, before = self._last
        if stream != name:
            self._note()
            before = 0
        self._last = (stream, before + count)
        file = self._file_of(stream)
        if file is not None:
            self._open(file).write(lines)

    def close(self) -> None:
        self._note()
        self._flush()
        for file in self._files.values():
            file.close()

    def _note(self) -> None:
        stream, count = self._last
        if count:
            self._order.append(f"{stream} {count}\n")
        if len(self._order) >= FLUSHED_AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        """The lines before their order: a killed controller's order must not name lines that are not there."""
        for file in self._files.values():
            file.flush()
        with self._run.order.open("a") as order:
            order.writelines(self._order)
        self._order = []

    def _file_of(self, stream: str) -> Path | None:
        if stream == "harness":
            return self._run.harness
        if stream == "history":
            return self._run.history
        if self._nodes_write:
            return None
        node, _, incarnation = stream.partition("/")
        return self._run.node_events(node, int(incarnation))

    def _open(self, path: Path) -> BinaryIO:
        if path not in self._files:
            self._files[path] = path.open("ab")
        return self._files[path]
