"""Damage to the data of nodes at rest: the base of its kinds (`at_rest`), and what they ask of a world.

A node is killed, something happens to its data folder while it is down, and it starts again. It must find out, and
refuse to start: a node that has lost a vote or an acknowledged entry must not answer as if it had not (§5.2, §5.4.1).
Then it stays down for the rest of the run, like a server whose disk must be replaced.

So a run may damage less than a quorum of its nodes, all in all, and it damages only what a node can find out: a record
that is the only trace of itself may be lost without any sign, which is outside of what Raft promises.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import ClassVar, Literal, Protocol, Self, TypeAlias, runtime_checkable

import msgspec

from raft_chaos.chaos.faults import limits
from raft_chaos.chaos.faults.abilities import Ability
from raft_chaos.chaos.faults.action import Room, Strength
from raft_chaos.chaos.faults.domain import MS, Domain, Whole, built, some_of
from raft_chaos.chaos.faults.downtime import Restart
from raft_chaos.chaos.faults.grudge import majority_of
from raft_chaos.chaos.faults.names import group_of, tally
from raft_chaos.chaos.faults.process import WHOLE_PERMILLE, Processes
from raft_chaos.chaos.faults.strike import Effect, Strike
from raft_chaos.chaos.faults.survivors import lives_on

How: TypeAlias = Literal["bit_flip", "truncation", "lost_write", "misdirected_write", "lost_file"]


class Damage(msgspec.Struct, frozen=True, array_like=True):
    """How the data is damaged, and where: `at_permille` thousandths of the way through all that can be damaged."""

    how: How
    at_permille: int = 0


@runtime_checkable
class Damages(Protocol):
    """A world whose nodes' data can be damaged."""

    async def damage(self, node: str, damage: Damage) -> str:
        """Damages the data of a node that is down; returns what that did, "" if there was nothing to damage."""
        ...


class AtRest(Restart, frozen=True):
    """SIGKILL to all of `nodes` at once. Their data is damaged, and they start again `restart_after_us` later."""

    at_permille: int
    restart_after_us: int

    needs: ClassVar[type] = Damages
    asks: ClassVar[tuple[Ability, ...]] = ("damage",)
    seen: ClassVar[str] = "The bytes on the disk differ, and the node ended with exit code 78"
    then: ClassVar[str] = "It refuses to start, and says what is damaged and where; it owes nothing any more"
    ends_nodes: ClassVar[bool] = True

    @classmethod
    def placeholders(cls, *, at_vote: bool) -> list[str]:
        """None: over the whole run the damaged nodes must be fewer than a quorum, so a schedule says which they are."""
        return []

    def check(self, nodes: Sequence[str]) -> Iterator[str]:
        yield from super().check(nodes)
        yield from limits.within("action.at_permille", self.at_permille, 0, WHOLE_PERMILLE)

    # ---- drawn ----

    odds: ClassVar[float] = 0.08
    plain_times: ClassVar[int] = 4  # most find no room beside other faults

    @classmethod
    def often(cls, rng: Random, strength: Strength) -> int:
        """Seldom: of five kinds about half of the seeds have one, and what a node is damaged for is gone."""
        return 4 if rng.random() < 0.12 else 0

    @classmethod
    def draw(cls, room: Room) -> Self | None:
        """One of the nodes that the seed may damage, once."""
        if not room.damageable:
            return None
        node = room.rng.choice(room.damageable)
        at_permille = room.rng.randint(0, WHOLE_PERMILLE)
        return cls([node], at_permille, room.rng.randint(0, room.most_us))

    @classmethod
    def domain(cls, nodes: Sequence[str], *, longest_us: int, at_vote: bool) -> Domain:
        """Only the last nodes: all faults of a schedule must damage the same minority."""
        most = max(1, len(nodes) - majority_of(len(nodes)))
        return built(cls, some_of(nodes[-most:], most), Whole(0, WHOLE_PERMILLE), Whole(0, longest_us, MS))

    # ---- in a run ----

    async def strike(self, at: Strike) -> None:
        """Kills only the processes: all that they wrote reaches the disks, so nothing but the damage is missing."""
        world, processes, nodes = at.can(Damages), at.can(Processes), self.hit(at)
        at.begin(nodes)
        if not lives_on(at, damaged=nodes):
            at.injected("nothing", ())
            at.healed(Effect(False, "nothing was damaged", "the members that are left would have no quorum"))
            return
        hit = await processes.kill(dict.fromkeys(nodes, WHOLE_PERMILLE))
        how = Damage(self.kind(), self.at_permille)  # type: ignore[arg-type]  # the kinds' names are those of `How`
        did = {node: await world.damage(node, how) for node in hit}
        damaged = [node for node in hit if did[node]]
        at.ended(damaged)
        at.injected("; ".join(f"{node}: {did[node]}" for node in damaged) or f"kill {' '.join(nodes)}", hit)
        await at.hold(self.restart_after_us)
        await at.together([processes.start(node) for node in hit])
        codes = {node: await processes.exit_code(node) for node in damaged}
        effect = ", ".join(f"{node} {_ended(code)}" for node, code in codes.items()) or "nothing was damaged"
        excuse = "" if damaged else "no data that a node would miss"
        at.healed(Effect(bool(damaged) and None not in codes.values(), effect, excuse))

    @classmethod
    def summary(cls, faults: Sequence[tuple[Self, int]], nodes: Sequence[str]) -> Iterator[str]:
        yield f"{cls.kind()}: {tally(group_of(fault.nodes, nodes) for fault, _ in faults)}"


def _ended(exit_code: int | None) -> str:
    return "started" if exit_code is None else f"refused to start with exit code {exit_code}"
