"""Reads the nodes' logs while a run goes, and finds the lines that say who became leader (`chaos.targets.log_lines`).

Nothing that a node writes may hold up the harness, or be taken for more than it is:

- A line counts once its end is there, and if it has at most LINE_MOST bytes: a part of one could say something else.
- What stands without an end when a node starts anew is dropped: what the new incarnation appends is no part of it.
- An expression that needs more than LINE_CPU_S of the processor for one line is given up, and so is judging by it.
- One turn reads a file for TURN_S at most, and goes on in the next one. What is left when a node starts anew gets
  ANEW_S, what is left at the end of the run END_S. What could not be read then is said, and nothing is judged valid.
"""

from __future__ import annotations

import os
import re
import signal
import stat
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from raft_chaos.chaos.targets.log_lines import TERM_MOST, LogLine

LINE_MOST = 4096
READ_BYTES = 1 << 16
LAST_BYTES = 64
"""So many bytes before the place that was read up to must still be the same, or the file was written anew."""
LINE_CPU_S = 0.05
TURN_S = 0.005
ANEW_S = 0.1
END_S = 3.0


@dataclass(frozen=True)
class Claim:
    """A line that says that `leader` leads in `term`, logged by `node` in its incarnation `inc`. `at` is its number."""

    node: str
    inc: int
    leader: str
    term: int
    said: str
    file: str
    at: int


class TooSlowError(Exception):
    """An expression took too long for one line."""


@dataclass
class _Log:
    """A growing file, read up to `offset`. `rest` is the beginning of a line whose end is not there yet."""

    path: Path
    fd: int | None = None
    offset: int = 0
    read: bytes = b""
    rest: bytes = b""
    number: int = 0
    whole: deque[bytes] = field(default_factory=deque)

    def next(self) -> tuple[int, bytes] | None:
        """The next line that is complete and not too long, with its number (from 1); None if there is none by now."""
        while True:
            while not self.whole:
                if not (data := self._more()):
                    return None
                *whole, rest = (self.rest + data).split(b"\n")
                self.whole.extend(whole)
                # The end of a line that is too long already says nothing.
                self.rest = rest if len(rest) <= LINE_MOST else b"x" * (LINE_MOST + 1)
            line = self.whole.popleft()
            self.number += 1
            if len(line) <= LINE_MOST:
                return self.number, line

    def _more(self) -> bytes:
        """The next piece; b"" for now if there is none. A file that another one replaced, or that was written anew, is
        read from its beginning."""
        try:
            there = self.path.stat()
            if not stat.S_ISREG(there.st_mode):
                return b""
            if self.fd is None:
                self.fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            elif not os.path.samestat(os.fstat(self.fd), there):
                if old := self._piece():
                    return old  # what was written before it was replaced
                self._start_over()
                self.fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            elif os.pread(self.fd, len(self.read), self.offset - len(self.read)) != self.read:
                self._start_over()
                return self._more()
            return self._piece()
        except OSError:
            return b""

    def _piece(self) -> bytes:
        assert self.fd is not None
        data = os.pread(self.fd, READ_BYTES, self.offset)
        self.offset += len(data)
        self.read = (self.read + data)[-LAST_BYTES:]
        return data

    def _start_over(self) -> None:
        self.close()
        self.offset, self.read, self.rest, self.number = 0, b"", b"", 0

    def skip(self) -> None:
        """The rest of what is there now is never read."""
        self.whole.clear()
        if self.fd is not None:
            self.offset = os.fstat(self.fd).st_size
            self.read = os.pread(self.fd, LAST_BYTES, max(0, self.offset - LAST_BYTES))

    def close(self) -> None:
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None


@dataclass
class _Follower:
    """One expression on one node."""

    node: str
    line: LogLine
    pattern: re.Pattern[str]
    log: _Log
    inc: int = 0


