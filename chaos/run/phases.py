"""The phases of a run, the same in every world, from an empty cluster to the last read.

    warmup      nodes up, a first leader, clients at work; no faults
    safety      the schedule's faults, while every event is judged
    liveness    all is healed; within a bound the cluster owes a new commit, and each node that was hit owes catching up
    end         every key is read once more; then come the schedule's final reads, where it has some, and every queue is
                emptied
    services    in virtual time: reads that need no log entry, and a transfer of the leadership, are asked for
    settled     nobody asks for anything: within the bound, all nodes learn what is committed

Virtual time is exact: the cluster must recover within a fixed time. Real time is not: there recovery is owed only while
the harness itself is punctual, and a violation means that there was no progress for the whole bound.
"""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Protocol

from raft_chaos.chaos.run.clients import Client
from raft_chaos.chaos.run.cluster_view import ClusterView
from raft_chaos.chaos.run.drain import MOST_TIMES, drain, queues_of
from raft_chaos.chaos.run.nemesis import Nemesis
from raft_chaos.chaos.run.services import unserved_reads, unserved_transfer
from raft_chaos.chaos.run.tasks import Tasks
from raft_chaos.chaos.schedule.data import Operation, Schedule
from raft_chaos.invariants.events import HARNESS, HarnessEvent, Phase, PhaseStarted
from raft_chaos.invariants.history import QUEUE_FUNCTIONS

WATCH_US = 20_000
TRANSFER_SHARE = 10
"""A transfer of the leadership may take this part of the whole time for recovery: several elections."""
FINAL_US = 10_000_000
"""A client begins no final read later than this after its first one: a node that answers nothing shows nothing."""


@dataclass(frozen=True)
class Bound:
    """How long recovery may take (µs): `within_us` in all, or `stalled_us` without any progress."""

    within_us: int = 0
    stalled_us: int = 0


class World(Protocol):
    """What the phases need from a world, beside what the nemesis and the clients need."""

    async def start(self, node: str) -> bool: ...
    def now_us(self) -> int:
        """The time of the harness's events."""
        ...

    def report(self, event: HarnessEvent) -> None: ...
    def client(self, name: str, place: int) -> Client: ...
    def began(self) -> None:
        """All nodes have been started: the times of a schedule count from this moment."""
        ...

    def refresh(self) -> None:
        """Brings the view of the cluster up to date."""
        ...


