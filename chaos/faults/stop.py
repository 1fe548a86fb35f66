"""Graceful stops: a node is asked to end, ends by itself, and starts again later.

Maintenance does this to every cluster all the time, and it is not a crash: the node completes its write under way, so
nothing of it is lost, and its peers see connections close. A node that does not end in time is killed, and the effect
says so. `ended_in_order` is one such end, for other kinds too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import ClassVar, NamedTuple, Protocol, Self, runtime_checkable

from raft_chaos.chaos.faults.abilities import Ability
from raft_chaos.chaos.faults.action import Room, Strength, some
from raft_chaos.chaos.faults.domain import MS, Domain, Whole, built, some_of
from raft_chaos.chaos.faults.downtime import Restart, wait_us
from raft_chaos.chaos.faults.names import LEADER, OTHERS, group_of, tally
from raft_chaos.chaos.faults.process import WHOLE_PERMILLE, Processes, back
from raft_chaos.chaos.faults.strike import Effect, Strike


class Stopped(NamedTuple):
    """How a node ended that was asked to: `in_order`, or else, in words."""

    in_order: bool
    how: str


@runtime_checkable
class Stops(Protocol):
    """A world whose nodes can be asked to end."""

    async def stop(self, node: str) -> Stopped | None:
        """Asks the node to end by itself; returns how it did, or that it did not in time. None if it does not run."""
        ...


def stopped(in_time: bool, exit_code: int | None, patience_us: int) -> Stopped:
    """What a world saw. The `exit_code` is None for a node that ended as it was asked to."""
    if not in_time:
        return Stopped(False, f"did not end within {patience_us / 1e6:g} s")
    return (
        Stopped(True, "ended by itself") if exit_code is None else Stopped(False, f"ended with exit code {exit_code}")
    )


async def ended_in_order(at: Strike, node: str) -> Stopped | None:
    """Asks the node to end, and kills it if it does not in time; None if it did not run."""
    world, processes = at.can(Stops), at.can(Processes)
    before = processes.incarnation(node)
    end = await world.stop(node)
    # Another fault may have killed the node meanwhile, and started it again.
    is_late = end is not None and not end.in_order and processes.incarnation(node) == before
    if is_late and await processes.kill({node: WHOLE_PERMILLE}):
        return Stopped(False, f"{end.how}, and was killed")  # type: ignore[union-attr]  # it is late, so it was asked
    return end


class Stop(Restart, frozen=True, tag="stop"):
    """`nodes` are asked to end (SIGTERM), all at once; each starts again `restart_after_us` after its end."""

    restart_after_us: int

    needs: ClassVar[type] = Stops
    late_frames: ClassVar[bool] = False
    asks: ClassVar[tuple[Ability, ...]] = ("stop", "kill")
    about: ClassVar[str] = (
        "`nodes` are asked to end, with SIGTERM or as the target says; each starts again `restart_after_us` after its "
        "end. One that does not end in time is killed"
    )
    seen: ClassVar[str] = "The processes ended by themselves, with a clean exit code, and new incarnations run"
    then: ClassVar[str] = "It completes its write under way, ends with exit code 0, and starts with all that it wrote"

    # ---- drawn ----

    odds: ClassVar[float] = 0.5

    @classmethod
    def often(cls, rng: Random, strength: Strength) -> int:
        return rng.choice((0, 0, 2, 4))

    @classmethod
    def draw(cls, room: Room) -> Self | None:
        """The leader, one node, or a minority."""
        rng = room.rng
        restart_after_us = wait_us(rng, room.most_us)
        if rng.random() < 0.5 or room.up == [LEADER]:
            return cls([LEADER], restart_after_us)
        count = min(len(room.up), rng.randint(1, room.spare))
        return cls(some(rng, room.up, count), restart_after_us) if count else None

    @classmethod
    def domain(cls, nodes: Sequence[str], *, longest_us: int, at_vote: bool) -> Domain:
        return built(cls, some_of([*nodes, LEADER, OTHERS], len(nodes)), Whole(0, longest_us, MS))

    # ---- in a run ----

    async def strike(self, at: Strike) -> None:
        nodes = self.hit(at)
        at.begin(nodes)
        at.injected(f"stop {' '.join(nodes)}")
        came = await at.together([self._stop_one(at, node) for node in nodes])
        ends = [(node, end) for node, (end, _) in zip(nodes, came, strict=True) if end is not None]
        up = [node for node, (_, is_up) in zip(nodes, came, strict=True) if is_up]
        how = ", ".join(f"{node} {end.how}" for node, end in ends) or "no node ran"
        is_whole = up == nodes and all(end.in_order for _, end in ends)
        at.healed(Effect(is_whole, f"{how}; running again: {' '.join(up) or 'none'}"))

    async def _stop_one(self, at: Strike, node: str) -> tuple[Stopped | None, bool]:
        """How it ended, and whether it is up again. One that did not run is left to the fault that ended it."""
        end = await ended_in_order(at, node)
        return end, end is not None and await back(at, node, self.restart_after_us)

    @classmethod
    def summary(cls, faults: Sequence[tuple[Self, int]], nodes: Sequence[str]) -> Iterator[str]:
        yield f"stop: {tally(group_of(stop.nodes, nodes) for stop, _ in faults)}"
