"""Faults of the network around some nodes: frames are degraded, links are slow, and connections break."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import ClassVar, Self

from msgspec.structs import replace

from raft_chaos.chaos.faults import limits
from raft_chaos.chaos.faults.abilities import Abilities, Ability
from raft_chaos.chaos.faults.action import OnNodes, Room, Strength, some, strong, sums
from raft_chaos.chaos.faults.domain import (
    MS,
    Domain,
    OneOf,
    Whole,
    built,
    range_us,
    some_of,
    tenths,
)
from raft_chaos.chaos.faults.links import LINKS, Degraded, Links, LinkState, Resets, Throttles, no_members
from raft_chaos.chaos.faults.names import LEADER, OTHERS, group_of, tally
from raft_chaos.chaos.faults.strike import Effect, Strike

# ---- network -----------------------------------------------------------------------------------------------------


class NetworkStrength(Strength, frozen=True):
    """The limits of all network faults: probabilities, the longest uniform delay, and the mean of the exponential
    one."""

    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    delay_us: int = 0
    delay_mean_us: int = 0


DEGRADATIONS: frozenset[Ability] = frozenset(("delay", "loss", "duplicate", "reorder"))


class Network(OnNodes, frozen=True, tag="network"):
    """Degrades the directed links into and out of `nodes`: probabilities 0 to 1, delays in µs.

    A delay is uniform from `delay_min_us` to `delay_max_us`, plus an exponential one with mean `delay_mean_us`.
    """

    delay_min_us: int = 0
    delay_max_us: int = 0
    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    delay_mean_us: int = 0

    needs: ClassVar[type] = Links
    about: ClassVar[str] = (
        "Frames to and from `nodes` are delayed (uniformly, and exponentially), lost, duplicated and reordered"
    )
    seen: ClassVar[str] = "The network counts frames that it delayed, lost, duplicated or reordered"
    odds: ClassVar[float] = 0.8

    def check(self, nodes: Sequence[str]) -> Iterator[str]:
        yield from super().check(nodes)
        yield from limits.ordered("action.delay_min_us and delay_max_us", self.delay_min_us, self.delay_max_us)
        yield from limits.not_negative("action.delay_mean_us", self.delay_mean_us)
        for field in ("loss", "duplicate", "reorder"):
            yield from limits.probability(f"action.{field}", getattr(self, field))

    @classmethod
    def exists(cls, can: Abilities) -> bool:
        return not can.isdisjoint(DEGRADATIONS)

    def asked(self) -> set[Ability]:
        fields: dict[Ability, float] = {"loss": self.loss, "duplicate": self.duplicate, "reorder": self.reorder}
        fields["delay"] = self.delay_max_us + self.delay_mean_us
        return {*super().asked(), *(ability for ability, value in fields.items() if value)}

    def weakened(self, can: Abilities) -> Self | None:
        loss, duplicate, reorder = (
            value if ability in can else 0.0
            for ability, value in (("loss", self.loss), ("duplicate", self.duplicate), ("reorder", self.reorder))
        )
        left = replace(self, loss=loss, duplicate=duplicate, reorder=reorder)
        if "delay" not in can:
            left = replace(left, delay_min_us=0, delay_max_us=0, delay_mean_us=0)
        return left if not left.asked().isdisjoint(DEGRADATIONS) else None

    @classmethod
    def plain(cls, rng: Random, timeout_us: int) -> NetworkStrength:
        """Some of the degradations, in moderate strength."""
        troubles = some(rng, ["delay", "loss", "duplicate", "reorder"], rng.randint(1, 4))
        drawn = {
            "delay": rng.uniform(0.02, 0.3) * timeout_us,
            "loss": rng.uniform(0.01, 0.2),
            "duplicate": rng.uniform(0.01, 0.2),
            "reorder": rng.uniform(0.01, 0.2),
        }
        there = {trouble: value if trouble in troubles else 0.0 for trouble, value in drawn.items()}
        return NetworkStrength(there["loss"], there["duplicate"], there["reorder"], delay_us=int(there["delay"]))

    @classmethod
    def wide(cls, rng: Random, timeout_us: int) -> NetworkStrength:
        loss, duplicate, reorder = strong(rng, 0.3), strong(rng, 0.5), strong(rng, 0.3)
        return NetworkStrength(loss, duplicate, reorder, delay_mean_us=round(strong(rng, timeout_us / 3)))

    @classmethod
    def often(cls, rng: Random, strength: NetworkStrength) -> int:
        """Never: in a swarm it is a background fault (`chaos.schedule.draw_faults`), not a single one."""
        return 0

    @classmethod
    def draw(cls, room: Room) -> Self | None:
        rng, nodes, most = room.rng, room.nodes, room.strength
        delay_max_us = int(most.delay_us * rng.uniform(0.2, 1))
        loss, duplicate, reorder = (
            round(share * rng.uniform(0.2, 1), 3) for share in (most.loss, most.duplicate, most.reorder)
        )
        hit = [LEADER] if rng.random() < 0.2 else some(rng, nodes, rng.randint(1, len(nodes)))
        return cls(hit, int(delay_max_us * rng.uniform(0, 0.5)), delay_max_us, loss, duplicate, reorder)

    @classmethod
    def of_all(cls, rng: Random, nodes: list[str], most: NetworkStrength) -> Self:
        """A fault on all nodes: each degradation that the seed has, at 30 to 100 % of its strength."""
        loss, duplicate, reorder = (
            round(share * rng.uniform(0.3, 1), 3) for share in (most.loss, most.duplicate, most.reorder)
        )
        delay_mean_us = round(most.delay_mean_us * rng.uniform(0.3, 1))
        return cls(nodes, loss=loss, duplicate=duplicate, reorder=reorder, delay_mean_us=delay_mean_us)

    @classmethod
    def domain(cls, nodes: Sequence[str], *, longest_us: int, at_vote: bool) -> Domain:
        def of(nodes: list[str], delay: tuple[int, int], *rest: float) -> Network:
            loss, duplicate, reorder, mean_us = rest
            return cls(nodes, *delay, loss, duplicate, reorder, int(mean_us))

        hit = some_of([*nodes, LEADER, OTHERS], len(nodes))
        return built(of, hit, range_us(100 * MS), tenths(), tenths(), tenths(), Whole(0, 100 * MS, MS))

    @property
    def degraded(self) -> Degraded:
        fields = (self.delay_min_us, self.delay_max_us, self.loss, self.duplicate, self.reorder, self.delay_mean_us)
        return Degraded(*fields)

    async def strike(self, at: Strike) -> None:
        world, nodes = at.can(Links), self.hit(at)
        links = [link for link in world.links if link[0] in nodes or link[1] in nodes]
        at.begin(nodes)
        before, outsiders = world.link_counters(), at.outsiders
        world.set_links(at.lay(LINKS, dict.fromkeys(links, LinkState(degraded=(self.degraded,)))))
        at.injected(self._text(nodes, world.traffic.suffers))
        await at.hold(at.duration_us)
        world.set_links(at.lift(LINKS))
        after = world.link_counters()
        hit = {link: before[link] for link in links}
        suffered = {field: sums(hit, after, field) for field in world.traffic.suffers}
        effect = ", ".join(f"{count} {field}" for field, count in suffered.items())
        apart = all(node in outsiders and node in at.outsiders for node in nodes)
        excuse = no_members(nodes) if apart else ""
        at.healed(Effect(any(suffered.values()), f"{world.traffic.unit}: {effect}", excuse))

    def _text(self, nodes: Sequence[str], suffers: Sequence[str]) -> str:
        on_top = f" and {self.delay_mean_us / MS:g} ms more on average" if self.delay_mean_us else ""
        said = {
            "delayed": f"delay {self.delay_min_us / MS:g} to {self.delay_max_us / MS:g} ms{on_top}",
            "lost": f"loss {self.loss:.0%}",
            "duplicated": f"duplicate {self.duplicate:.0%}",
            "reordered": f"reorder {self.reorder:.0%}",
        }
        return f"{' '.join(nodes)}: {', '.join(said[field] for field in suffers)}"

    @classmethod
    def summary(cls, faults: Sequence[tuple[Self, int]], nodes: Sequence[str]) -> Iterator[str]:
        networks = [network for network, _ in faults]
        parts = [
            f"{field} up to {most * 100:.0f} %"
            for field in ("loss", "duplicate", "reorder")
            if (most := max(getattr(network, field) for network in networks))
        ]
        if delay_us := max(network.delay_max_us for network in networks):
            parts.append(f"delay up to {delay_us / MS:.0f} ms")
        if mean_us := max(network.delay_mean_us for network in networks):
            parts.append(f"mean delay up to {mean_us / MS:.0f} ms")
        yield f"network: {len(networks)}, {', '.join(parts)}"

    def smaller(self) -> Iterator[Self]:
        for field in ("delay_mean_us", "loss", "duplicate", "reorder"):
            if getattr(self, field):
                yield replace(self, **{field: type(getattr(self, field))()})
        if self.delay_max_us:
            yield replace(self, delay_min_us=0, delay_max_us=0)
        yield from super().smaller()


# ---- throttle ----------------------------------------------------------------------------------------------------

SLOW_BYTES_PER_S = (2_000, 200_000)
"""From a link on which single heartbeats are late, to one on which only many entries at once are."""


class Throttle(OnNodes, frozen=True, tag="throttle"):
    """Each directed link into and out of `nodes` carries at most `bytes_per_s`; what is too much waits."""

    bytes_per_s: int

    needs: ClassVar[type] = Throttles
    asks: ClassVar[tuple[Ability, ...]] = ("throttle",)
    about: ClassVar[str] = "Links to and from `nodes` carry at most `bytes_per_s`; what is too much waits"
    seen: ClassVar[str] = "The network counts what waited"

    def check(self, nodes: Sequence[str]) -> Iterator[str]:
        yield from super().check(nodes)
        if self.bytes_per_s < 1:
            yield f"action.bytes_per_s: expected at least 1, got {self.bytes_per_s}"

    @classmethod
    def draw(cls, room: Room) -> Self | None:
        rng, nodes = room.rng, room.nodes
        hit = [LEADER] if rng.random() < 0.4 else some(rng, nodes, rng.randint(1, len(nodes)))
        least, most = SLOW_BYTES_PER_S
        return cls(hit, round(least * (most / least) ** rng.random()))

    @classmethod
    def domain(cls, nodes: Sequence[str], *, longest_us: int, at_vote: bool) -> Domain:
        return built(cls, some_of([*nodes, LEADER, OTHERS], len(nodes)), Whole(1_000, 200_000, 1_000))

    async def strike(self, at: Strike) -> None:
        world, nodes = at.can(Throttles), self.hit(at)
        before = {
            link: counters
            for link, counters in world.throttle_counters().items()
            if link[0] in nodes or link[1] in nodes
        }
        at.begin(nodes)
        world.set_links(at.lay(LINKS, dict.fromkeys(before, LinkState(bytes_per_s=self.bytes_per_s))))
        at.injected(f"{' '.join(nodes)}: at most {self.bytes_per_s} bytes/s on each link")
        await at.hold(at.duration_us)
        world.set_links(at.lift(LINKS))
        after = world.throttle_counters()
        slowed, passed = sums(before, after, "throttled"), sums(before, after, "forwarded")
        excuse = "nothing was sent" if slowed + passed == 0 else ""
        at.healed(Effect(slowed > 0, f"{slowed} {world.traffic.unit} waited for room on a slow link", excuse))

    @classmethod
    def summary(cls, faults: Sequence[tuple[Self, int]], nodes: Sequence[str]) -> Iterator[str]:
        least = min(throttle.bytes_per_s for throttle, _ in faults)
        yield f"throttle: {len(faults)}, down to {least} bytes/s"

    def smaller(self) -> Iterator[Self]:
        if self.bytes_per_s < SLOW_BYTES_PER_S[1]:
            yield replace(self, bytes_per_s=SLOW_BYTES_PER_S[1])
        yield from super().smaller()


# ---- reset -------------------------------------------------------------------------------------------------------

TRAFFIC_PATIENCE_US = 1_000_000
"""A reset waits this long for frames in flight: without any it would have no effect."""


class Reset(OnNodes, frozen=True, tag="reset"):
    """Breaks the connections of all links into and out of `nodes`; the fault has no duration.

    In virtual time each frame in flight is delivered at once with probability `delivered`, else lost; real connections
    leave no choice.
    """

    delivered: float

    needs: ClassVar[type] = Resets
    late_frames: ClassVar[bool] = False
    about: ClassVar[str] = (
        "All connections of `nodes` break; a frame in flight arrives at once with probability `delivered`, or never"
    )
    seen: ClassVar[str] = "The network counts the connections, or the frames in flight, that it broke"
    asks: ClassVar[tuple[Ability, ...]] = ("reset",)
    at_once: ClassVar[bool] = True

    def check(self, nodes: Sequence[str]) -> Iterator[str]:
        yield from super().check(nodes)
        yield from limits.probability("action.delivered", self.delivered)

    @classmethod
    def draw(cls, room: Room) -> Self | None:
        rng, nodes = room.rng, room.nodes
        hit = [LEADER] if rng.random() < 0.4 else some(rng, nodes, rng.randint(1, len(nodes)))
        return cls(hit, rng.choice((0.0, 0.5, 1.0)))

    def drawn_us(self, room: Room) -> int:
        return 0

    @classmethod
    def domain(cls, nodes: Sequence[str], *, longest_us: int, at_vote: bool) -> Domain:
        return built(cls, some_of([*nodes, LEADER, OTHERS], len(nodes)), OneOf((0.0, 0.5, 1.0)))

    async def strike(self, at: Strike) -> None:
        world, nodes = at.can(Resets), self.hit(at)
        arrivals, traffic = world.arrivals(nodes), at.signal()
        world.watch_traffic(nodes, TRAFFIC_PATIENCE_US, traffic)
        await at.until(traffic, TRAFFIC_PATIENCE_US)
        traffic.set()
        if at.is_over:
            return
        broken = world.reset(at.id, nodes, self.delivered)
        at.begin(nodes)
        at.injected(f"reset the connections of {' '.join(nodes)}")
        # Others may hear each other meanwhile. If a cut keeps these nodes apart, there is nothing to break.
        quiet = "nothing was sent" if not broken.any and world.arrivals(nodes) == arrivals else ""
        excuse = no_members(nodes) if all(node in at.outsiders for node in nodes) else quiet
        at.healed(Effect(broken.any, broken.what, excuse))

    @classmethod
    def summary(cls, faults: Sequence[tuple[Self, int]], nodes: Sequence[str]) -> Iterator[str]:
        yield f"reset: {tally(group_of(reset.nodes, nodes) for reset, _ in faults)}"
