"""Faults of disks: syncs take longer, so that a killed node has written more bytes that are not durable yet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, Self, TypeAlias, runtime_checkable

from raft_chaos.chaos.faults import limits
from raft_chaos.chaos.faults.abilities import Ability
from raft_chaos.chaos.faults.action import OnNodes, Room, some
from raft_chaos.chaos.faults.domain import MS, Domain, built, range_us, some_of
from raft_chaos.chaos.faults.names import LEADER, OTHERS
from raft_chaos.chaos.faults.strike import Effect, Layer, Strike

RangeUs: TypeAlias = tuple[int, int]
"""(least, most) additional µs of a sync; (0, 0) for a disk without faults."""
MOST_US = 50 * MS

SLOW_SYNC: Layer[RangeUs] = Layer("slow_sync", lambda ranges: ranges[-1] if ranges else (0, 0))
"""If a node has several, the latest counts."""


@dataclass(frozen=True)
class Syncs:
    """How many syncs of a node were slowed since the run began, and how many writes it began, if known."""

    slowed: int
    writes: int | None


@runtime_checkable
class SlowSyncs(Protocol):
    """A world whose nodes' syncs can be made slow."""

    async def slow_sync(self, node: str, longer: RangeUs) -> None:
        """Syncs of the node that begin from now on take `longer`, also after restarts."""
        ...

    async def syncs(self, node: str) -> Syncs: ...


class SlowSync(OnNodes, frozen=True, tag="slow_sync"):
    """Each sync of `nodes` takes `min_us` to `max_us` longer (drawn by the node from its own stream)."""

    min_us: int
    max_us: int

    needs: ClassVar[type] = SlowSyncs
    late_frames: ClassVar[bool] = False
    about: ClassVar[str] = "Each sync takes `min_us` to `max_us` longer; a kill then loses what was not synced"
    seen: ClassVar[str] = "The nodes count the syncs that took longer"
    asks: ClassVar[tuple[Ability, ...]] = ("slow_sync",)
    odds: ClassVar[float] = 0.6

    def check(self, nodes: Sequence[str]) -> Iterator[str]:
        yield from super().check(nodes)
        yield from limits.ordered("action.min_us and max_us", self.min_us, self.max_us)

    @classmethod
    def draw(cls, room: Room) -> Self | None:
        rng, nodes = room.rng, room.nodes
        hit = some(rng, nodes, rng.randint(1, len(nodes)))
        return cls(hit, rng.randint(0, 20 * MS), rng.randint(20 * MS, MOST_US))

    @classmethod
    def domain(cls, nodes: Sequence[str], *, longest_us: int, at_vote: bool) -> Domain:
        hit = some_of([*nodes, LEADER, OTHERS], len(nodes))
        return built(lambda nodes, longer: cls(nodes, *longer), hit, range_us(MOST_US))

    async def strike(self, at: Strike) -> None:
        world, nodes = at.can(SlowSyncs), self.hit(at)
        at.begin(nodes)
        for node, longer in at.lay(SLOW_SYNC, dict.fromkeys(nodes, (self.min_us, self.max_us))).items():
            await world.slow_sync(node, longer)
        at.injected(f"syncs of {' '.join(nodes)} take {self.min_us / MS:g} to {self.max_us / MS:g} ms longer")
        before = [await world.syncs(node) for node in nodes]
        await at.hold(at.duration_us)
        for node, longer in at.lift(SLOW_SYNC).items():
            await world.slow_sync(node, longer)
        after = [await world.syncs(node) for node in nodes]
        at.healed(_slowed(before, after))

    @classmethod
    def summary(cls, faults: Sequence[tuple[Self, int]], nodes: Sequence[str]) -> Iterator[str]:
        yield f"slow_sync: {len(faults)}, up to {max(slow.max_us for slow, _ in faults) / MS:.0f} ms"


def _slowed(before: Sequence[Syncs], after: Sequence[Syncs]) -> Effect:
    pairs = list(zip(before, after, strict=True))
    slowed = sum(late.slowed - early.slowed for early, late in pairs)
    nothing_written = all(late.writes is not None and late.writes == early.writes for early, late in pairs)
    return Effect(slowed > 0, f"{slowed} syncs slowed", "nothing was written" if nothing_written else "")
