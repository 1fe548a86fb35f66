"""Faults of bits on the network: what reaches a receiver is not what was sent.

A receiver with a checksum notices, and can do one thing: close the connection, since nothing tells it where the next
frame begins. What was in flight behind the frame is lost with the connection, and Raft sends it again over the next
one. No core may ever see what such a frame says.

TCP's own checksum finds most flipped bits, but it has 16 bits, and what flips in the memory of a switch or of a machine
has a right one again (Stone and Partridge, SIGCOMM 2000). So a system that must not take them has a checksum of its
own, and only for one that says so is there this fault. Its name is that of tc-netem.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import ClassVar, Protocol, Self, runtime_checkable

from msgspec.structs import replace

from raft_chaos.chaos.faults import limits
from raft_chaos.chaos.faults.abilities import Ability
from raft_chaos.chaos.faults.action import OnNodes, Room, Strength, some, sums
from raft_chaos.chaos.faults.domain import Domain, Whole, built, some_of
from raft_chaos.chaos.faults.links import LINKS, Link, LinkCounters, LinkState, Traffic
from raft_chaos.chaos.faults.names import LEADER, OTHERS
from raft_chaos.chaos.faults.strike import Effect, Strike

MOST_BITS = 3
"""At most so many bits of one frame flip."""
FLIP_DRAWS = 2 + MOST_BITS
"""How many uniform numbers `places` takes: whether bits flip, how many, and where."""
LITTLE = 0.1
SETTLES_US = 200_000
"""How long after its end the fault waits for a receiver to refuse what came last."""
SURELY = 1e-6
"""So many frames without a flipped bit that this would be less probable are no chance any more."""


# ---- the bits ----------------------------------------------------------------------------------------------------


def places(draws: Sequence[float], probability: float) -> tuple[float, ...]:
    """Where in a frame bits flip, as shares of its length; empty for a frame that arrives as it was sent.

    Each of the `FLIP_DRAWS` draws is uniform in [0, 1).
    """
    hit, count, *where = draws
    return tuple(where[: 1 + int(count * MOST_BITS)]) if hit < probability else ()


def flipped(frame: bytes, at: Sequence[float]) -> bytes:
    """The frame with flipped bits at these places; a bit that is named twice flips once."""
    changed = bytearray(frame)
    for bit in {int(place * 8 * len(frame)): None for place in at}:
        changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


# ---- the fault ---------------------------------------------------------------------------------------------------


@runtime_checkable
class Corrupts(Protocol):
    """A world whose links can flip bits in what they carry."""

    @property
    def traffic(self) -> Traffic: ...
    def set_links(self, states: Mapping[Link, LinkState]) -> None: ...
    def corrupt_counters(self) -> Mapping[Link, LinkCounters]: ...
    def is_up(self, node: str) -> bool: ...
    def incarnation(self, node: str) -> int: ...


class CorruptStrength(Strength, frozen=True):
    """The limit of the probability."""

    corrupt: float = 0.0


class Corrupt(OnNodes, frozen=True, tag="corrupt"):
    """One to three bits of a frame into or out of `nodes` flip with this probability, from 0 to 1."""

    probability: float

    needs: ClassVar[type] = Corrupts
    late_frames: ClassVar[bool] = False
    asks: ClassVar[tuple[Ability, ...]] = ("corrupt", "checksum")
    about: ClassVar[str] = "One to three bits of a frame to or from `nodes` flip on the wire, with this `probability`"
    seen: ClassVar[str] = "The network counts frames that it corrupted, and connections that receivers closed for it"
    then: ClassVar[str] = "The receiver must refuse the frame and close the connection; what was in flight is lost"
    odds: ClassVar[float] = 0.4

    def check(self, nodes: Sequence[str]) -> Iterator[str]:
        yield from super().check(nodes)
        yield from limits.probability("action.probability", self.probability)
        if self.probability == 0:
            yield "action.probability: expected more than 0, or no bit flips"

    @classmethod
    def plain(cls, rng: Random, timeout_us: int) -> CorruptStrength:
        return CorruptStrength(round(rng.uniform(0.05, 0.2), 3))

    @classmethod
    def wide(cls, rng: Random, timeout_us: int) -> CorruptStrength:
        """Whether there is any says the frequency; a weak one has no visible effect."""
        return CorruptStrength(round(rng.uniform(0.08, 0.5), 3))

    @classmethod
    def draw(cls, room: Room) -> Self | None:
        rng, nodes, most = room.rng, room.nodes, room.strength.corrupt
        hit = [LEADER] if rng.random() < 0.4 else some(rng, nodes, rng.randint(1, len(nodes)))
        probability = round(most * rng.uniform(0.5, 1), 3)
        return cls(hit, probability) if probability else None

    @classmethod
    def domain(cls, nodes: Sequence[str], *, longest_us: int, at_vote: bool) -> Domain:
        tenths = built(lambda tenth: tenth / 10, Whole(1, 10))
        return built(cls, some_of([*nodes, LEADER, OTHERS], len(nodes)), tenths)

    async def strike(self, at: Strike) -> None:
        world, nodes = at.can(Corrupts), self.hit(at)
        before = {
            link: counters
            for link, counters in world.corrupt_counters().items()
            if link[0] in nodes or link[1] in nodes
        }
        incarnations = {link[1]: world.incarnation(link[1]) for link in before}
        at.begin(nodes)
        world.set_links(at.lay(LINKS, dict.fromkeys(before, LinkState(corrupt=self.probability))))
        at.injected(f"{' '.join(nodes)}: corrupt {self.probability:.0%}")
        await at.hold(at.duration_us)
        world.set_links(at.lift(LINKS))
        after = world.corrupt_counters()
        if sums(before, after, "corrupted") and not sums(before, after, "refused"):
            await at.hold(SETTLES_US)
            after = world.corrupt_counters()
        passed, corrupted, refused = (sums(before, after, field) for field in ("forwarded", "corrupted", "refused"))
        reached = [link[1] for link in before if after[link].corrupted > before[link].corrupted]
        excuse = ""
        if not corrupted and (1 - self.probability) ** passed > SURELY:
            excuse = f"only {passed} {world.traffic.unit} passed"
        elif not any(world.is_up(node) and world.incarnation(node) == incarnations[node] for node in reached):
            excuse = "no node was up to read them" if reached else ""
        at.healed(Effect(refused > 0, f"{world.traffic.unit}: {corrupted} corrupted, {refused} refused", excuse))

    @classmethod
    def summary(cls, faults: Sequence[tuple[Self, int]], nodes: Sequence[str]) -> Iterator[str]:
        most = max(corrupt.probability for corrupt, _ in faults)
        yield f"corrupt: {len(faults)}, up to {most * 100:.0f} % of the frames"

    def smaller(self) -> Iterator[Self]:
        if self.probability > LITTLE:
            yield replace(self, probability=LITTLE)
        yield from super().smaller()
