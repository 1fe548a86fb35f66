"""Crashes: nodes are killed, lose what they had not synced, and start again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import compress
from random import Random
from typing import Any, ClassVar, Literal, Protocol, Self, TypeAlias, get_args, runtime_checkable

import msgspec
from msgspec.structs import replace

from raft_chaos.chaos.faults import limits
from raft_chaos.chaos.faults.abilities import Ability
from raft_chaos.chaos.faults.action import Room, Strength, some, strong
from raft_chaos.chaos.faults.domain import MS, Domain, OneOf, Several, Whole, built
from raft_chaos.chaos.faults.downtime import Downtime, wait_us
from raft_chaos.chaos.faults.grudge import majority_of
from raft_chaos.chaos.faults.names import LEADER, SINGLE, around, group_of, tally
from raft_chaos.chaos.faults.strike import Effect, Layer, Signal, Strike
from raft_chaos.raft.storage.fault_disk import HOLES

StepPoint: TypeAlias = Literal[
    "before_report", "before_send", "mid_send", "before_write", "before_apply", "before_answer", "after_sync"
]
"""A point within a node's step: the outputs before it are carried out, those after it are not."""
SyncPoint: TypeAlias = Literal[
    "in_sync_1",
    "in_sync_2",
    "in_sync_3",
    "in_sync_4",
    "in_sync_5",
    "in_sync_6",
    "in_sync_7",
    "in_sync_8",
]
"""A point within a sync: after so many operations that change the disk, of a sync that has more. A snapshot's has eight
or nine; any other has two, and a third one where it also makes the mark durable."""
Failpoint: TypeAlias = Literal[StepPoint, SyncPoint]
FAILPOINTS: tuple[StepPoint, ...] = get_args(StepPoint)
SYNC_POINTS: tuple[SyncPoint, ...] = get_args(SyncPoint)
FAILPOINT_PATIENCE_US = 500_000
"""A node that does not reach its failpoint within this time is killed at once."""

WHOLE_PERMILLE = 1000
ALL_HOLES = (1 << HOLES) - 1
NO_HOLES: Mapping[str, int] = {}


@runtime_checkable
class Processes(Protocol):
    """A world whose nodes can be killed and started."""

    def incarnation(self, node: str) -> int: ...
    async def start(self, node: str) -> bool:
        """Starts the next incarnation of a node that is down; returns whether it is up now."""
        ...

    async def kill(self, keep_permille: Mapping[str, int], holes: Mapping[str, int] = NO_HOLES) -> list[str]:
        """Kills all these nodes at once; each keeps this many thousandths of its unsynced bytes, without the blocks in
        `holes`, if the world supports that. Returns the nodes that were running, once they are gone."""
        ...

    async def exit_code(self, node: str) -> int | None:
        """The exit code of the node's last incarnation; None if that runs or did not end by itself."""
        ...


async def back(at: Strike, node: str, after_us: int) -> bool:
    """Starts a node that has just ended, `after_us` later; returns whether a new incarnation runs."""
    processes = at.can(Processes)
    before = processes.incarnation(node)
    await at.hold(after_us)
    return await processes.start(node) and processes.incarnation(node) > before


@runtime_checkable
class LosesUnsynced(Protocol):
    """A world that says what a kill has taken from the disks of its nodes."""

    def unsynced_lost(self, nodes: Sequence[str]) -> str:
        """What the last kill of each of these nodes took, in words; "" for disks that lose nothing."""
        ...


@runtime_checkable
class Failpoints(Protocol):
    """A world whose nodes can be stopped at a point within a step."""

    def arm(self, node: str, failpoint: Failpoint, reached: Signal) -> bool:
        """The first step of the node that gets to the failpoint stops there and sets `reached`; the task that waits for
        it must kill the node at once. Returns whether the node runs."""
        ...

    def disarm(self, node: str) -> None: ...


ARMED: Layer[bool] = Layer("armed", any)
"""Whether a node is to die at a failpoint that it has not reached yet."""


