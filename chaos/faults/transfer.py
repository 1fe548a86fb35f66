"""Transfers of the leadership (Ongaro's thesis, §3.10): the leader is asked to hand over to another node.

Maintenance does this before it stops a leader, and to move it to a better place. It is no failure, and costs no
election timeout. But the leader then takes no proposals, and the target stands for election while it hears a leader.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from random import Random
from typing import ClassVar, Protocol, Self, runtime_checkable

from raft_chaos.chaos.faults.abilities import Ability
from raft_chaos.chaos.faults.action import OnNodes, Room, Strength
from raft_chaos.chaos.faults.domain import MS, Domain, built, some_of
from raft_chaos.chaos.faults.names import LACKER, LEADER, OTHERS, PIVOT, SINGLE, Roles, group_of, tally, unknown
from raft_chaos.chaos.faults.strike import Effect, Strike

ASKS = 3
"""How often it asks, at most. Each time the leader takes no proposals for an election timeout at most, so however long
the fault stands, it takes no more than that from the cluster's progress (`liveness_under_fault`)."""
POLL_US = 5 * MS


@runtime_checkable
class Transfers(Protocol):
    """A world whose leader can be asked to hand over."""

    def current_leader(self) -> str | None:
        """The node that leads, as far as the nodes have said."""
        ...

    async def transfer(self, node: str, to: str) -> bool:
        """Asks the node to hand over to another one; returns whether it says that it begins to."""
        ...


class Transfer(OnNodes, frozen=True, tag="transfer"):
    """The leader is asked to hand over to `nodes`, a single one; if that one leads itself, or has no vote, to the
    next in the ring that has one.

    If the target does not lead after a third of the duration, whoever leads then is asked again.
    """

    needs: ClassVar[type] = Transfers
    late_frames: ClassVar[bool] = False
    asks: ClassVar[tuple[Ability, ...]] = ("transfer",)
    about: ClassVar[str] = (
        "The leader is asked to hand over to `nodes`, a single one, or to the next in the ring if that one leads or "
        f"has no vote; {ASKS} times, if need be"
    )
    seen: ClassVar[str] = "The target leads"

    def check(self, nodes: Sequence[str]) -> Iterator[str]:
        yield from super().check(nodes)
        if len(self.nodes) != 1 or self.nodes[0].partition("@")[0] in (LEADER, OTHERS):
            yield f"action.nodes: expected a single node that is to lead, and not 'leader' itself, got {self.nodes}"

    def must_wait(self, nodes: Sequence[str], roles: Roles, outsiders: Collection[str] = ()) -> bool:
        return unknown((LEADER, *self.names), roles)

    def asked(self) -> set[Ability]:
        return super().asked() | {"leader"}

    @classmethod
    def placeholders(cls, *, at_vote: bool) -> list[str]:
        return [role for role in super().placeholders(at_vote=at_vote) if role in SINGLE and role != LEADER]

    # ---- drawn ----

    odds: ClassVar[float] = 0.5

    @classmethod
    def often(cls, rng: Random, strength: Strength) -> int:
        return rng.choice((0, 1, 2))

    @classmethod
    def draw(cls, room: Room) -> Self | None:
        """To any node, or to one that has not got the leader's last entry."""
        rng = room.rng
        lags, node = rng.random() < 0.3, rng.choice(room.nodes)
        if len(room.nodes) < 2 or room.up == [LEADER]:
            return None
        return cls([LACKER if lags else node])

    @classmethod
    def domain(cls, nodes: Sequence[str], *, longest_us: int, at_vote: bool) -> Domain:
        return built(cls, some_of([*nodes, PIVOT], 1))

    # ---- in a run ----

    async def strike(self, at: Strike) -> None:
        world, leader = at.can(Transfers), at.roles[LEADER][0]
        after, voters = at.nodes[at.nodes.index(leader) :] + at.nodes, at.voters
        to = next((node for node in (*self.hit(at), *after) if node != leader and node in voters), leader)
        at.begin([leader, to])
        at.injected(f"{leader} is to hand over to {to}")
        began: list[str] = []
        lasting = False  # whether one that was asked in vain led on
        while len(began) < ASKS and not at.is_over and world.current_leader() != to:
            asked = world.current_leader()
            began.append(await self._ask(at, world, to))
            lasting |= asked is not None and world.current_leader() == asked
        leads, who = world.current_leader() == to, " ".join(filter(None, began)) or "no leader"
        how = f"{who} began to hand over to {to}, which {'leads' if leads else 'does not lead'}"
        moot = f"only {leader} has a vote" if to == leader else "" if any(began) or lasting else "nobody led on"
        at.healed(Effect(leads and any(began), how, moot))

    async def _ask(self, at: Strike, world: Transfers, to: str) -> str:
        """Asks the leader once, and waits until the target leads. Returns who began to hand over; "" if nobody did."""
        leader, ends_us = world.current_leader(), at.now_us + at.duration_us // ASKS
        begins = leader is not None and await world.transfer(leader, to)
        while at.now_us < ends_us and world.current_leader() != to and not at.is_over:
            await at.hold(min(POLL_US, ends_us - at.now_us))
        return leader if begins and leader is not None else ""

    @classmethod
    def summary(cls, faults: Sequence[tuple[Self, int]], nodes: Sequence[str]) -> Iterator[str]:
        yield f"transfer: {tally(group_of(fault.nodes, nodes) for fault, _ in faults)}"
