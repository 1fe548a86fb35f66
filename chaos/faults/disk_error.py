"""Disks whose operations fail: EIO and ENOSPC at an append, a sync, a rename, or a read, of all or of one entry.

The node must end at once, and say so by its exit code: after a failed write nobody knows what is on the disk. Linux
takes a page that it could not write for clean, so the next sync succeeds without it ("fsyncgate", PostgreSQL 2018); a
node that tries again and goes on acknowledges what is lost. When the disk works again the node starts again, with what
it had synced before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import compress
from random import Random
from typing import ClassVar, Protocol, Self, get_args, runtime_checkable

from msgspec.structs import replace

from raft_chaos.chaos.faults import limits
from raft_chaos.chaos.faults.abilities import Ability
from raft_chaos.chaos.faults.action import Room, Strength
from raft_chaos.chaos.faults.domain import Domain, OneOf, Whole, built, some_of
from raft_chaos.chaos.faults.downtime import Downtime
from raft_chaos.chaos.faults.names import LEADER, OTHERS, group_of, tally
from raft_chaos.chaos.faults.process import WHOLE_PERMILLE, Processes
from raft_chaos.chaos.faults.strike import Effect, Layer, Strike
from raft_chaos.raft.storage.failing import DiskErrorName, DiskOperation, Failing

AT_START: tuple[DiskOperation, ...] = ("read",)
"""A node does these only while it starts."""
RENAME_SHARE = 0.5
"""The share of the drawn faults that strike at a rename, where nodes take snapshots."""
MOST_BEFORE = 3
"""A drawn fault lets at most so many operations succeed. A snapshot has two renames."""
READ_BACK_SHARE = 0.5
"""The share of the drawn faults that strike at reading old entries back, where nodes do that at all."""

FAILING: Layer[Failing | None] = Layer("failing", lambda failing: failing[-1] if failing else None)
"""If a node's disk has several faults, the latest counts."""


@runtime_checkable
class FailingDisks(Protocol):
    """A world whose nodes' disks can be made to fail."""

    async def break_disk(self, node: str, failing: Failing | None) -> int | None:
        """The node's disk fails at this from now on, also after restarts; at nothing with None. Returns how often it
        has failed in this incarnation, None if the node is down."""
        ...


class DiskError(Downtime, frozen=True, tag="disk_error", omit_defaults=True):
    """`operation` fails with `error` on the disks of `nodes`, always, or only `once`, after so many that succeed.

    For an operation that a node does only while it starts, it is killed and starts again with the failing disk.
    """

    operation: DiskOperation
    error: DiskErrorName
    once: bool = False
    after: int = 0

    needs: ClassVar[type] = FailingDisks
    asks: ClassVar[tuple[Ability, ...]] = ("disk_error",)
    about: ClassVar[str] = (
        f"`operation` ({', '.join(get_args(DiskOperation))}) fails with `error` (EIO, ENOSPC) on the disks of `nodes`: "
        "always, or only `once`, so that a second try would succeed; `after` so many that succeed. A failed sync loses "
        "what was not synced. For `read` the nodes are killed, and start with the failing disk; `rename` is of a "
        "snapshot or of the log behind it, and `read_back` of an entry that is not in memory"
    )
    seen: ClassVar[str] = "The nodes ended with exit code 74 or 75, and run again once their disks work"
    then: ClassVar[str] = (
        "It ends at once, tries nothing again, and answers nobody; later it starts from what was synced"
    )

    def check(self, nodes: Sequence[str]) -> Iterator[str]:
        yield from super().check(nodes)
        yield from limits.not_negative("action.after", self.after)

    # ---- drawn ----

    odds: ClassVar[float] = 0.3
    plain_times: ClassVar[int] = 2

    @classmethod
    def often(cls, rng: Random, strength: Strength) -> int:
        return rng.choice((0, 0, 2, 4))

    @classmethod
    def draw(cls, room: Room) -> Self | None:
        """The leader's disk, or that of a node that is up. A rename only where nodes take snapshots: other nodes rename
        only when they first start."""
        rng = room.rng
        node = LEADER if rng.random() < 0.5 else rng.choice(room.up)
        operation = rng.choices(get_args(DiskOperation), weights=(3, 5, 0, 2, 0))[0]
        error: DiskErrorName = "EIO" if operation == "read" or rng.random() < 0.6 else "ENOSPC"
        once = rng.random() < 0.5
        if room.reads_back and rng.random() < READ_BACK_SHARE:
            return cls([LEADER], "read_back", "EIO", once)  # followers have hardly a reason to read any
        if room.compacts and rng.random() < RENAME_SHARE:
            return cls([node], "rename", error, once, rng.randint(0, 1))
        return cls([node], operation, error, once)

    def detailed(self, rng: Random, strength: Strength) -> Self:
        """Half of the failing syncs and writes are not the next ones."""
        if self.operation not in ("append", "sync") or rng.random() < 0.5:
            return self
        return replace(self, after=rng.randint(1, MOST_BEFORE))

    @classmethod
    def domain(cls, nodes: Sequence[str], *, longest_us: int, at_vote: bool) -> Domain:
        hit = some_of([*nodes, LEADER, OTHERS], len(nodes))
        operations, errors = OneOf(get_args(DiskOperation)), OneOf(get_args(DiskErrorName))
        return built(cls, hit, operations, errors, OneOf((False, True)), Whole(0, MOST_BEFORE))

    # ---- in a run ----

    async def strike(self, at: Strike) -> None:
        world, processes, nodes = at.can(FailingDisks), at.can(Processes), self.hit(at)
        at.begin(nodes)
        failing = Failing(self.operation, self.error, self.once, self.after)
        for node, now in at.lay(FAILING, dict.fromkeys(nodes, failing)).items():
            await world.break_disk(node, now)
        at.injected(self._text(nodes))
        if self.operation in AT_START:
            hit = await processes.kill(dict.fromkeys(nodes, WHOLE_PERMILLE))
            await at.together([processes.start(node) for node in hit])
        await at.hold(at.duration_us)
        failures = [await world.break_disk(node, now) for node, now in at.lift(FAILING).items()]
        codes = {node: await processes.exit_code(node) for node in nodes}  # of those, too, that ended meanwhile
        ended = [node for node in nodes if codes[node] is not None]
        up = await at.together([processes.start(node) for node in ended])
        back = list(compress(ended, up))
        ends = ", ".join(f"{node} ended with exit code {codes[node]}" for node in ended) or "no node ended"
        unused = not ended and not any(failures)
        effect = f"{ends}; running again: {' '.join(back) or 'none'}"
        at.healed(Effect(bool(ended) and back == ended, effect, f"no {self.operation} was tried" if unused else ""))

    def _text(self, nodes: Sequence[str]) -> str:
        which = "the next" if self.once else "each"
        later = f", after {self.after} that succeed" if self.after else ""
        return f"{which} {self.operation} of {' '.join(nodes)} fails{later}: {self.error}"

    @classmethod
    def summary(cls, faults: Sequence[tuple[Self, int]], nodes: Sequence[str]) -> Iterator[str]:
        yield f"disk_error: {tally(group_of(fault.nodes, nodes) for fault, _ in faults)}"
        yield f"disk_error, failing: {tally(f'{fault.operation} {fault.error}' for fault, _ in faults)}"

    def smaller(self) -> Iterator[Self]:
        yield from super().smaller()
        if self.once:
            yield replace(self, once=False)
        if self.after:
            yield replace(self, after=0)
