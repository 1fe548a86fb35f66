"""Crash loops: a node is killed again and again, in its start or shortly after it.

Recovery must be safe to interrupt anywhere, and to repeat: a node that was killed while it cut off a torn tail finds
the tail, or not, and its next start must come to the same state. A node that is killed before it has caught up must
not have promised anything that it forgets.

A start is a row of steps: in virtual time one operation on the disk each, in real time so many milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import ClassVar, Literal, Protocol, Self, TypeAlias, runtime_checkable

import msgspec
from msgspec.structs import replace

from raft_chaos.chaos.faults import limits
from raft_chaos.chaos.faults.abilities import Ability
from raft_chaos.chaos.faults.action import Room, Strength, strong
from raft_chaos.chaos.faults.domain import MS, Domain, OneOf, Several, Whole, built, some_of
from raft_chaos.chaos.faults.downtime import Restart, wait_us
from raft_chaos.chaos.faults.names import LEADER, OTHERS, group_of, tally
from raft_chaos.chaos.faults.process import WHOLE_PERMILLE, Processes
from raft_chaos.chaos.faults.strike import Effect, Strike

MOST_KILLS = 100
STEPS = 8
"""The start of a node that was up before has no more steps than this, with a torn tail to cut off."""
SOON_US = (0, 20 * MS)
"""A node that is killed so soon after it is up has hardly caught up."""

KEEPS_CACHE_SHARE = 0.5
"""The share of the drawn loops that begin with a kill of the process alone."""

Struck: TypeAlias = Literal["in its start", "once up"]


@runtime_checkable
class InterruptedStarts(Protocol):
    """A world whose nodes can be killed while they start."""

    async def start_and_kill(self, node: str, step: int) -> Struck | None:
        """Starts a node that is down, and kills it after so many steps of its start, or once it is up if it has fewer.
        Returns which of these it was; None if it was not down, or ended by itself."""
        ...


class LoopStrength(Strength, frozen=True):
    """The most kills in a row, and how probable it is that a killed node keeps a part of its unsynced bytes."""

    loop_kills: int = 0
    loop_torn: float = 0.0


class CrashLoop(Restart, frozen=True, tag="crash_loop", omit_defaults=True):
    """`nodes` are killed at once. Then each is started and killed, again and again, `restart_after_us` after its last
    end: first after these steps of its start, then so long (µs) after it is up. In the end it starts for good.

    At each kill the first `keep_permille` thousandths of its unsynced bytes reach the disk, where the world can do it.
    With `first_keeps_cache` the first kill ends only the process: the next one reads what is in the cache of the
    operating system, and the other kills take that with the power.
    """

    restart_after_us: int
    in_start: list[int] = msgspec.field(default_factory=list)
    once_up_us: list[int] = msgspec.field(default_factory=list)
    keep_permille: int = 0
    first_keeps_cache: bool = False

    needs: ClassVar[type] = InterruptedStarts
    late_frames: ClassVar[bool] = False
    asks: ClassVar[tuple[Ability, ...]] = ("kill",)
    about: ClassVar[str] = (
        "`nodes` are killed, and then killed again each time they start: first after so many steps of the start "
        "(`in_start`), then so long after they are up (`once_up_us`). A step is an operation on the disk, in real time "
        "4 ms. "
        "In virtual time, with `first_keeps_cache`, the first kill leaves all unsynced bytes in the cache of the "
        "operating system, and those after it lose what the node has not synced since"
    )
    seen: ClassVar[str] = "Each of the kills hit a node that started or ran, and a new incarnation runs in the end"
    then: ClassVar[str] = "It recovers what it had synced, however often and wherever its recovery was interrupted"

    def check(self, nodes: Sequence[str]) -> Iterator[str]:
        yield from super().check(nodes)
        yield from limits.within("action.keep_permille", self.keep_permille, 0, WHOLE_PERMILLE)
        yield from limits.within("number of kills", len(self.in_start) + len(self.once_up_us), 0, MOST_KILLS)
        for step in self.in_start:
            yield from limits.within("action.in_start", step, 0, MOST_KILLS)
        for after_us in self.once_up_us:
            yield from limits.not_negative("action.once_up_us", after_us)

    def lasts_us(self, duration_us: int) -> int:
        starts = len(self.in_start) + len(self.once_up_us) + 1
        return starts * self.restart_after_us + sum(self.once_up_us)

    # ---- drawn ----

    odds: ClassVar[float] = 0.4

    @classmethod
    def wide(cls, rng: Random, timeout_us: int) -> LoopStrength:
        return LoopStrength(rng.randint(1, 8), strong(rng, 1.0))

    @classmethod
    def plain(cls, rng: Random, timeout_us: int) -> LoopStrength:
        return LoopStrength(4)

    @classmethod
    def often(cls, rng: Random, strength: LoopStrength) -> int:
        return rng.choice((0, 0, 2, 4))

    @classmethod
    def draw(cls, room: Room) -> Self | None:
        """The leader or one node, half of the kills in its start."""
        rng, most = room.rng, room.strength
        node = LEADER if rng.random() < 0.5 or not room.up else rng.choice(room.up)
        in_start, once_up_us = [], []
        for _ in range(rng.randint(1, most.loop_kills)):
            if rng.random() < 0.5:
                in_start.append(rng.randint(0, STEPS))
            else:
                once_up_us.append(rng.randint(*SOON_US) if rng.random() < 0.7 else rng.randint(0, room.timeout_us))
        restart_after_us = wait_us(rng, room.timeout_us // 4)
        keep = rng.randint(1, WHOLE_PERMILLE) if rng.random() < most.loop_torn else 0
        drawn = cls([node], restart_after_us, in_start, once_up_us, keep)
        return drawn if drawn.lasts_us(0) <= room.most_us else None

    def detailed(self, rng: Random, strength: Strength) -> Self:
        return replace(self, first_keeps_cache=rng.random() < KEEPS_CACHE_SHARE)

    @classmethod
    def domain(cls, nodes: Sequence[str], *, longest_us: int, at_vote: bool) -> Domain:
        hit, each_us = some_of([*nodes, LEADER, OTHERS], len(nodes)), longest_us // (2 * STEPS)
        steps, times = Several(Whole(0, STEPS), 0, 4), Several(Whole(0, each_us, MS), 0, 4)
        return built(cls, hit, Whole(0, each_us, MS), steps, times, Whole(0, WHOLE_PERMILLE), OneOf((False, True)))

    # ---- in a run ----

    async def strike(self, at: Strike) -> None:
        processes, nodes = at.can(Processes), self.hit(at)
        at.begin(nodes)
        first_keep = WHOLE_PERMILLE if self.first_keeps_cache else self.keep_permille
        hit = await processes.kill(dict.fromkeys(nodes, first_keep))
        at.injected(f"kill {' '.join(nodes)} again and again", hit)
        loops = await at.together([self._loop(at, node) for node in hit])
        back = [node for node, (_, is_up) in zip(hit, loops, strict=True) if is_up]
        told = [f"{node} killed {_counted(struck)}" for node, (struck, _) in zip(hit, loops, strict=True)]
        effect = f"{', '.join(told) or 'nothing killed'}; running again: {' '.join(back) or 'none'}"
        wanted = len(self.in_start) + len(self.once_up_us)
        is_whole = bool(hit) and back == hit and all(len(struck) == wanted for struck, _ in loops)
        at.healed(Effect(is_whole, effect))

    async def _loop(self, at: Strike, node: str) -> tuple[list[Struck], bool]:
        """What each kill hit, and whether the node is up in the end."""
        processes, struck = at.can(Processes), list[Struck]()
        for step in self.in_start:
            await at.hold(self.restart_after_us)
            hit = None if at.is_over else await at.can(InterruptedStarts).start_and_kill(node, step)
            struck += [hit] if hit is not None else []
        for after_us in self.once_up_us:
            await at.hold(self.restart_after_us)
            if at.is_over or not await processes.start(node):
                break
            await at.hold(after_us)
            struck += ["once up" for _ in await processes.kill({node: self.keep_permille})]
        await at.hold(self.restart_after_us)
        return struck, await processes.start(node)

    @classmethod
    def summary(cls, faults: Sequence[tuple[Self, int]], nodes: Sequence[str]) -> Iterator[str]:
        in_start, up = (sum(len(part) for part in parts) for parts in zip(*(_parts(f) for f, _ in faults), strict=True))
        hit = tally(group_of(loop.nodes, nodes) for loop, _ in faults)
        yield f"crash_loop: {hit}; kills in a start {in_start}, once up {up}"

    def smaller(self) -> Iterator[Self]:
        yield from super().smaller()
        for place in range(len(self.in_start)):
            yield replace(self, in_start=[*self.in_start[:place], *self.in_start[place + 1 :]])
        for place in range(len(self.once_up_us)):
            yield replace(self, once_up_us=[*self.once_up_us[:place], *self.once_up_us[place + 1 :]])
        if self.keep_permille:
            yield replace(self, keep_permille=0)
        if self.first_keeps_cache:
            yield replace(self, first_keeps_cache=False)
        if any(self.once_up_us):
            yield replace(self, once_up_us=[0 for _ in self.once_up_us])


def _parts(fault: CrashLoop) -> tuple[list[int], list[int]]:
    return fault.in_start, fault.once_up_us


def _counted(struck: Sequence[Struck]) -> str:
    return tally(struck) or "once"
