"""Faults of clocks: a node's clock runs fast or slow, or jumps forward."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import ClassVar, Protocol, Self, runtime_checkable

from msgspec.structs import replace

from raft_chaos.chaos.faults import limits
from raft_chaos.chaos.faults.action import OnNodes, Room, Strength, some, strong
from raft_chaos.chaos.faults.domain import MS, Domain, Whole, built, some_of
from raft_chaos.chaos.faults.names import LEADER, OTHERS
from raft_chaos.chaos.faults.strike import Effect, Layer, Strike

RATE_PPM = (-500_000, 1_000_000)
"""How far a clock's rate may be off: from half the true speed to twice that."""
JUMP_US_MAX = 60_000_000

PERCENT_PPM = 10_000
RATE_PPM_MOST = 10 * PERCENT_PPM
RATE_PPM_SELDOM = 50 * PERCENT_PPM
"""A drifting clock gains or loses up to a tenth; a broken one up to half, in one seed of ten with clock faults."""

RATE: Layer[int] = Layer("clock_rate_ppm", lambda rates: rates[-1] if rates else 0)
"""If a node has several, the latest counts."""


@runtime_checkable
class Clocks(Protocol):
    """A world whose nodes' clocks can be skewed."""

    def skew(self, node: str, rate_ppm: int, jump_us: int) -> None:
        """The node's clock jumps forward by `jump_us`, and gains `rate_ppm` from now on, also after restarts."""
        ...


class SkewStrength(Strength, frozen=True):
    """How far rates are off, and how far clocks jump, at most."""

    clock_ppm: int = 0
    clock_jump_us: int = 0


class Clock(OnNodes, frozen=True, tag="clock"):
    """The clocks of `nodes` jump forward by `jump_us`, then run `rate_ppm` millionths too fast (negative: too slow).

    When the fault ends they run at true speed again, and keep the offset that they have by then.
    """

    rate_ppm: int
    jump_us: int

    needs: ClassVar[type] = Clocks
    about: ClassVar[str] = (
        "The clocks of `nodes` jump forward by `jump_us`, then run `rate_ppm` millionths too fast or too slow"
    )
    seen: ClassVar[str] = "The clocks show another time than the run's"
    in_live: ClassVar[bool] = False

    def check(self, nodes: Sequence[str]) -> Iterator[str]:
        yield from super().check(nodes)
        yield from limits.within("action.rate_ppm", self.rate_ppm, *RATE_PPM)
        yield from limits.within("action.jump_us", self.jump_us, 0, JUMP_US_MAX)

    @classmethod
    def plain(cls, rng: Random, timeout_us: int) -> SkewStrength:
        return SkewStrength(RATE_PPM_MOST // 2, timeout_us)

    @classmethod
    def wide(cls, rng: Random, timeout_us: int) -> SkewStrength:
        most_ppm = RATE_PPM_SELDOM if rng.random() < 0.1 else RATE_PPM_MOST
        return SkewStrength(round(strong(rng, most_ppm)), round(strong(rng, 10 * timeout_us)))

    @classmethod
    def often(cls, rng: Random, strength: SkewStrength) -> int:
        return 1 if strength.clock_ppm or strength.clock_jump_us else 0

    @classmethod
    def draw(cls, room: Room) -> Self | None:
        """At least a tenth of what the seed allows: a smaller change would have no effect."""
        rng, nodes, most = room.rng, room.nodes, room.strength
        rate_ppm = rng.randint(most.clock_ppm // 10, most.clock_ppm) * rng.choice((-1, 1))
        jump_us = rng.randint(most.clock_jump_us // 10, most.clock_jump_us)
        hit = [LEADER] if rng.random() < 0.3 else some(rng, nodes, rng.randint(1, len(nodes)))
        return cls(hit, rate_ppm, jump_us)

    @classmethod
    def domain(cls, nodes: Sequence[str], *, longest_us: int, at_vote: bool) -> Domain:
        hit = some_of([*nodes, LEADER, OTHERS], len(nodes))
        return built(cls, hit, Whole(*RATE_PPM, PERCENT_PPM), Whole(0, 1_000 * MS, MS))

    async def strike(self, at: Strike) -> None:
        world, nodes, began_us = at.can(Clocks), self.hit(at), at.now_us
        at.begin(nodes)
        at.lay(RATE, dict.fromkeys(nodes, self.rate_ppm))  # this fault is the latest, so its rate counts
        for node in nodes:
            world.skew(node, self.rate_ppm, self.jump_us)
        at.injected(self._text(nodes))
        await at.hold(at.duration_us)
        at.lift(RATE)
        for node in nodes:
            world.skew(node, at.merged(RATE, node), 0)
        gained_us = self.jump_us + (at.now_us - began_us) * self.rate_ppm // 1_000_000
        at.healed(Effect(gained_us != 0, f"gained {gained_us / MS:g} ms"))

    def _text(self, nodes: Sequence[str]) -> str:
        return (
            f"clocks of {' '.join(nodes)} jump by {self.jump_us / MS:g} ms and gain {self.rate_ppm / PERCENT_PPM:g} %"
        )

    @classmethod
    def summary(cls, faults: Sequence[tuple[Self, int]], nodes: Sequence[str]) -> Iterator[str]:
        rate, jump_us = max(abs(clock.rate_ppm) for clock, _ in faults), max(clock.jump_us for clock, _ in faults)
        yield f"clock: {len(faults)}, off by up to {rate / PERCENT_PPM:.1f} %, jumps up to {jump_us / 1e6:.1f} s"

    def smaller(self) -> Iterator[Self]:
        if self.rate_ppm and self.jump_us:
            yield replace(self, rate_ppm=0)
            yield replace(self, jump_us=0)
        yield from super().smaller()
