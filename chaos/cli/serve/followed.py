"""One run that goes on, and that somebody looks at: what is new in it, its picture, its page.

Whatever has come since the last look is read for a bounded time; the picture is made again when that has taken a small
part of the time since the last one.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from raft_chaos.chaos.cli.read.run_names import SavedRun
from raft_chaos.chaos.run.live.follow import ENDED, Follower
from raft_chaos.chaos.run.live.progress import RunStatus
from raft_chaos.invariants.rundir import RunDir, RunInfo
from raft_chaos.reports.html.live import Drawn, live_html, picture_so_far

READ_FOR_S = 0.4
READ_EVERY_S = 0.4
PICTURE_EVERY_S = 2.0
SHARE = 0.04
"""A new picture may take this part of the time."""


@dataclass
class Followed:
    """A run that somebody looks at."""

    follower: Follower
    run: SavedRun
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    asked_s: float = 0.0
    read_s: float = 0.0
    heard_s: float = 0.0
    is_behind: bool = False
    status: RunStatus | None = None
    before: RunStatus | None = None
    drawn: Drawn | None = None
    number: int = 0
    """That of the picture."""
    drawn_s: float = -1e9
    drawn_us: int = -1
    drawing_s: float = 0.0

    def read(self) -> None:
        """Takes what is new, for a bounded time, and makes the picture again if it is time."""
        began_s = time.monotonic()
        if self.status is not None and began_s - self.read_s < READ_EVERY_S:
            return
        self.is_behind = True
        while time.monotonic() - began_s < READ_FOR_S:
            if not self.follower.read():
                self.is_behind = False
                break
            self.heard_s = time.monotonic()
        self.before, self.status = self.status, self.follower.status()
        self.read_s = time.monotonic()
        if self.read_s - self.drawn_s >= max(PICTURE_EVERY_S, self.drawing_s / SHARE):
            self._draw()

    def _draw(self) -> None:
        seen = self.follower.seen
        if seen.last_us == self.drawn_us and self.drawn is not None:
            return
        assert self.status is not None
        began_s = time.thread_time()
        self.drawn = picture_so_far(
            self.run.info.nodes if self.run.info is not None else [],
            list(seen.streams.values()),
            seen.harness,
            seen.ops,
            self.status.violations,
            seen.last_us,
        )
        self.drawing_s = time.thread_time() - began_s
        self.drawn_s, self.drawn_us, self.number = time.monotonic(), seen.last_us, self.number + 1

    def page(self, *, whole: bool) -> str:
        """The page, or its news alone."""
        assert self.status is not None and self.run.info is not None and self.drawn is not None
        return live_html(
            self.run.path.name,
            self.run.info,
            self.status,
            self.before,
            self._notes(),
            self.number,
            self.drawn,
            whole=whole,
        )

    def _notes(self) -> list[str]:
        notes = [self.follower.trouble] if self.follower.trouble else []
        if self.is_behind:
            notes.append("Still reading what has happened so far.")
        if self.status is not None and self.status.phase == ENDED:
            notes.append("The run is being judged; its report comes next.")
        if self.follower.seen.forgotten:
            notes.append(f"The picture leaves out the first {self.follower.seen.forgotten:,} lines of the history.")
        return notes


def follow(run: SavedRun, info: RunInfo) -> Followed:
    """Begins to follow a run, of which nothing is read yet."""
    return Followed(Follower(RunDir(run.path), info), run)
