"""A node that loses its disk: it is killed, its data folder is emptied, and it comes back as a new node.

For a voter of Raft that is outside of the promise (it forgets its vote, and what it acknowledged), so only targets that
declare it suffer it. They promise that a minority may lose everything, not one node after the other: so all that a seed
wipes is the same minority.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import compress
from random import Random
from typing import ClassVar, Protocol, Self, runtime_checkable

from raft_chaos.chaos.faults.abilities import Ability
from raft_chaos.chaos.faults.action import Room, Strength
from raft_chaos.chaos.faults.domain import MS, Domain, Whole, built, some_of
from raft_chaos.chaos.faults.downtime import Restart
from raft_chaos.chaos.faults.grudge import majority_of
from raft_chaos.chaos.faults.names import LEADER, group_of, tally
from raft_chaos.chaos.faults.process import Processes, back
from raft_chaos.chaos.faults.strike import Effect, Strike


@runtime_checkable
class Wipes(Protocol):
    """A world whose nodes can lose their data."""

    async def wipe(self, node: str) -> int:
        """Empties the data folder of a node that is down; returns how many files there were."""
        ...


class WipeStrength(Strength, frozen=True):
    """The minority that a seed wipes begins at this part of the list of nodes."""

    wiped_from: float = 0.0


class Wipe(Restart, frozen=True, tag="wipe"):
    """SIGKILL to all of `nodes` at once; their data is removed, and they start again `restart_after_us` later."""

    restart_after_us: int

    needs: ClassVar[type] = Wipes
    asks: ClassVar[tuple[Ability, ...]] = ("wipe",)
    about: ClassVar[str] = (
        "SIGKILL to all of `nodes` at once; their data folders are emptied, and they start again `restart_after_us` "
        "later. Only for a target that declares that its nodes may lose their disks"
    )
    seen: ClassVar[str] = "There were files, and new incarnations run without them"

    # ---- drawn ----

    odds: ClassVar[float] = 1.0
    plain_times: ClassVar[int] = 4  # most find no room beside other faults

    @classmethod
    def plain(cls, rng: Random, timeout_us: int) -> WipeStrength:
        return WipeStrength(round(rng.random(), 4))

    @classmethod
    def wide(cls, rng: Random, timeout_us: int) -> WipeStrength:
        return cls.plain(rng, timeout_us)

    @classmethod
    def draw(cls, room: Room) -> Self | None:
        """One node of the seed's minority."""
        count = len(room.nodes)
        first = int(room.strength.wiped_from * count)
        minority = [room.nodes[(first + place) % count] for place in range(count - majority_of(count))]
        up = [node for node in minority if node in room.up]
        return cls([room.rng.choice(up)], room.rng.randint(0, room.most_us)) if up else None

    @classmethod
    def domain(cls, nodes: Sequence[str], *, longest_us: int, at_vote: bool) -> Domain:
        most = max(1, len(nodes) - majority_of(len(nodes)))
        return built(cls, some_of([*nodes, LEADER], most), Whole(0, longest_us, MS))

    # ---- in a run ----

    async def strike(self, at: Strike) -> None:
        world, processes, nodes = at.can(Wipes), at.can(Processes), self.hit(at)
        at.begin(nodes)
        hit = await processes.kill(dict.fromkeys(nodes, 0))
        files = {node: await world.wipe(node) for node in hit}
        at.injected(f"wipe {' '.join(nodes)}", hit)
        came = await at.together([back(at, node, self.restart_after_us) for node in hit])
        up = list(compress(hit, came))
        wiped = [f"{node} ({count} files)" for node, count in files.items() if count]
        effect = f"wiped {' '.join(wiped) or 'nothing'}, new incarnation of {' '.join(up) or 'none'}"
        at.healed(Effect(bool(hit) and len(wiped) == len(hit) and up == hit, effect))

    @classmethod
    def summary(cls, faults: Sequence[tuple[Self, int]], nodes: Sequence[str]) -> Iterator[str]:
        yield f"wipe: {tally(group_of(wipe.nodes, nodes) for wipe, _ in faults)}"
