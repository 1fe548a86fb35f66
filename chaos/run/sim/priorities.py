"""An order of deliveries by priorities of links, like PCT's of threads (Burckhardt et al. 2010).

Each directed link has a priority, drawn at random: of frames that are sent at the same time, that of the higher one
arrives first, always. At `depth - 1` random moments the link that sends next loses its priority: from then on its
frames are late, behind all others. They are never so late that a correct cluster could elect no leader, since no fault
of the schedule says that they are.

PCT finds a mistake that needs `depth` orderings with a probability that falls only with the number of change points,
whereas a latency of its own for each frame must hit all of these orderings by chance. PCT runs whichever thread has the
highest priority as long as it can; here time goes on, and timers are due, so a low priority is a latency.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from raft_chaos.chaos.faults.links import Link
from raft_chaos.chaos.run.sim.scheduler import Scheduler
from raft_chaos.chaos.schedule.data import LAG_US
from raft_chaos.chaos.schedule.streams import stream


class Priorities:
    """The priorities of `links` from now on, drawn from `seed`. They change before `until_us`; `spread_us` is the range
    of latencies without a fault."""

    def __init__(
        self, links: Sequence[Link], spread_us: int, seed: int, depth: int, until_us: int, scheduler: Scheduler
    ) -> None:
        self._spread_us = spread_us
        rng = stream(seed, "network/priorities")
        drawn = rng.sample(links, len(links))
        self.of = {link: Priority(self, place / len(drawn)) for place, link in enumerate(drawn)}
        """The source of each link's latencies."""
        self._lags_us: list[int] = []  # of the next links that lose their priority
        least, most = LAG_US
        for _ in range(depth - 1):
            lag_us = int(least * (most / least) ** rng.random())
            scheduler.at(rng.randint(scheduler.now_us, max(scheduler.now_us, until_us)), self._change, lag_us)

    def lag(self) -> float:
        """By how much of the range the link that sends now is late from now on: 0 unless it loses its priority."""
        return self._lags_us.pop() / max(1, self._spread_us) if self._lags_us else 0.0

    def _change(self, lag_us: Any) -> None:
        self._lags_us.append(lag_us)


class Priority:
    """The latencies of one link: the same for each of its frames, until it loses its priority."""

    __slots__ = ("_all", "_lag", "_share")

    def __init__(self, priorities: Priorities, share: float) -> None:
        self._all = priorities
        self._share = share
        self._lag = 0.0

    def one(self, number: int) -> float:
        """Where in the range of latencies the frame lies, more than 1 if it is late; called once for each frame."""
        if (lag := self._all.lag()) > self._lag:
            self._lag = lag
        return self._share + self._lag