@dataclass
class LogReader:
    """The logs of all nodes of a run. `named` has, for each expression, the nodes by what lines call them.

    `claimed` is called with each claim, in the order of each node's log; `lost` with a sentence when not everything
    could be read. Outside of the main thread no expression is used, since nothing could stop it there.
    """

    lines: Sequence[LogLine]
    folders: Mapping[str, Path]
    named: Sequence[Mapping[str, str]]
    claimed: Callable[[Claim], None]
    lost: Callable[[str], None]
    _followers: list[_Follower] = field(default_factory=list)
    _given_up: set[str] = field(default_factory=set)
    _before: Any = None
    _armed: bool = False

    def __post_init__(self) -> None:
        if not self.lines:
            return
        if threading.current_thread() is not threading.main_thread():
            self.lost("logs are read in the main thread of a process only")
            return
        self._before = signal.signal(signal.SIGVTALRM, self._too_slow)
        self._followers = [
            _Follower(node, line, re.compile(line.pattern), _Log(line.path(folder)))
            for node, folder in self.folders.items()
            for line in self.lines
        ]

    def follow(self, node: str, inc: int) -> None:
        """A new incarnation of the node is about to start; the one before writes no more."""
        for follower in self._followers:
            if follower.node == node:
                if not self._read(follower, ANEW_S):
                    self.lost(f"{follower.line.file} of {node} grew faster than it could be read")
                    follower.log.skip()
                follower.inc = inc
                follower.log.rest = b""

    def read(self) -> None:
        """One turn: the lines that are there by now, as far as the time of a turn allows."""
        for follower in self._followers:
            self._read(follower, TURN_S)

    def finish(self) -> None:
        """The run is over, and no node writes any more."""
        for follower in self._followers:
            if not self._read(follower, END_S):
                self.lost(f"{follower.line.file} of {follower.node} could not be read to its end in {END_S:g} s")

    def close(self) -> None:
        for follower in self._followers:
            follower.log.close()
        if self._before is not None:
            signal.signal(signal.SIGVTALRM, self._before)
            self._before = None

    def _read(self, follower: _Follower, within_s: float) -> bool:
        """Whether all that is there was read."""
        ends = time.monotonic() + within_s
        while (line := follower.log.next()) is not None:
            self._take(follower, *line)
            if time.monotonic() >= ends:
                return False
        return True

    def _take(self, follower: _Follower, number: int, line: bytes) -> None:
        if follower.line.pattern in self._given_up:
            return
        text = line.decode(errors="replace").rstrip("\r")
        try:
            found = self._tried(follower.pattern, text)
        except (TooSlowError, RecursionError, MemoryError):
            self._given_up.add(follower.line.pattern)
            self.lost(
                f"the pattern {follower.line.pattern!r} took more than {LINE_CPU_S * 1000:.0f} ms of the processor for "
                f"line {number} of {follower.line.file} of {follower.node}, and was given up"
            )
            return
        if found is None:
            return
        groups = found.groupdict()
        name = groups.get("leader", groups.get("node"))
        leader = follower.node if name is None else self.named[self.lines.index(follower.line)].get(name.strip())
        term = _number(groups["term"])
        if leader is not None and term is not None:
            claim = Claim(follower.node, follower.inc, leader, term, text, follower.line.file, number)
            self.claimed(claim)

    def _tried(self, pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
        """Tries twice: other threads of the harness use the processor, too. Raises TooSlowError."""
        try:
            return self._search(pattern, text)
        except TooSlowError:
            return self._search(pattern, text)

    def _search(self, pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
        """Raises TooSlowError. The engine of expressions looks for signals while it tries one way after the other."""
        signal.setitimer(signal.ITIMER_VIRTUAL, LINE_CPU_S)
        self._armed = True
        try:
            return pattern.search(text)
        finally:
            self._armed = False
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)

    def _too_slow(self, number: int, frame: FrameType | None) -> None:
        if self._armed:
            self._armed = False
            raise TooSlowError


def _number(text: str | None) -> int | None:
    """The term; None if the group has no number, or one that is too large for any."""
    if text is None or not re.fullmatch(r"[0-9]{1,16}", text.strip()):
        return None
    term = int(text)
    return term if term < TERM_MOST else None
