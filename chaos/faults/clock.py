"""Faults of clocks: a node's clock runs fast or slow, jumps forward or back, or flips between two times.

It is the clock by which the node lives (`raft.server.node_clock`), not the machine's. A timer that is set when the
clock goes back is due later by as much. So both kinds end with the clock forward by all that they took it back: then
each timer is due within the time for which it was set, whatever other faults of clocks did to it meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import ClassVar, NamedTuple, Protocol, Self, runtime_checkable

from msgspec.structs import replace

from raft_chaos.chaos.faults import limits
from raft_chaos.chaos.faults.abilities import Ability
from raft_chaos.chaos.faults.action import OnNodes, Room, Strength, some, strong
from raft_chaos.chaos.faults.domain import MS, Domain, Whole, built, some_of
from raft_chaos.chaos.faults.names import LEADER, OTHERS
from raft_chaos.chaos.faults.strike import Effect, Layer, Strike

RATE_PPM = (-500_000, 1_000_000)
"""How far a clock's rate may be off: from half the true speed to twice that."""
JUMP_US_MAX = 60_000_000
PERIOD_US = (5 * MS, 60_000 * MS)
"""How long a strobe's clock stays where it is: in real time the harness flips it."""

PERCENT_PPM = 10_000
RATE_PPM_MOST = 10 * PERCENT_PPM
RATE_PPM_SELDOM = 50 * PERCENT_PPM
"""A drifting clock gains or loses up to a tenth; a broken one up to half, in one seed of ten with clock faults."""

RATE: Layer[int] = Layer("clock_rate_ppm", lambda rates: rates[-1] if rates else 0)
"""If a node has several, the latest counts."""


class Ahead(NamedTuple):
    """How far a node's clock was ahead of the run's time just before it was changed, and just after (µs)."""

    before_us: int
    after_us: int


@runtime_checkable
class Clocks(Protocol):
    """A world whose nodes' clocks can be skewed."""

    async def skew(self, node: str, rate_ppm: int, jump_us: int) -> Ahead | None:
        """The node's clock jumps by `jump_us` (negative: back), and gains `rate_ppm` from now on, also after restarts.
        Returns what the clock then shows; None if a node of a real process does not run, or does not say."""
        ...


class SkewStrength(Strength, frozen=True):
    """How far rates are off, and how far clocks jump, at most."""

    clock_ppm: int = 0
    clock_jump_us: int = 0


class Clock(OnNodes, frozen=True, tag="clock"):
    """The clocks of `nodes` jump by `jump_us` (negative: back), then run `rate_ppm` millionths too fast (negative: too
    slow).

    When the fault ends they run at true speed again. A clock that jumped back is set forward by as much; any other
    offset stays.
    """

    rate_ppm: int
    jump_us: int

    needs: ClassVar[type] = Clocks
    late_frames: ClassVar[bool] = False
    asks: ClassVar[tuple[Ability, ...]] = ("clock",)
    about: ClassVar[str] = (
        "The clocks of `nodes` jump by `jump_us` (negative: back), then run `rate_ppm` millionths too fast or too slow"
    )
    seen: ClassVar[str] = "The nodes say that their clocks show another time than before"

    def check(self, nodes: Sequence[str]) -> Iterator[str]:
        yield from super().check(nodes)
        yield from limits.within("action.rate_ppm", self.rate_ppm, *RATE_PPM)
        yield from limits.within("action.jump_us", self.jump_us, -JUMP_US_MAX, JUMP_US_MAX)

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
        return built(cls, hit, Whole(*RATE_PPM, PERCENT_PPM), Whole(-1_000 * MS, 1_000 * MS, MS))

    async def strike(self, at: Strike) -> None:
        world, nodes, began_us = at.can(Clocks), self.hit(at), at.now_us
        at.begin(nodes)
        at.lay(RATE, dict.fromkeys(nodes, self.rate_ppm))  # this fault is the latest, so its rate counts
        early = await at.together([world.skew(node, self.rate_ppm, self.jump_us) for node in nodes])
        at.injected(self._text(nodes))
        await at.hold(at.duration_us)
        at.lift(RATE)
        lasted_us = at.now_us - began_us
        # The time since makes up for none of it: the clock may have been slow, or gone back more than once.
        forward_us = max(0, -self.jump_us)
        late = await at.together([world.skew(node, at.merged(RATE, node), forward_us) for node in nodes])
        gained_us = self.jump_us + lasted_us * self.rate_ppm // 1_000_000
        at.healed(_gained(gained_us, early, late))

    def _text(self, nodes: Sequence[str]) -> str:
        return (
            f"clocks of {' '.join(nodes)} jump by {self.jump_us / MS:g} ms and gain {self.rate_ppm / PERCENT_PPM:g} %"
        )

    @classmethod
    def summary(cls, faults: Sequence[tuple[Self, int]], nodes: Sequence[str]) -> Iterator[str]:
        rate, jump_us = max(abs(clock.rate_ppm) for clock, _ in faults), max(abs(clock.jump_us) for clock, _ in faults)
        yield f"clock: {len(faults)}, off by up to {rate / PERCENT_PPM:.1f} %, jumps up to {jump_us / 1e6:.1f} s"

    def smaller(self) -> Iterator[Self]:
        if self.rate_ppm and self.jump_us:
            yield replace(self, rate_ppm=0)
            yield replace(self, jump_us=0)
        yield from super().smaller()


