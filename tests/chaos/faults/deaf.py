"""A family of faults with one kind that is not in the product: nodes that do not answer their clients for a while.

Everything about the kind is in this file, and no other module mentions it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import ClassVar, Protocol, Self, runtime_checkable

from msgspec.structs import replace

from raft_chaos.chaos.faults import limits
from raft_chaos.chaos.faults.action import OnNodes, Room, Strength, strong
from raft_chaos.chaos.faults.domain import Domain, Whole, built, some_of
from raft_chaos.chaos.faults.names import LEADER
from raft_chaos.chaos.faults.strike import Effect, Layer, Strike

DEAF: Layer[int] = Layer("deaf", lambda shares: max(shares, default=0))


@runtime_checkable
class Doors(Protocol):
    """A world whose nodes can be made deaf to their clients."""

    async def deafen(self, node: str, percent: int) -> None: ...
    def unheard(self, node: str) -> int: ...


class DeafStrength(Strength, frozen=True):
    deaf_percent: int = 0


class Deaf(OnNodes, frozen=True, tag="deaf"):
    """`nodes` do not hear `percent` of their clients' requests."""

    percent: int

    needs: ClassVar[type] = Doors
    about: ClassVar[str] = "Some nodes do not hear their clients"

    def check(self, nodes: Sequence[str]) -> Iterator[str]:
        yield from super().check(nodes)
        yield from limits.within("action.percent", self.percent, 1, 100)

    @classmethod
    def plain(cls, rng: Random, timeout_us: int) -> DeafStrength:
        return DeafStrength(30)

    @classmethod
    def wide(cls, rng: Random, timeout_us: int) -> DeafStrength:
        return DeafStrength(round(strong(rng, 100)))

    @classmethod
    def often(cls, rng: Random, strength: DeafStrength) -> int:
        return 1 if strength.deaf_percent else 0

    @classmethod
    def draw(cls, room: Room) -> Self | None:
        return cls([LEADER], room.rng.randint(1, room.strength.deaf_percent))

    @classmethod
    def domain(cls, nodes: Sequence[str], *, longest_us: int, at_vote: bool) -> Domain:
        return built(cls, some_of([*nodes, LEADER], len(nodes)), Whole(1, 100))

    async def strike(self, at: Strike) -> None:
        world, nodes = at.can(Doors), self.hit(at)
        at.begin(nodes)
        for node, percent in at.lay(DEAF, dict.fromkeys(nodes, self.percent)).items():
            await world.deafen(node, percent)
        at.injected(f"{' '.join(nodes)}: {self.percent} % is not heard")
        await at.hold(at.duration_us)
        for node, percent in at.lift(DEAF).items():
            await world.deafen(node, percent)
        unheard = sum(world.unheard(node) for node in nodes)
        at.healed(Effect(unheard > 0, f"{unheard} not heard"))

    @classmethod
    def summary(cls, faults: Sequence[tuple[Self, int]], nodes: Sequence[str]) -> Iterator[str]:
        yield f"deaf: {len(faults)}, up to {max(deaf.percent for deaf, _ in faults)} %"

    def smaller(self) -> Iterator[Self]:
        if self.percent > 1:
            yield replace(self, percent=self.percent // 2)
        yield from super().smaller()
