"""Changes of the members: nodes leave the cluster while it works, and come back (§6; Ongaro's thesis, chapter 4).

It is no damage, and so it is owed that everything goes on: the nodes that stay elect and commit by themselves. A node
that comes back first gets the log, as a learner, and then its vote. All that happens beside whatever else is broken, so
changes stand while the cluster is cut in two, and are rolled back when their leader falls.

The harness asks as an administrator would: the node that it takes for the leader, then whoever that names, and again
until it has the answer. It needs nodes with the feature `membership`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import ClassVar, NamedTuple, Protocol, Self, runtime_checkable

from raft_chaos.chaos.faults.abilities import Ability
from raft_chaos.chaos.faults.action import OnNodes, Room, Strength, some
from raft_chaos.chaos.faults.domain import Domain, built, some_of
from raft_chaos.chaos.faults.names import LEADER, OTHERS, group_of, tally
from raft_chaos.chaos.faults.strike import Capability, Effect, Strike
from raft_chaos.chaos.faults.survivors import LEAVING, lives_on
from raft_chaos.raft.state.configuration import TRY_AGAIN, Change, is_satisfied

ASK_US, RETRY_US = 1_000_000, 20_000
"""How long one answer may take, and how long to wait before asking again."""
RESTORE_US = 10_000_000
"""How long after the safety phase it may take until all are members again: many elections."""


class Asked(NamedTuple):
    """What came of a change: it is `done`, or refused, with the reason as `error`, or neither is known. `leader` is the
    node that leads, if the one that was asked named it; `entry` is the index that the answer names, 0 if it names none,
    and None if answers of that system name none.
    """

    done: bool
    error: str = ""
    leader: str = ""
    entry: int | None = None


@runtime_checkable
class MemberChanges(Protocol):
    """A world whose nodes can be asked for other members."""

    async def change_members(self, node: str, change: Change, within_us: int) -> Asked:
        """Asks this node, and waits at most `within_us` for its answer."""
        ...


class Administered(Protocol):
    """The part of a `Strike` that changes of the members need."""

    @property
    def nodes(self) -> list[str]: ...
    @property
    def leader(self) -> str | None: ...
    @property
    def now_us(self) -> int: ...
    @property
    def is_over(self) -> bool: ...
    def can(self, capability: type[Capability]) -> Capability: ...
    def change_answered(self, node: str, index: int) -> None: ...
    async def wait(self, for_us: int) -> None: ...


class Membership(OnNodes, frozen=True, tag="membership"):
    """`nodes` leave the cluster, all at once where it changes by joint consensus, and one after the other elsewhere.
    When the fault ends they come back."""

    needs: ClassVar[type] = MemberChanges
    late_frames: ClassVar[bool] = False
    asks: ClassVar[tuple[Ability, ...]] = ("members",)
    feature: ClassVar[str] = "membership"
    about: ClassVar[str] = (
        "`nodes` are removed from the cluster, while they run on; when the fault ends they are added as learners, and "
        "promoted to voters once they have caught up"
    )
    seen: ClassVar[str] = "The leader answered that the nodes were removed, and later that they vote again"
    then: ClassVar[str] = "It gets nothing any more, and asks for no vote; a leader that is removed steps down"
    disturbs: ClassVar[bool] = True
    leaves_behind: ClassVar[bool] = True
    outlasts_itself: ClassVar[bool] = True

    def disturbed(self, count: int) -> int:
        return len(self.nodes)

    # ---- drawn ----

    odds: ClassVar[float] = 0.8

    @classmethod
    def often(cls, rng: Random, strength: Strength) -> int:
        return rng.choice((0, 1, 2, 4))

    @classmethod
    def draw(cls, room: Room) -> Self | None:
        """The leader, one node, or a minority."""
        rng = room.rng
        if rng.random() < 0.3 or room.up == [LEADER]:
            return cls([LEADER])
        count = min(len(room.up), rng.randint(1, room.spare))
        return cls(some(rng, room.up, count)) if count else None

    @classmethod
    def domain(cls, nodes: Sequence[str], *, longest_us: int, at_vote: bool) -> Domain:
        return built(cls, some_of([*nodes, LEADER, OTHERS], len(nodes)))

    # ---- in a run ----

    async def strike(self, at: Strike) -> None:
        nodes, ends_us = self.hit(at), at.now_us + at.duration_us
        administrator = _Administrator(at)
        at.begin(nodes)
        if not lives_on(at, leaving=nodes):
            at.injected("remove nobody", ())
            at.healed(Effect(False, "nobody left", "too many of those that would be left are damaged"))
            return
        at.lay(LEAVING, dict.fromkeys(nodes, True))
        at.injected(f"remove {' '.join(nodes)} from the cluster")
        gone = await administrator.sees_to("remove", nodes, ends_us)
        await at.hold(max(0, ends_us - at.now_us))
        back = await administrator.brings_back(nodes)
        at.lift(LEAVING)
        told = f"{' '.join(nodes)} {'left' if gone else 'did not leave'}, and {'vote again' if back else 'do not vote'}"
        # Where no leader commits a change in all this time, there is nothing that it could act on.
        at.healed(Effect(gone and back, told, "" if gone else "no leader removed anybody"))

    @classmethod
    def summary(cls, faults: Sequence[tuple[Self, int]], nodes: Sequence[str]) -> Iterator[str]:
        yield f"membership: {tally(group_of(fault.nodes, nodes) for fault, _ in faults)}"


async def restore(at: Administered, within_us: int = 0) -> bool:
    """All nodes vote, whatever changes of the members are still under way: what a fault asked for in vain may have been
    done since. To be called when all faults are healed. Returns whether it is so within that time, and at least
    `RESTORE_US`."""
    return await _Administrator(at, max(within_us, RESTORE_US)).brings_back(at.nodes)


class _Administrator:
    """Asks the cluster for other members, again and again."""

    def __init__(self, at: Administered, restore_us: int = RESTORE_US) -> None:
        self._at = at
        self._restore_us = restore_us
        self._world = at.can(MemberChanges)
        self._node = at.leader or at.nodes[0]
        self._over_us: int | None = None  # when it noticed that the safety phase had ended

    async def brings_back(self, nodes: Sequence[str]) -> bool:
        """Whether all of them vote again, at the latest so long after the safety phase."""
        return await self.sees_to("add", nodes) and await self.sees_to("promote", nodes)

    async def sees_to(self, verb: str, nodes: Sequence[str], ends_us: int | None = None) -> bool:
        """Whether all of them are added, promoted or removed by then: together, or if that is refused one by one."""
        if len(nodes) > 1 and await self._ask(Change(**{verb: tuple(nodes)}), ends_us) == "":
            return True
        for node in nodes:
            refused = await self._ask(Change(**{verb: (node,)}), ends_us)
            if refused and not is_satisfied(refused):
                return False
        return True

    async def _ask(self, change: Change, ends_us: int | None) -> str:
        """Why the change is not possible; "" if it is done."""
        at, why = self._at, "nobody did it in time"
        while not self._is_too_late(ends_us):
            asked = await self._world.change_members(self._node, change, ASK_US)
            if asked.done:
                if asked.entry is not None:
                    at.change_answered(self._node, asked.entry)
                return ""
            if asked.error and not asked.error.endswith(TRY_AGAIN):
                return asked.error
            if asked.leader:
                self._node = asked.leader
            elif not asked.error:
                self._node = at.nodes[(at.nodes.index(self._node) + 1) % len(at.nodes)]
            await at.wait(RETRY_US)
        return why

    def _is_too_late(self, ends_us: int | None) -> bool:
        at = self._at
        if ends_us is not None:
            return at.is_over or at.now_us >= ends_us
        if at.is_over and self._over_us is None:
            self._over_us = at.now_us
        return self._over_us is not None and at.now_us >= self._over_us + self._restore_us