def _gained(gained_us: int, early: Sequence[Ahead | None], late: Sequence[Ahead | None]) -> Effect:
    """The effect on all nodes that said what their clocks show."""
    moved = [one for one in map(_moved, early, late) if one is not None]
    excuse = "" if moved else "no node was up to say what its clock shows"
    return Effect(gained_us != 0 and bool(moved) and all(moved), f"gained {gained_us / MS:g} ms", excuse)


def _moved(early: Ahead | None, late: Ahead | None) -> bool | None:
    """Whether the clock was seen to jump, or to have gained since; None if its node could not say."""
    if early is not None and early.after_us != early.before_us:
        return True
    return late.before_us != early.before_us if early is not None and late is not None else None


# ---- there and back --------------------------------------------------------------------------------------------------


class StrobeStrength(Strength, frozen=True):
    """How far clocks flip, at most."""

    strobe_offset_us: int = 0


class Strobe(OnNodes, frozen=True, tag="strobe"):
    """The clocks of `nodes` go forward by `offset_us` and back again, one or the other every `period_us`.

    They end ahead, and keep that offset: so no timer is left that was set before its clock last went back.
    """

    offset_us: int
    period_us: int

    needs: ClassVar[type] = Clocks
    late_frames: ClassVar[bool] = False
    asks: ClassVar[tuple[Ability, ...]] = ("clock",)
    about: ClassVar[str] = (
        "The clocks of `nodes` go forward by `offset_us` and back again, one or the other every `period_us`"
    )
    seen: ClassVar[str] = "The nodes say that their clocks went there and back"
    odds: ClassVar[float] = 0.3

    def check(self, nodes: Sequence[str]) -> Iterator[str]:
        yield from super().check(nodes)
        yield from limits.within("action.offset_us", self.offset_us, 1, JUMP_US_MAX)
        yield from limits.within("action.period_us", self.period_us, *PERIOD_US)

    @classmethod
    def plain(cls, rng: Random, timeout_us: int) -> StrobeStrength:
        return StrobeStrength(timeout_us)

    @classmethod
    def wide(cls, rng: Random, timeout_us: int) -> StrobeStrength:
        return StrobeStrength(round(strong(rng, 10 * timeout_us)))

    @classmethod
    def often(cls, rng: Random, strength: StrobeStrength) -> int:
        return 1 if strength.strobe_offset_us else 0

    @classmethod
    def draw(cls, room: Room) -> Self | None:
        """From flips within a heartbeat to one there and one back. The clocks go back at least once."""
        rng, most_us = room.rng, room.strength.strobe_offset_us
        offset_us = rng.randint(max(1, most_us // 10), max(1, most_us))
        drawn_us = round(room.timeout_us * 2 ** rng.uniform(-5, 1))
        hit = [LEADER] if rng.random() < 0.3 else some(rng, room.nodes, rng.randint(1, len(room.nodes)))
        return cls(hit, offset_us, max(PERIOD_US[0], min(drawn_us, room.most_us // 3)))

    @classmethod
    def domain(cls, nodes: Sequence[str], *, longest_us: int, at_vote: bool) -> Domain:
        hit = some_of([*nodes, LEADER, OTHERS], len(nodes))
        return built(cls, hit, Whole(MS, 1_000 * MS, MS), Whole(PERIOD_US[0], 500 * MS, MS))

    async def strike(self, at: Strike) -> None:
        nodes, ends_us = self.hit(at), at.now_us + at.duration_us
        at.begin(nodes)
        seen = await self._flip(at, nodes, 1)
        at.injected(f"clocks of {' '.join(nodes)} flip by {self.offset_us / MS:g} ms every {self.period_us / MS:g} ms")
        is_ahead, backs = True, 0
        while True:
            await at.hold(min(self.period_us, ends_us - at.now_us))
            if at.is_over or at.now_us >= ends_us:
                break
            is_ahead = not is_ahead
            backs += not is_ahead
            seen += await self._flip(at, nodes, 1 if is_ahead else -1)
        if not is_ahead:
            seen += await self._flip(at, nodes, 1)
        at.healed(self._effect(backs, seen))

    async def _flip(self, at: Strike, nodes: Sequence[str], sign: int) -> list[tuple[str, Ahead]]:
        """Flips all clocks; returns what the nodes that run say of it."""
        world = at.can(Clocks)
        jump_us = sign * self.offset_us
        said = await at.together([world.skew(node, at.merged(RATE, node), jump_us) for node in nodes])
        return [(node, ahead) for node, ahead in zip(nodes, said, strict=True) if ahead is not None]

    def _effect(self, backs: int, seen: Sequence[tuple[str, Ahead]]) -> Effect:
        said = {node for node, _ in seen}  # used only for comparing; a node may have been down at some of the times
        changed = {node for node, ahead in seen if ahead.after_us != ahead.before_us}
        went_back = any(ahead.after_us < ahead.before_us for _, ahead in seen)
        excuse = "" if said else "no node was up to say what its clock shows"
        if not backs:
            excuse = "it was over before they went back"
        return Effect(went_back and changed == said, f"went back {backs} times", excuse)

    @classmethod
    def summary(cls, faults: Sequence[tuple[Self, int]], nodes: Sequence[str]) -> Iterator[str]:
        most_us, least_us = max(one.offset_us for one, _ in faults), min(one.period_us for one, _ in faults)
        yield f"strobe: {len(faults)}, by up to {most_us / 1e6:.1f} s, every {least_us / MS:.0f} ms and more"

    def smaller(self) -> Iterator[Self]:
        """With clocks that flip less often, too."""
        yield from super().smaller()
        if self.period_us * 4 <= PERIOD_US[1]:
            yield replace(self, period_us=self.period_us * 4)
