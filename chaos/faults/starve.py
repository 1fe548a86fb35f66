"""CPU starvation: a node gets only a share of the processor for a while, as on a machine that does too much.

It runs for a part of each period and waits for the rest, so all that it does is late: messages, timers, writes and
answers wait in line. Its clock goes on, and its peers see a node that is slow, and neither dead nor cut off.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import ClassVar, NamedTuple, Protocol, Self, runtime_checkable

from msgspec.structs import replace

from raft_chaos.chaos.faults import limits
from raft_chaos.chaos.faults.abilities import Ability
from raft_chaos.chaos.faults.action import OnNodes, Room, Strength, some
from raft_chaos.chaos.faults.domain import MS, Domain, Whole, built, some_of
from raft_chaos.chaos.faults.names import LEADER, OTHERS, group_of, tally
from raft_chaos.chaos.faults.strike import Effect, Layer, Strike

WHOLE_PERMILLE = 1000
PERIOD_US = (MS, 10_000 * MS)
LEAST_PERIOD_US = 20 * MS
"""No shorter period is drawn: in real time the harness itself must keep to it."""


class CpuShare(NamedTuple):
    """A node runs for `permille` thousandths of each period, and waits before that."""

    permille: int
    period_us: int

    @property
    def run_us(self) -> int:
        return self.period_us * self.permille // WHOLE_PERMILLE

    @property
    def wait_us(self) -> int:
        return self.period_us - self.run_us


class Waits(NamedTuple):
    """How often a running node has been made to wait so far, how long in all, and how many inputs that delayed, if the
    world knows."""

    times: int
    waited_us: int
    delayed: int | None = None


@runtime_checkable
class CpuShares(Protocol):
    """A world whose nodes can be kept from the processor."""

    async def starve(self, node: str, share: CpuShare | None) -> None:
        """The node has this share from now on, also after restarts, and first waits; all of the processor with None."""
        ...

    def waits(self, node: str) -> Waits: ...


def _smallest(shares: Sequence[CpuShare | None]) -> CpuShare | None:
    return min((share for share in shares if share is not None), default=None)


STARVED: Layer[CpuShare | None] = Layer("starved", _smallest)
"""If a node has several shares, the smallest counts."""


class StarveStrength(Strength, frozen=True):
    """The least share of the processor, and the longest period."""

    cpu_permille: int = 0
    cpu_period_us: int = 0


class Starve(OnNodes, frozen=True, tag="starve"):
    """`nodes` get `share_permille` thousandths of the processor, a slice in each `period_us`."""

    share_permille: int
    period_us: int

    needs: ClassVar[type] = CpuShares
    late_frames: ClassVar[bool] = False
    asks: ClassVar[tuple[Ability, ...]] = ("pause",)
    about: ClassVar[str] = (
        "`nodes` get only `share_permille` thousandths of the processor: in each `period_us` they first wait, and then "
        "run. In real time they are stopped (SIGSTOP) while they wait"
    )
    seen: ClassVar[str] = "The nodes waited, in real time stopped, for at least half of the time that was planned"
    then: ClassVar[str] = "It does everything late; a leader may be deposed, and a follower may stand for election"
    disturbs: ClassVar[bool] = True
    leaves_behind: ClassVar[bool] = True

    def check(self, nodes: Sequence[str]) -> Iterator[str]:
        yield from super().check(nodes)
        yield from limits.within("action.share_permille", self.share_permille, 1, WHOLE_PERMILLE - 1)
        yield from limits.within("action.period_us", self.period_us, *PERIOD_US)

    @property
    def share(self) -> CpuShare:
        return CpuShare(self.share_permille, self.period_us)

    # ---- drawn ----

    odds: ClassVar[float] = 0.5

    @classmethod
    def plain(cls, rng: Random, timeout_us: int) -> StarveStrength:
        return StarveStrength(100, max(LEAST_PERIOD_US, timeout_us // 3))

    @classmethod
    def wide(cls, rng: Random, timeout_us: int) -> StarveStrength:
        return StarveStrength(rng.randint(10, 300), rng.randint(LEAST_PERIOD_US, max(LEAST_PERIOD_US, timeout_us)))

    @classmethod
    def often(cls, rng: Random, strength: StarveStrength) -> int:
        return rng.choice((0, 0, 2, 4))

    @classmethod
    def draw(cls, room: Room) -> Self | None:
        """The leader, one node, or a minority."""
        rng, most = room.rng, room.strength
        share = rng.randint(max(1, most.cpu_permille), max(1, most.cpu_permille, 500))
        period_us = rng.randint(LEAST_PERIOD_US, max(LEAST_PERIOD_US, most.cpu_period_us))
        if rng.random() < 0.5 or room.up == [LEADER]:
            return cls([LEADER], share, period_us)
        count = min(len(room.up), rng.randint(1, room.spare))
        return cls(some(rng, room.up, count), share, period_us) if count else None

    def disturbed(self, count: int) -> int:
        return len(self.nodes)

    @classmethod
    def domain(cls, nodes: Sequence[str], *, longest_us: int, at_vote: bool) -> Domain:
        hit = some_of([*nodes, LEADER, OTHERS], len(nodes))
        return built(cls, hit, Whole(1, WHOLE_PERMILLE - 1), Whole(LEAST_PERIOD_US, 1_000 * MS, MS))

    # ---- in a run ----

    async def strike(self, at: Strike) -> None:
        world, nodes, began_us = at.can(CpuShares), self.hit(at), at.now_us
        at.begin(nodes)
        before = {node: world.waits(node) for node in nodes}
        for node, share in at.lay(STARVED, dict.fromkeys(nodes, self.share)).items():
            await world.starve(node, share)
        at.injected(f"{' '.join(nodes)} get {self.share_permille / 10:g} % of the processor")
        await at.hold(at.duration_us)
        planned_us = (at.now_us - began_us) * self.share.wait_us // self.period_us
        for node, share in at.lift(STARVED).items():
            await world.starve(node, share)
        seen = {node: _since(before[node], world.waits(node)) for node in nodes}
        starved = [node for node, waits in seen.items() if waits.times and 2 * waits.waited_us >= planned_us]
        at.healed(Effect(starved == nodes, "; ".join(_in_words(node, waits) for node, waits in seen.items())))

    @classmethod
    def summary(cls, faults: Sequence[tuple[Self, int]], nodes: Sequence[str]) -> Iterator[str]:
        least = min(starve.share_permille for starve, _ in faults)
        hit = tally(group_of(starve.nodes, nodes) for starve, _ in faults)
        yield f"starve: {hit}, down to {least / 10:g} % of the processor"

    def smaller(self) -> Iterator[Self]:
        yield from super().smaller()
        more = (self.share_permille + WHOLE_PERMILLE) // 2
        if more - self.share_permille > WHOLE_PERMILLE // 20:
            yield replace(self, share_permille=more)


def _since(before: Waits, after: Waits) -> Waits:
    delayed = None if after.delayed is None or before.delayed is None else after.delayed - before.delayed
    return Waits(after.times - before.times, after.waited_us - before.waited_us, delayed)


def _in_words(node: str, waits: Waits) -> str:
    delayed = f", which delayed {waits.delayed} inputs" if waits.delayed is not None else ""
    return f"{node} waited {waits.times} times, {waits.waited_us / MS:g} ms in all{delayed}"
