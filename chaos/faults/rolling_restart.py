"""Rolling restarts: one node after the other ends and starts again, as in an upgrade that must not interrupt service.

Only one node at a time is down, so a majority is always there. But nodes that have just started may not have caught up,
and each restart of the leader costs an election.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import ClassVar, Literal, Self, TypeAlias

from msgspec.structs import replace

from raft_chaos.chaos.faults import limits
from raft_chaos.chaos.faults.abilities import Abilities, Ability
from raft_chaos.chaos.faults.action import OnNodes, Room, Strength
from raft_chaos.chaos.faults.domain import MS, Domain, OneOf, Whole, built, some_of
from raft_chaos.chaos.faults.downtime import wait_us
from raft_chaos.chaos.faults.names import LEADER, OTHERS, tally
from raft_chaos.chaos.faults.process import WHOLE_PERMILLE, Processes, back
from raft_chaos.chaos.faults.stop import Stopped, ended_in_order
from raft_chaos.chaos.faults.strike import Effect, Strike

LEAST = 2
"""One node that starts again after another is a roll: it may meet a node that some other fault holds down."""

How: TypeAlias = Literal["stop", "kill"]


class RollingRestart(OnNodes, frozen=True, tag="rolling_restart", omit_defaults=True):
    """`nodes` end and start again, one after the other, in this order. Each is down for `down_us`; the next one ends
    `gap_us` after the one before is up. A role means the nodes that have it when the first one ends."""

    down_us: int
    gap_us: int
    how: How = "stop"

    needs: ClassVar[type] = Processes
    late_frames: ClassVar[bool] = False
    asks: ClassVar[tuple[Ability, ...]] = ("kill",)
    about: ClassVar[str] = (
        "`nodes` end and start again, one after the other: each is asked to stop, or killed, is down for `down_us`, "
        "and the next one ends `gap_us` after it is up. The end of the safety phase ends the roll"
    )
    seen: ClassVar[str] = (
        "Nodes ended, by themselves if they were asked to, and each was up again before the next one ended: all of "
        "them, or at least two, where another fault holds the next one down"
    )
    then: ClassVar[str] = "As for a stop, or for a kill that keeps what was written"
    disturbs: ClassVar[bool] = True
    leaves_behind: ClassVar[bool] = True

    def check(self, nodes: Sequence[str]) -> Iterator[str]:
        yield from super().check(nodes)
        yield from limits.not_negative("action.down_us", self.down_us)
        yield from limits.not_negative("action.gap_us", self.gap_us)

    def asked(self) -> set[Ability]:
        return super().asked() | ({"stop"} if self.how == "stop" else set())

    def weakened(self, can: Abilities) -> Self | None:
        """Kills, for a target that does not stop by itself."""
        less = super().weakened(can)
        return replace(less, how="kill") if less is not None and "stop" not in can else less

    # ---- drawn ----

    odds: ClassVar[float] = 0.4
    plain_times: ClassVar[int] = 2  # most find no room beside other faults

    @classmethod
    def often(cls, rng: Random, strength: Strength) -> int:
        return rng.choice((0, 0, 2, 4))

    @classmethod
    def draw(cls, room: Room) -> Self | None:
        """All nodes that are up, the leader last or first, or in any order."""
        rng = room.rng
        order = rng.choices(("leader last", "leader first", "any"), weights=(4, 2, 4))[0]
        drawn = rng.sample(room.up, len(room.up))
        if len(drawn) < 2:
            return None
        if len(drawn) == len(room.nodes) and order != "any":
            drawn = [OTHERS, LEADER] if order == "leader last" else [LEADER, OTHERS]
        each_us = room.most_us // len(room.nodes)
        down_us = wait_us(rng, each_us // 2)
        gap_us = 0 if rng.random() < 0.3 else rng.randint(0, each_us - down_us)
        return cls(drawn, down_us, gap_us, "stop" if rng.random() < 0.7 else "kill")

    def drawn_us(self, room: Room) -> int:
        """The node that is restarted last waits for no other one."""
        count = len(room.nodes) if OTHERS in self.nodes else len(self.nodes)
        return count * (self.down_us + self.gap_us) - self.gap_us

    def disturbed(self, count: int) -> int:
        return 1

    @classmethod
    def domain(cls, nodes: Sequence[str], *, longest_us: int, at_vote: bool) -> Domain:
        each_us = longest_us // (2 * len(nodes))
        hit = some_of([*nodes, LEADER, OTHERS], len(nodes))
        return built(cls, hit, Whole(0, each_us, MS), Whole(0, each_us, MS), OneOf(("kill", "stop")))

    # ---- in a run ----

    async def strike(self, at: Strike) -> None:
        nodes = self.hit(at)
        at.begin(nodes)
        at.injected(f"restart {' '.join(nodes)} one after the other ({self.how})")
        told: list[str] = []
        up: list[str] = []
        is_whole = True
        for node in nodes:
            if up:
                await at.hold(self.gap_us)
            if at.is_over:
                break
            end = await self._end(at, node)
            told.append(f"{node} {end.how if end is not None else 'did not run'}")
            # A node that did not run is left to the fault that ended it; no other node ends while one may be down.
            if end is None or not await back(at, node, self.down_us):
                break
            is_whole &= end.in_order
            up.append(node)
        effect = f"{', '.join(told) or 'no node ended'}; running again: {' '.join(up) or 'none'}"
        at.healed(Effect(is_whole and len(up) >= min(LEAST, len(nodes)), effect))

    async def _end(self, at: Strike, node: str) -> Stopped | None:
        """How it ended, and whether as it was to; None if it did not run."""
        if self.how == "stop":
            return await ended_in_order(at, node)
        killed = await at.can(Processes).kill({node: WHOLE_PERMILLE})
        return Stopped(True, "was killed") if killed else None

    @classmethod
    def summary(cls, faults: Sequence[tuple[Self, int]], nodes: Sequence[str]) -> Iterator[str]:
        yield f"rolling_restart: {tally(_order(fault, nodes) for fault, _ in faults)}"

    def smaller(self) -> Iterator[Self]:
        """Fewer nodes first: one that is left is a plain restart."""
        yield from super().smaller()
        if self.gap_us:
            yield replace(self, gap_us=0)
        if self.down_us:
            yield replace(self, down_us=0)


def _order(fault: RollingRestart, nodes: Sequence[str]) -> str:
    if LEADER not in fault.nodes:
        return f"{len(fault.nodes)} of {len(nodes)} nodes"
    return "leader first" if fault.nodes[0] == LEADER else "leader last"