class CrashStrength(Strength, frozen=True):
    """A killed node keeps all unsynced bytes with probability `keep_all`, a part of them with probability `torn`. A
    kill of one node waits for one of `failpoints` with probability `failpoint`."""

    keep_all: float = 0.0
    torn: float = 0.0
    failpoint: float = 0.0
    failpoints: tuple[Failpoint, ...] = ()


class Kill(Downtime, frozen=True, tag="kill", omit_defaults=True):
    """SIGKILL to all of `nodes` at once; node i of them starts again `restart_after_us[i]` later.

    The first `keep_permille[i]` thousandths of node i's unsynced bytes reach its disk (rounded down: a record may be
    torn at any byte); an empty list keeps none. Of these, the blocks whose bits are set in `holes[i]` do not reach it,
    so any subset of them may (`raft.storage.fault_disk`). With a `failpoint` a node is not killed at once, but when its
    next step reaches that point. "leader" may be a node that is also named by its id: the first mention counts.
    """

    restart_after_us: list[int]
    keep_permille: list[int] = msgspec.field(default_factory=list)
    failpoint: Failpoint | None = None
    holes: list[int] = msgspec.field(default_factory=list)

    needs: ClassVar[type] = Processes
    late_frames: ClassVar[bool] = False
    about: ClassVar[str] = (
        "SIGKILL to all of `nodes` at once; each starts again `restart_after_us` later. In virtual time, and on lossy "
        "disks of other systems, `keep_permille` of its unsynced bytes reach the disk. In virtual time also: without "
        f"the blocks in `holes`, and it dies at a `failpoint` within a step: {', '.join(FAILPOINTS)}, "
        f"or after so many operations of a sync on the disk: {SYNC_POINTS[0]} to {SYNC_POINTS[-1]}. With all "
        "nodes named, the power of all fails at once"
    )
    seen: ClassVar[str] = "The processes are gone, and new incarnations run"
    then: ClassVar[str] = "It has what it synced, and any part of what it had only written; it cuts off a torn tail"
    asks: ClassVar[tuple[Ability, ...]] = ("kill",)

    @classmethod
    def placeholders(cls, *, at_vote: bool) -> list[str]:
        """Each node has a restart of its own, so no role may mean several nodes."""
        return [role for role in super().placeholders(at_vote=at_vote) if role in SINGLE]

    def check(self, nodes: Sequence[str]) -> Iterator[str]:
        yield from super().check(nodes)
        count = len(self.nodes)
        if len(self.restart_after_us) != count:
            yield f"action.restart_after_us: expected {count} numbers, one a node, got {len(self.restart_after_us)}"
        for value in self.restart_after_us:
            yield from limits.not_negative("action.restart_after_us", value)
        if len(self.keep_permille) not in (0, count):
            yield f"action.keep_permille: expected {count} numbers, one a node, or none, got {len(self.keep_permille)}"
        for value in self.keep_permille:
            yield from limits.within("action.keep_permille", value, 0, WHOLE_PERMILLE)
        if len(self.holes) not in (0, count):
            yield f"action.holes: expected {count} numbers, one a node, or none, got {len(self.holes)}"
        for value in self.holes:
            yield from limits.within("action.holes", value, 0, ALL_HOLES)

    def lasts_us(self, duration_us: int) -> int:
        return max(self.restart_after_us)

    def placed(self, leader: str, nodes: Sequence[str]) -> Self:
        """The first mention of a node counts; the restarts of the others go."""
        roles = around(leader, nodes)
        names = [node for name in self.nodes for node in roles.get(name, (name,))]
        kept = [place for place, name in enumerate(names) if name not in names[:place]]
        return replace(
            self,
            nodes=[names[place] for place in kept],
            restart_after_us=[self.restart_after_us[place] for place in kept],
            keep_permille=[self.keep_permille[place] for place in kept] if self.keep_permille else [],
            holes=[self.holes[place] for place in kept] if self.holes else [],
        )

    # ---- drawn ----

    odds: ClassVar[float] = 1.0

    @classmethod
    def plain(cls, rng: Random, timeout_us: int) -> CrashStrength:
        return CrashStrength()

    @classmethod
    def wide(cls, rng: Random, timeout_us: int) -> CrashStrength:
        keep_all, torn, failpoint = strong(rng, 0.5), strong(rng, 0.5), strong(rng, 0.8)
        points = some(rng, FAILPOINTS, rng.randint(1, len(FAILPOINTS)))
        return CrashStrength(keep_all, torn, failpoint, tuple(points) if failpoint else ())

    @classmethod
    def often(cls, rng: Random, strength: CrashStrength) -> int:
        return rng.choice((0, 1, 2, 3))

    @classmethod
    def draw(cls, room: Room) -> Self | None:
        """The leader, one node, a minority, or, without other faults, a majority; half of the restarts are at once."""
        rng, nodes = room.rng, room.nodes
        style = rng.choices(("leader", "one", "minority", "majority"), weights=(45, 25, 20, 10))[0]
        if style == "leader" or room.up == [LEADER]:
            killed = [LEADER]
        elif style == "majority" and not room.crowded:
            killed = some(rng, nodes, majority_of(len(nodes)))
        else:
            count = rng.randint(1, room.spare) if style == "minority" else 1
            killed = some(rng, room.up, min(len(room.up), count))
        return cls(killed, [wait_us(rng, room.most_us) for _ in killed])

    def drawn_us(self, room: Room) -> int:
        return self.lasts_us(0)

    def detailed(self, rng: Random, strength: CrashStrength) -> Self:
        """Each node keeps all of its unsynced bytes, a part, or none. Only a node that is killed alone waits for a
        failpoint: a power loss hits all nodes at the same moment."""
        waits, point = rng.random() < strength.failpoint, rng.random()
        keep = [_keep_permille(rng, strength) for _ in self.nodes]
        points = strength.failpoints
        holes = [_holes(permille, point) for permille in keep]
        return replace(
            self,
            keep_permille=keep if any(keep) else [],
            holes=holes if any(holes) else [],
            failpoint=points[int(point * len(points))] if waits and len(self.nodes) == 1 else None,
        )

    @classmethod
    def domain(cls, nodes: Sequence[str], *, longest_us: int, at_vote: bool) -> Domain:
        """Kills of one node up to all nodes. Unsynced bytes are lost unless `keep_permille` keeps them."""
        names = [*nodes, *cls.placeholders(at_vote=at_vote)]
        one = built(
            lambda *row: row, OneOf(names), Whole(0, longest_us, MS), Whole(0, WHOLE_PERMILLE), Whole(0, ALL_HOLES)
        )
        hit = Several(one, 1, len(nodes), key=lambda row: row[0])
        return built(cls._of_rows, hit, OneOf((False, True)), OneOf((None, *FAILPOINTS)))

    @classmethod
    def _of_rows(cls, hit: list[tuple[str, int, int, int]], keeps: bool, failpoint: Failpoint | None) -> Self:
        names, restarts, permilles, holes = map(list, zip(*hit, strict=True))
        return cls(names, restarts, permilles if keeps else [], failpoint, holes if keeps and any(holes) else [])

    # ---- in a run ----

    async def strike(self, at: Strike) -> None:
        processes = at.can(Processes)
        after_us = self._for_each(self.restart_after_us, at)
        keep = self._for_each(self.keep_permille or [0] * len(self.nodes), at)
        holes = self._for_each(self.holes or [0] * len(self.nodes), at)
        nodes = list(after_us)
        at.begin(nodes)
        failpoints = at.offered(Failpoints)  # real time has none: such a kill then comes at once
        if self.failpoint is None or failpoints is None:
            hit = await processes.kill(keep, holes)
            at.injected(self._text(nodes), hit)
            came = await at.together([back(at, node, after_us[node]) for node in hit])
        else:
            reached = {node: at.signal() for node in nodes}
            waiting = [node for node in nodes if failpoints.arm(node, self.failpoint, reached[node])]
            armed = dict.fromkeys(waiting, True)
            at.lay(ARMED, armed)
            at.injected(self._text(nodes), waiting)
            ends = await at.together(
                [self._at_failpoint(at, node, armed, reached[node], keep, holes, after_us[node]) for node in waiting]
            )
            hit = [node for node, end in zip(waiting, ends, strict=True) if end is not None]
            came = [end for end in ends if end is not None]
        up = list(compress(hit, came))
        disks = at.offered(LosesUnsynced)
        lost = disks.unsynced_lost(hit) if disks is not None else ""
        took = f", which {lost}" if lost else ""
        effect = f"killed {' '.join(hit) or 'nothing'}{took}, new incarnation of {' '.join(up) or 'none'}"
        at.healed(Effect(bool(hit) and up == hit, effect))

    async def _at_failpoint(
        self,
        at: Strike,
        node: str,
        armed: dict[str, bool],
        reached: Signal,
        keep_permille: Mapping[str, int],
        holes: Mapping[str, int],
        after_us: int,
    ) -> bool | None:
        """Kills the node at its failpoint, and takes it out of `armed`. Returns whether it is back; None if it was not
        running any more."""
        await at.until(reached, FAILPOINT_PATIENCE_US)
        at.can(Failpoints).disarm(node)
        killed = await at.can(Processes).kill({node: keep_permille[node]}, holes)
        del armed[node]
        at.lay(ARMED, armed)
        return await back(at, node, after_us) if killed else None

    def _for_each(self, values: Sequence[int], at: Strike) -> dict[str, int]:
        """node -> value, for the nodes that it hits, in this order. The first mention of a node counts."""
        hit: dict[str, int] = {}
        for name, value in zip(self.nodes, values, strict=True):
            for node in at.roles.get(name, (name,)):
                hit.setdefault(node, value)
        return hit

    # ---- described ----

    def _text(self, nodes: Sequence[str]) -> str:
        return f"kill {' '.join(nodes)}" + (f", {self.failpoint}" if self.failpoint else "")

    @classmethod
    def summary(cls, faults: Sequence[tuple[Self, int]], nodes: Sequence[str]) -> Iterator[str]:
        kills = [kill for kill, _ in faults]
        yield f"kill: {tally(group_of(kill.nodes, nodes) for kill in kills)}"
        if torn := [kill for kill in kills if kill.keep_permille]:
            yield f"unsynced bytes that survive: after {len(torn)} of {len(kills)} kills"
        if holed := [kill for kill in kills if any(kill.holes)]:
            yield f"of these with holes: {len(holed)}"
        if points := [kill.failpoint for kill in kills if kill.failpoint is not None]:
            yield f"failpoints: {tally(points)}"

    # ---- made smaller ----

    def smaller(self) -> Iterator[Self]:
        if self.failpoint is not None:
            yield replace(self, failpoint=None)
        if any(self.holes):
            yield replace(self, holes=[])
        if any(self.keep_permille):
            yield replace(self, keep_permille=[], holes=[])
        if len(self.nodes) > 1:
            for node in self.nodes:
                if (fewer := self.without([node])) is not None:
                    yield fewer
        if any(self.restart_after_us):
            yield replace(self, restart_after_us=[0 for _ in self.nodes])
            yield replace(self, restart_after_us=[_halved(after_us) for after_us in self.restart_after_us])

    def without(self, gone: Sequence[str]) -> Self | None:
        left = [place for place, name in enumerate(self.nodes) if name not in gone]
        if not left:
            return None

        def kept(values: list[Any]) -> list[Any]:
            return [values[place] for place in left] if values else []

        return type(self)(
            kept(self.nodes), kept(self.restart_after_us), kept(self.keep_permille), self.failpoint, kept(self.holes)
        )


def _keep_permille(rng: Random, strength: CrashStrength) -> int:
    style, part = rng.random(), rng.randint(1, WHOLE_PERMILLE - 1)
    if style < strength.torn:
        return part
    return WHOLE_PERMILLE if style < strength.torn + strength.keep_all else 0


def _holes(keep_permille: int, point: float) -> int:
    """Which blocks are missing from what reaches the disk: some for half of the kills that keep a part, and for a
    quarter of those that keep all. It takes what was drawn for the failpoint, so that no later kill is another one."""
    bits = int(point * (ALL_HOLES + 1))
    share = 4 if keep_permille == WHOLE_PERMILLE else 2
    return bits if keep_permille and bits % share == 1 else 0


def _halved(us: int) -> int:
    """Half of it, in whole milliseconds unless that gives 0."""
    half = us // 2
    return half - half % MS if half >= MS else half
