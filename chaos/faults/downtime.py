"""The bases of kinds whose nodes do not run for some time, and what these share: they end, and start again later."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import ClassVar, Self

from msgspec.structs import replace

from raft_chaos.chaos.faults import limits
from raft_chaos.chaos.faults.action import OnNodes, Room


class Downtime(OnNodes, frozen=True):
    """A fault whose nodes are down or stopped as long as it lasts."""

    stops_nodes: ClassVar[bool] = True
    disturbs: ClassVar[bool] = True
    leaves_behind: ClassVar[bool] = True

    def disturbed(self, count: int) -> int:
        return len(self.nodes)


class Restart(Downtime, frozen=True):
    """A fault that ends its nodes; each starts again `restart_after_us` after its end.

    Each kind declares that field: its place among the others is part of the checksum of saved reproductions.
    """

    @property
    def restart_after_us(self) -> int:
        raise NotImplementedError

    def check(self, nodes: Sequence[str]) -> Iterator[str]:
        yield from super().check(nodes)
        yield from limits.not_negative("action.restart_after_us", self.restart_after_us)

    def lasts_us(self, duration_us: int) -> int:
        return self.restart_after_us

    def drawn_us(self, room: Room) -> int:
        return self.lasts_us(0)

    def smaller(self) -> Iterator[Self]:
        yield from super().smaller()
        if self.restart_after_us:
            yield replace(self, restart_after_us=0)


def wait_us(rng: Random, most_us: int) -> int:
    """How long (µs) to wait before a start: not at all in half of the cases, in the others up to `most_us`."""
    return 0 if rng.random() < 0.5 else rng.randint(0, most_us)
