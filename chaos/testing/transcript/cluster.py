"""A hand-driven cluster in virtual time, on which transcripts run.

It is a session (`chaos.execution.session`) whose steps carry their times. Nothing happens by itself: a frame stays in
flight until it is delivered or lost, a write is under way until it is persisted, and time advances only by command.
Each input to a node gives one `StepResult` with everything that the node did.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from raft_chaos.chaos.execution.player import Frame
from raft_chaos.chaos.execution.recording import Calls
from raft_chaos.chaos.execution.session import Session
from raft_chaos.chaos.execution.step_result import StepResult, result_of
from raft_chaos.chaos.execution.steps import (
    OUTSIDE,
    Call,
    Crash,
    ExecutionError,
    NodeStep,
    Persist,
    Start,
    Submit,
    Timeout,
    Transfer,
)
from raft_chaos.chaos.run.nodes.step import StepConfig
from raft_chaos.invariants.history import Consistency
from raft_chaos.raft.replica.command import Command, encode_command
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.state.configuration import Change
from raft_chaos.raft.state.messages import Append, Entry, HardState
from raft_chaos.raft.state.timing import Timing
from raft_chaos.raft.storage.disk import MemoryDisk
from raft_chaos.raft.storage.identity import Identity
from raft_chaos.raft.storage.wal import WriteAheadLog

MAX_STEPS = 10_000
"""More steps than any transcript needs. Nodes that do not settle without a timer are broken."""


class SessionPlace(NamedTuple):
    """The place of a command in its client's session (`raft.replica.machine`)."""

    client: str | None
    serial: int
    since: int

    def __str__(self) -> str:
        return f"{self.client}/{self.serial}" + (f"/{self.since}" if self.since else "")


