"""Power failures within a sync: between two operations on the disk of a node that makes a snapshot durable (§7).

A snapshot takes the place of the log in steps: its file gets its name, a shorter log is written, and that gets its
name, too. Between any two of them the power may fail, and take any of the names with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import ClassVar, Self

from msgspec.structs import replace

from raft_chaos.chaos.faults import limits
from raft_chaos.chaos.faults.abilities import Ability
from raft_chaos.chaos.faults.action import Room, Strength, some
from raft_chaos.chaos.faults.domain import MS, Domain, Whole, built, some_of
from raft_chaos.chaos.faults.downtime import Restart, wait_us
from raft_chaos.chaos.faults.names import LEADER, OTHERS, group_of, tally
from raft_chaos.chaos.faults.process import ALL_HOLES, SYNC_POINTS, WHOLE_PERMILLE, Failpoints, Kill
from raft_chaos.chaos.faults.strike import Strike

OF_ANY_SNAPSHOT = 7
"""So many operations of any snapshot are not its last one."""
NAMES = 4
"""So many changes of names belong to one snapshot: the files of the snapshot and of the log are made and renamed."""


class KillInSync(Restart, frozen=True, tag="kill_in_sync", omit_defaults=True):
    """Each of `nodes` is killed after so many `operations` of its next sync that has more; it starts again
    `restart_after_us` later. `keep_permille` and `holes` as of a kill."""

    operations: int
    restart_after_us: int
    keep_permille: int = 0
    holes: int = 0

    needs: ClassVar[type] = Failpoints
    in_live: ClassVar[bool] = False
    late_frames: ClassVar[bool] = False
    asks: ClassVar[tuple[Ability, ...]] = ("kill",)
    feature: ClassVar[str] = "snapshot_every"
    about: ClassVar[str] = (
        "Each of `nodes` is killed after so many `operations` that change its disk, of its next sync that has more: "
        "from the third on, while it makes a snapshot durable. `keep_permille` of its unsynced names and bytes reach "
        "the disk, without those in `holes`. Only in virtual time, where nodes take snapshots"
    )
    seen: ClassVar[str] = "The processes are gone, and new incarnations run"
    then: ClassVar[str] = "It has the state before the snapshot, or the one after it, whichever names are lost"

    def check(self, nodes: Sequence[str]) -> Iterator[str]:
        yield from super().check(nodes)
        yield from limits.within("action.operations", self.operations, 1, len(SYNC_POINTS))
        yield from limits.within("action.keep_permille", self.keep_permille, 0, WHOLE_PERMILLE)
        yield from limits.within("action.holes", self.holes, 0, ALL_HOLES)

    # ---- drawn ----

    odds: ClassVar[float] = 0.4
    plain_times: ClassVar[int] = 2

    @classmethod
    def often(cls, rng: Random, strength: Strength) -> int:
        return rng.choice((0, 2, 4))

    @classmethod
    def draw(cls, room: Room) -> Self | None:
        """A minority. They lose all that they have not synced, one of the names, any of them, or nothing."""
        rng = room.rng
        nodes = some(rng, room.up, min(len(room.up), rng.randint(1, room.spare)))
        return cls.of(rng, nodes, wait_us(rng, room.most_us))

    @classmethod
    def of(cls, rng: Random, nodes: list[str], restart_after_us: int) -> Self:
        """A drawn one of these nodes."""
        operations = rng.randint(1, OF_ANY_SNAPSHOT)
        one, several = 1 << rng.randrange(NAMES), rng.randint(0, ALL_HOLES)
        keep, holes = rng.choices(
            ((0, 0), (WHOLE_PERMILLE, one), (WHOLE_PERMILLE, several), (WHOLE_PERMILLE, 0)), weights=(2, 6, 1, 1)
        )[0]
        return cls(nodes, operations, restart_after_us, keep, holes)

    @classmethod
    def domain(cls, nodes: Sequence[str], *, longest_us: int, at_vote: bool) -> Domain:
        hit, operations = some_of([*nodes, LEADER, OTHERS], len(nodes)), Whole(1, len(SYNC_POINTS))
        return built(cls, hit, operations, Whole(0, longest_us, MS), Whole(0, WHOLE_PERMILLE), Whole(0, ALL_HOLES))

    # ---- in a run ----

    async def strike(self, at: Strike) -> None:
        nodes = self.hit(at)

        def each(value: int) -> list[int]:
            return [value for _ in nodes]

        point = SYNC_POINTS[self.operations - 1]
        kill = Kill(nodes, each(self.restart_after_us), each(self.keep_permille), point, each(self.holes))
        await kill.strike(at)

    @classmethod
    def summary(cls, faults: Sequence[tuple[Self, int]], nodes: Sequence[str]) -> Iterator[str]:
        yield f"kill_in_sync: {tally(group_of(fault.nodes, nodes) for fault, _ in faults)}"
        yield f"kill_in_sync, after operations: {tally(str(fault.operations) for fault, _ in faults)}"

    def smaller(self) -> Iterator[Self]:
        yield from super().smaller()
        if self.holes:
            yield replace(self, holes=0)
        if self.keep_permille:
            yield replace(self, keep_permille=0, holes=0)
