"""Runs that go on, each followed while somebody looks at it (`followed`).

The page asks every second, and what is new is then read in a thread. Nobody asks: nothing is read.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from raft_chaos.chaos.cli.read.run_names import Ongoing, SavedRun

if TYPE_CHECKING:
    from raft_chaos.chaos.cli.serve.followed import Followed

MOST_FOLLOWED = 4
FORGOTTEN_AFTER_S = 30.0
QUIET_S = 5.0
"""A run that wrote something in this time goes on; of another it is looked up."""


class Following:
    """The runs that are followed now, a few at most."""

    def __init__(self) -> None:
        self._followed: dict[str, Followed] = {}

    async def look(self, run: SavedRun) -> Followed | None:
        """The run as it is now; None if it does not go on."""
        self.forget()
        name, now_s = run.path.name, time.monotonic()
        followed = self._followed.get(name)
        if not run.says_it_goes_on or run.info is None:
            self._drop(name)
            return None
        quiet = followed is None or now_s - followed.heard_s > QUIET_S
        if quiet and not await asyncio.to_thread(lambda: run in Ongoing()):
            self._drop(name)
            return None
        followed = self._followed.get(name)
        if followed is None:
            if len(self._followed) >= MOST_FOLLOWED:
                self._drop(min(self._followed, key=lambda one: self._followed[one].asked_s))
            from raft_chaos.chaos.cli.serve.followed import follow  # it brings all checkers, and most runs have ended

            followed = self._followed[name] = follow(run, run.info)
        followed.asked_s = now_s
        async with followed.lock:
            await asyncio.to_thread(followed.read)
        return followed

    def forget(self) -> None:
        """Lets go of the runs at which nobody looks any more."""
        now_s = time.monotonic()
        for name in [name for name, one in self._followed.items() if now_s - one.asked_s > FORGOTTEN_AFTER_S]:
            self._drop(name)

    def _drop(self, name: str) -> None:
        followed = self._followed.get(name)
        if followed is not None and not followed.lock.locked():
            del self._followed[name]
            followed.follower.close()

    def close(self) -> None:
        for name in list(self._followed):
            self._drop(name)