class HandDrivenCluster(Session):
    """Nodes `names`, all up. `logs` gives the terms of the entries that a node has at the start.

    A command that cannot be done in the cluster's current state raises ExecutionError, which says why.
    """

    def __init__(
        self, names: Sequence[str], *, parts: Parts, timing: Timing, logs: Mapping[str, Sequence[int]], term: int
    ) -> None:
        cluster = StepConfig.of(names[0], names, 1, seed=0, timing=timing).cluster
        disks = {name: _disk(Identity(cluster, name), logs.get(name, ()), term) for name in names}
        super().__init__(names, (), timing=timing, parts=parts, disks=disks)
        for name in names:
            self.restart(name)

    # ---- one input ------------------------------------------------------------------------------------------------

    @property
    def now_us(self) -> int:
        return self.player.now_us

    def restart(self, name: str) -> StepResult:
        """Starts the next incarnation of a node that is down."""
        return self._step(Start(name, self.now_us), "starts")

    def crash(self, name: str, keep_permille: int) -> StepResult:
        """The node loses power. `keep_permille` thousandths of its unsynced bytes reach the disk."""
        unsynced = self.unsynced_bytes(name)
        kept = unsynced * keep_permille // 1000
        crashed = self._step(Crash(name, kept, self.now_us), "crashes")
        crashed.end = (
            f"{kept} of its {unsynced} unsynced bytes reached the disk" if unsynced else "all its bytes are synced"
        )
        return crashed

    def tick(self, name: str) -> StepResult:
        """Time advances to the node's deadline, unless that has passed, and the node's timer fires."""
        return self._step(Timeout(name, max(self.now_us, self._deadline_us(name))), "ticks")

    def propose(self, name: str, key: str, value: str, place: SessionPlace | None = None) -> StepResult:
        """A client submits `put key value` to the node, perhaps as a command of a session; the answer names them. What
        was submitted before is the same command again (§8)."""
        at = place or SessionPlace(None, 0, 0)
        call = f"{key}={value}" if place is None else f"{key}={value} as {place}"
        if call not in self.player.calls:
            self.add_call(
                Call(call, "", OUTSIDE, "put", key, session=at.client, serial=at.serial, value=value, since=at.since)
            )
        return self._step(Submit(name, call, self.now_us), f"is asked for {call}")

    def read(self, name: str, key: str, consistency: Consistency) -> StepResult:
        """A client reads the key at the node, without a log entry; the answer names the read."""
        call = f"{consistency} {key}"
        if call not in self.player.calls:
            self.add_call(Call(call, "", OUTSIDE, "get", key, session=None, serial=0, consistency=consistency))
        return self._step(Submit(name, call, self.now_us), f"is asked for {call}")

    def change(self, name: str, change: Change) -> StepResult:
        """A client asks the node for other members; the answer names the change."""
        call = str(change)
        if call not in self.player.calls:
            self.add_call(Calls.of_change(call, change))
        return self._step(Submit(name, call, self.now_us), f"is asked to {call}")

    def transfer(self, name: str, to: str | None) -> StepResult:
        """Somebody asks the node to hand over the leadership to another one, or to whom it chooses."""
        return self._step(Transfer(name, to, self.now_us), f"is asked to hand over to {to or 'whom it chooses'}")

    def persist(self, name: str) -> StepResult:
        """The write under way is durable."""
        return self._step(Persist(name, self.now_us), "persists")

    def deliver(self, frame: Frame) -> StepResult:
        """The frame arrives. If the node is down, the frame is lost."""
        if self.running(frame.to) is not None:
            return self._step(frame.arrival(self.now_us))
        self.network.take(frame)
        return StepResult(frame.to, self.now_us, received=frame, lost=[frame], end="is down")

    def names_by_deadline(self) -> list[str]:
        """The nodes that are up, in the order in which their timers are due."""
        up = [name for name in self.names if self.running(name) is not None]
        return sorted(up, key=lambda name: (self._deadline_us(name), name))

    # ---- many inputs ----------------------------------------------------------------------------------------------

    def stabilize(self, names: Sequence[str]) -> list[StepResult]:
        """Persists and delivers among these nodes until nothing is left to do. Time does not advance."""
        steps: list[StepResult] = []
        while True:
            before = len(steps)
            steps += [self.persist(name) for name in names if self.is_writing(name)]
            steps += [self.deliver(f) for f in list(self.network.frames) if f.sender in names and f.to in names]
            if len(steps) == before:
                return steps
            if len(steps) > MAX_STEPS:
                raise ExecutionError(f"the nodes did not settle within {MAX_STEPS} steps, although no timer fired")

    def advance(self, for_us: int) -> list[StepResult]:
        """Time advances. Timers fire when they are due, and nothing else happens."""
        return list(self._pass(for_us, None))

    def run(self, for_us: int, latency_us: int) -> list[StepResult]:
        """Time advances. Timers fire, each frame arrives after its latency, and each write is durable at once."""
        return list(self._pass(for_us, latency_us))

    def _pass(self, for_us: int, latency_us: int | None) -> Iterator[StepResult]:
        until_us = self.now_us + for_us
        for _ in range(MAX_STEPS):
            if latency_us is not None and self.player.writing:
                yield self.persist(next(iter(self.player.writing)))
                continue
            due = [
                (self._deadline_us(name), 1, place)
                for place, name in enumerate(self.names)
                if self.running(name) is not None
            ]
            if latency_us is not None:
                due += [(frame.sent_us + latency_us, 0, place) for place, frame in enumerate(self.network.frames)]
            at_us, timer, place = min(due, default=(until_us + 1, 0, 0))
            if at_us > until_us:
                self.player.now_us = until_us
                return
            self.player.now_us = max(self.now_us, at_us)
            yield self.tick(self.names[place]) if timer else self.deliver(self.network.frames[place])
        raise ExecutionError(f"more than {MAX_STEPS} steps; give a shorter time")

    # ---- the step -------------------------------------------------------------------------------------------------

    def _step(self, step: NodeStep, given: str = "") -> StepResult:
        if self.running(step.node) is None and not isinstance(step, Start):
            raise ExecutionError(f"{step.node} is down")
        if impossible := self.attempt(step):
            raise ExecutionError(impossible)
        number = len(self.player.execution.steps) - 1
        result = result_of(self.player, number, step, given, self.network.cut)
        if result.report is not None and result.report.replies:
            # A transcript does not show the numbers of its steps.
            named = [replace(reply, token=self.submitted(reply).id) for reply in result.report.replies]
            result.report = replace(result.report, replies=named)
        return result

    def _deadline_us(self, name: str) -> int:
        return self.player.nodes[name].deadline_us


def _disk(identity: Identity, terms: Sequence[int], term: int) -> MemoryDisk:
    """A disk with a log of entries of these terms. An entry's command contains its term and index, so entries are equal
    exactly if both are."""
    disk = MemoryDisk()
    wal = WriteAheadLog(disk)
    wal.recover(identity)
    current_term = max([term, *terms])
    if current_term:
        entries = [Entry(t, encode_command(Command("put", "x", f"{t}.{index}"))) for index, t in enumerate(terms, 1)]
        wal.append([HardState(current_term, None), *(Append(i, entry) for i, entry in enumerate(entries, 1))])
        wal.sync()
    return disk
