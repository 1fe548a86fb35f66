"""Pauses: nodes are stopped for a while, and go on as if no time had passed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import ClassVar, Protocol, Self, runtime_checkable

from raft_chaos.chaos.faults.abilities import Ability
from raft_chaos.chaos.faults.action import Room, Strength
from raft_chaos.chaos.faults.domain import Domain, built, some_of
from raft_chaos.chaos.faults.downtime import Downtime
from raft_chaos.chaos.faults.names import LEADER, OTHERS, group_of, tally
from raft_chaos.chaos.faults.strike import Effect, Layer, Strike

PAUSED: Layer[bool] = Layer("paused", any)


@runtime_checkable
class Pauses(Protocol):
    """A world whose nodes can be paused."""

    async def pause(self, node: str, on: bool) -> None:
        """Pauses a node that runs, or resumes a paused one. A new incarnation is not paused."""
        ...

    def is_paused(self, node: str) -> bool: ...


class Pause(Downtime, frozen=True, tag="pause"):
    """SIGSTOP to `nodes`, SIGCONT when the last fault that pauses them ends."""

    needs: ClassVar[type] = Pauses
    late_frames: ClassVar[bool] = False
    about: ClassVar[str] = "SIGSTOP to some nodes, SIGCONT when the fault ends"
    seen: ClassVar[str] = "The system reports the processes as stopped"
    asks: ClassVar[tuple[Ability, ...]] = ("pause",)

    @classmethod
    def often(cls, rng: Random, strength: Strength) -> int:
        return rng.choice((0, 1, 2))

    @classmethod
    def draw(cls, room: Room) -> Self | None:
        return cls([LEADER if room.rng.random() < 0.5 else room.rng.choice(room.up)])

    @classmethod
    def domain(cls, nodes: Sequence[str], *, longest_us: int, at_vote: bool) -> Domain:
        return built(cls, some_of([*nodes, LEADER, OTHERS], len(nodes)))

    async def strike(self, at: Strike) -> None:
        world, nodes = at.can(Pauses), self.hit(at)
        at.begin(nodes)
        at.lay(PAUSED, dict.fromkeys(nodes, True))
        for node in nodes:  # also a node that another fault paused: it may have restarted since
            await world.pause(node, True)
        stopped = [node for node in nodes if world.is_paused(node)]
        at.injected(f"pause {' '.join(nodes)}")
        await at.hold(at.duration_us)
        for node, on in at.lift(PAUSED).items():
            await world.pause(node, on)
        at.healed(Effect(stopped == nodes, f"seen stopped: {' '.join(stopped) or 'none'}"))

    @classmethod
    def summary(cls, faults: Sequence[tuple[Self, int]], nodes: Sequence[str]) -> Iterator[str]:
        yield f"pause: {tally(group_of(pause.nodes, nodes) for pause, _ in faults)}"
