"""The corpus of an exploration: the schedules from which it makes further ones.

A schedule is worth as much as its run reached that no run had reached before, for its length; and less, the more often
it was chosen in vain. Only the worthiest are kept, so that the corpus of a long exploration fits in memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from random import Random

from raft_chaos.chaos.schedule.data import Schedule
from raft_chaos.chaos.schedule.file import load, save

MOST_KEPT = 200


@dataclass
class Kept:
    """A schedule whose run of so many `deliveries` reached new states, at the times `new_us`. `in_vain` counts what was
    made from it since it last led to a new state."""

    number: int
    schedule: Schedule
    new_us: list[int]
    deliveries: int
    in_vain: int = 0

    @property
    def worth(self) -> float:
        return len(self.new_us) / (1 + self.deliveries) / (1 + self.in_vain)


class Corpus:
    """At most `most` schedules, each also as a file in `folder` (None: only in memory)."""

    def __init__(self, folder: Path | None, most: int = MOST_KEPT) -> None:
        self._folder = folder
        self._most = most
        self._kept: dict[int, Kept] = {}

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def numbers(self) -> list[int]:
        """The attempts whose schedules it has."""
        return list(self._kept)

    def add(self, number: int, schedule: Schedule, new_us: list[int], deliveries: int) -> None:
        """Keeps the schedule of an attempt; the least worthy one goes if there are too many."""
        if self._folder is not None:
            # A kill may have left a part of it, or the schedule of the same number that was never journalled.
            new = self._file(number).with_suffix(".new")
            save(schedule, new)
            new.replace(self._file(number))
        self._keep(Kept(number, schedule, new_us, deliveries))

    def _keep(self, kept: Kept) -> None:
        self._kept[kept.number] = kept
        if len(self._kept) > self._most:
            self._drop(min(self._kept.values(), key=lambda kept: (kept.worth, kept.number)).number)

    def add_saved(self, number: int, new_us: list[int], deliveries: int) -> None:
        """The same for a schedule whose file may be there from an earlier call. Raises ScheduleError if it cannot be
        read."""
        if self._folder is not None and self._file(number).exists():
            self._keep(Kept(number, load(self._file(number)), new_us, deliveries))

    def ended(self, number: int, new: int) -> None:
        """An attempt that was made from this schedule reached so many new states."""
        if (kept := self._kept.get(number)) is not None:
            kept.in_vain = 0 if new else kept.in_vain + 1

    def choose(self, rng: Random) -> Kept:
        """One of the schedules, the worthier the more often. There must be one."""
        kept = list(self._kept.values())
        return rng.choices(kept, cum_weights=list(accumulate(one.worth for one in kept)))[0]

    def like(self, schedule: Schedule, rng: Random) -> Kept:
        """One of those with as many nodes as this schedule, which may be itself."""
        size = len(schedule.header.nodes)
        return rng.choice([kept for kept in self._kept.values() if len(kept.schedule.header.nodes) == size])

    def _drop(self, number: int) -> None:
        del self._kept[number]
        if self._folder is not None:
            self._file(number).unlink(missing_ok=True)

    def _file(self, number: int) -> Path:
        assert self._folder is not None
        return self._folder / f"{number:07}.jsonl"