class Phases:
    """Takes one schedule through its phases. `recovery_owed` is False for a target that reports no events."""

    def __init__(
        self,
        schedule: Schedule,
        *,
        world: World,
        tasks: Tasks,
        nemesis: Nemesis,
        view: ClusterView,
        bound: Bound,
        recovery_owed: bool = True,
    ) -> None:
        self.phase: Phase | str = "start"
        self._schedule = schedule
        self._header = schedule.header
        self._world = world
        self._tasks = tasks
        self._nemesis = nemesis
        self._view = view
        self._bound = bound
        self._recovery_owed = recovery_owed
        self.unserved: tuple[str, ...] = ()
        """What the cluster did not do once all was healed (`services`)."""
        self.is_settled = False
        """Whether the run came to its end, with nothing owed any more."""
        self._working = 0  # how many clients, and reads of the harness, have not ended
        self._probes = 0

    async def run(self) -> None:
        """Returns once the run is over."""
        header, world = self._header, self._world
        await self._tasks.together([world.start(node) for node in header.nodes])
        world.began()
        self._enter("warmup")
        until_us = header.safety_until_us + header.liveness_for_us
        clients = {name: world.client(name, place) for place, name in enumerate(header.clients)}
        for name, client in clients.items():
            self._work(client.run(self._of(name, final=False), until_us), name)
        final = world.client("final", len(header.clients))

        await self._tasks.pass_until(header.safety_from_us)
        self._enter("safety")
        self._nemesis.start(self._schedule.faults)
        await self._tasks.pass_until(header.safety_until_us)
        await self._nemesis.end()
        without_vote = list[str]()
        if header.features.membership:  # slow timers need longer, as for all of the recovery
            without_vote = await self._nemesis.restore_members(self._bound.within_us)
        if await self._liveness(until_us, final, without_vote):
            await self._final_reads(final)
            for name, client in clients.items():
                if reads := self._of(name, final=True):
                    self._work(client.run(reads, self._tasks.now_us + FINAL_US), name)
            await self._idle()
            await self._drain(final)
            if self._recovery_owed:
                if self._bound.within_us:
                    await self._ask_services(final)
                await self._settle()

    def _of(self, client: str, *, final: bool) -> list[Operation]:
        return [one for one in self._schedule.operations if one.client == client and one.final == final]

    async def _liveness(self, until_us: int, final: Client, without_vote: list[str]) -> bool:
        """All is healed: waits until nothing is owed and the clients are done, or until the bound is reached. These
        nodes were to vote again, and do not.

        Returns False if something is still owed then; the run ends there, since later events would only blur that.
        """
        self._world.refresh()
        target, owed = self._view.highest_commit, self._nemesis.log.touched
        began_us, within_us = self._world.now_us(), self._bound.within_us
        ends_us = self._tasks.now_us + within_us if within_us else None
        self._enter("liveness", target, owed, without_vote)
        await self._pass_until(until_us, ends_us)
        while self._recovery_owed and not self._recovered(target, owed):
            if self._is_too_late(began_us):
                return False
            if not self._working and self._view.highest_commit <= target:
                # The workload is over, and a cluster without commands has nothing to commit.
                probe = Operation(id=f"probe/{self._probes}", client="final", at_us=0, f="get", key="probe")
                self._probes += 1
                self._work(final.perform(probe), probe.id)
            await self._pass_until(self._tasks.now_us + WATCH_US, ends_us)
        await self._idle()
        return True

    async def _ask_services(self, client: Client) -> None:
        """Asks for what a healthy cluster does beside commands, and keeps what it does not."""
        self._enter("services")
        reads = await unserved_reads(client, self._schedule.operations)
        transfer = await unserved_transfer(self._nemesis, self._bound.within_us // TRANSFER_SHARE)
        self.unserved = (*reads, *transfer)

    async def _settle(self) -> None:
        """Waits until all members that are up have applied what is committed, without a new command, or until the bound
        is reached."""
        self._world.refresh()
        view = self._view
        target, began_us = view.highest_commit, self._world.now_us()
        owed = [node for node, one in view.nodes.items() if one.role is not None and view.members.includes(node)]
        self._enter("settled", target, owed)
        while self._behind(target, owed) and not self._is_too_late(began_us):
            await self._tasks.pass_until(self._tasks.now_us + WATCH_US)
        self.is_settled = not self._behind(target, owed)

    async def _pass_until(self, at_us: int, ends_us: int | None) -> None:
        await self._tasks.pass_until(at_us if ends_us is None else min(at_us, ends_us))

    def _is_too_late(self, began_us: int) -> bool:
        now_us, stalled_us = self._world.now_us(), self._bound.stalled_us
        if self._bound.within_us:
            return now_us - began_us >= self._bound.within_us
        applied_us = [view.applied_at_us for view in self._view.nodes.values()]
        moved_us = max(began_us, self._view.new_commit_at_us, *applied_us)
        # The checker must see no progress for the whole bound, so wait slightly longer than that.
        return (
            now_us - moved_us > stalled_us * 11 // 10
            or now_us - began_us > 3 * stalled_us + 10 * self._header.liveness_for_us
        )

    def _recovered(self, target: int, owed: list[str]) -> bool:
        return self._view.highest_commit > target and not self._behind(target, owed)

    def _behind(self, target: int, owed: list[str]) -> list[str]:
        """Those that have not applied all up to the target. Whoever is no member any more gets nothing (§6)."""
        view = self._view
        return [node for node in owed if view.nodes[node].applied_index < target and view.members.includes(node)]

    async def _final_reads(self, client: Client) -> None:
        """Reads every key once more: acknowledged writes must still be there."""
        on_keys = [operation for operation in self._schedule.operations if operation.f not in QUEUE_FUNCTIONS]
        for number, key in enumerate(sorted({operation.key for operation in on_keys})):
            read = Operation(id=f"final/{number}", client="final", at_us=0, f="get", key=key, final=True)
            self._work(client.perform(read), read.id)
            await self._idle()

    async def _drain(self, client: Client) -> None:
        """Empties every queue: acknowledged elements must still be there."""
        numbers, most = count(), MOST_TIMES * len(self._schedule.operations)
        for queue in queues_of(self._schedule):
            self._work(drain(client, queue, self._tasks, numbers, most), f"drain {queue}")
            await self._idle()

    async def _idle(self) -> None:
        """Waits until no client and no read is at work."""
        while self._working:
            await self._tasks.pass_until(self._tasks.now_us + WATCH_US)

    def _work(self, coroutine: Coroutine[Any, Any, object], name: str) -> None:
        async def counted() -> None:
            await coroutine
            self._working -= 1

        self._working += 1
        self._tasks.spawn(counted(), name)

    def _enter(
        self, phase: Phase, commit_target: int = 0, owed: Sequence[str] = (), without_vote: Sequence[str] = ()
    ) -> None:
        self.phase = phase
        is_owed = phase in ("liveness", "settled")
        self._world.report(
            PhaseStarted(
                node=HARNESS,
                inc=1,
                t_us=self._world.now_us(),
                phase=phase,
                commit_target=commit_target,
                owed=tuple(owed),
                without_vote=tuple(without_vote),
                within_us=self._bound.within_us if is_owed else 0,
                bound_us=self._bound.stalled_us if is_owed else 0,
            )
        )
