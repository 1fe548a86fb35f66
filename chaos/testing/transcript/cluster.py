"""A hand-driven cluster in virtual time, on which transcripts run.

The nodes are those of every other run (`SteppedNode`: core, records, recovery, over disks in memory). Nothing happens
by itself. A frame stays in flight until it is delivered or dropped, a write is under way until it is persisted, and
time advances only by command. Each input to a node gives one `StepResult` with everything that the node did.

The judge observes every event. A node that dies of its own error is reported to it, as in any run.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from typing import Any

from raft_chaos.chaos.execution.format import Frame, StepResult
from raft_chaos.chaos.run.nodes.driver import exit_status
from raft_chaos.chaos.run.nodes.stepped_node import StepConfig, SteppedNode, StepReport
from raft_chaos.invariants.events import HARNESS, Event, NodeExited, NodeKilled, NodeLaunched
from raft_chaos.invariants.judge import Judge
from raft_chaos.raft.replica.machine import Command, encode_command
from raft_chaos.raft.server.node import Parts
from raft_chaos.raft.state.messages import Append, Entry, HardState
from raft_chaos.raft.state.timing import Timing
from raft_chaos.raft.storage.disk import Disk, MemoryDisk
from raft_chaos.raft.storage.wal import FILE, Identity, WriteAheadLog, decode_records

# The server logs a line when it cuts a torn tail. Here the step reports it instead.
logging.getLogger("raft").addHandler(logging.NullHandler())

CLUSTER = "transcript"
MAX_STEPS = 10_000
"""More steps than any transcript needs. Nodes that do not settle without a timer are broken."""


class NotPossibleError(Exception):
    """The command cannot be done in the cluster's current state. The message says why."""


class HandDrivenCluster:
    """Nodes `names`, all up. `logs` gives the terms of the entries that a node has at the start."""

    def __init__(
        self, names: Sequence[str], *, parts: Parts, timing: Timing, logs: Mapping[str, Sequence[int]], term: int
    ) -> None:
        self.names = list(names)
        self.now_us = 0
        self.frames: list[Frame] = []
        self.cut: set[tuple[str, str]] = set()  # asked for membership only
        self.judge = Judge()
        self.nodes: dict[str, SteppedNode] = {}  # the nodes that are up
        self.under_way: dict[str, int] = {}  # by node: the record number of the write that is not durable yet
        self._parts = parts
        self._timing = timing
        self._deadlines: dict[str, int] = {}
        self._incarnations = dict.fromkeys(names, 0)
        self._disks = {name: _disk(name, logs.get(name, ()), term) for name in names}
        for name in names:
            self.restart(name)

    # ---- one input ------------------------------------------------------------------------------------------------

    def restart(self, name: str) -> StepResult:
        """Starts the next incarnation of a node that is down."""
        if name in self.nodes:
            raise NotPossibleError(f"{name} is up")
        self._incarnations[name] += 1
        config = StepConfig.of(name, self.names, self._incarnations[name], seed=0, timing=self._timing, cluster=CLUSTER)

        def start() -> StepReport:
            self.nodes[name] = SteppedNode(config, self._parts, self._disks[name], self.now_us)
            return self.nodes[name].first

        self._observe([NodeLaunched(**self._subject(name))])
        return self._step(StepResult(name, self.now_us, "starts"), start)

    def crash(self, name: str, keep_permille: int) -> StepResult:
        """The node loses power. `keep_permille` thousandths of its unsynced bytes reach the disk."""
        kept, lost = self._up(name).crash(keep_permille)
        self._down(name)
        self._observe([NodeKilled(**self._subject(name))])
        end = (
            f"{kept} of its {kept + lost} unsynced bytes reached the disk"
            if kept + lost
            else "all its bytes are synced"
        )
        return StepResult(name, self.now_us, "crashes", end=end)

    def tick(self, name: str) -> StepResult:
        """Time advances to the node's deadline, unless that has passed, and the node's timer fires."""
        node = self._up(name)
        self.now_us = max(self.now_us, self._deadlines[name])
        return self._step(StepResult(name, self.now_us, "ticks"), lambda: node.tick(self.now_us, None))

    def propose(self, name: str, key: str, value: str) -> StepResult:
        """A client submits `put key value` to the node; the answer names key and value."""
        node, token = self._up(name), f"{key}={value}"
        command = encode_command(Command("put", key, value))
        step = StepResult(name, self.now_us, f"is asked for {token}")
        return self._step(step, lambda: node.submit(token, command, self.now_us, None))

    def persist(self, name: str) -> StepResult:
        """The write under way is durable."""
        node = self._up(name)
        if name not in self.under_way:
            raise NotPossibleError(f"{name} has no write under way")
        lsn = self.under_way.pop(name)
        return self._step(StepResult(name, self.now_us, "persists"), lambda: node.persisted(lsn, self.now_us, None))

    def deliver(self, frame: Frame) -> StepResult:
        """The frame arrives. If the node is down, the frame is lost."""
        self._take(frame)
        step = StepResult(frame.to, self.now_us, received=frame)
        node = self.nodes.get(frame.to)
        if node is None:
            step.lost, step.end = [frame], "is down"
            return step
        sender, inc, number, message = frame.sender, frame.sender_inc, frame.number, frame.message
        return self._step(step, lambda: node.receive(sender, inc, number, message, self.now_us, None))

    def names_by_deadline(self) -> list[str]:
        """The nodes that are up, in the order in which their timers are due."""
        return sorted(self.nodes, key=lambda name: (self._deadlines[name], name))

    # ---- the network ----------------------------------------------------------------------------------------------

    def on_link(self, link: tuple[str, str]) -> list[Frame]:
        """The frames in flight on the link, oldest first."""
        return [frame for frame in self.frames if frame.link == link]

    def drop(self, frame: Frame) -> None:
        """The frame is lost."""
        self._take(frame)

    def duplicate(self, frame: Frame) -> None:
        """The network duplicates the frame. The copy comes after all other frames."""
        self.frames.append(copy(frame))

    def delay(self, frame: Frame) -> None:
        """All other frames overtake this one."""
        self._take(frame)
        self.frames.append(frame)

    def cut_links(self, links: Iterable[tuple[str, str]]) -> list[Frame]:
        """Cuts these links until `heal`. Returns the frames in flight on them, which are lost."""
        self.cut.update(links)
        lost = [frame for frame in self.frames if frame.link in self.cut]
        self.frames = [frame for frame in self.frames if frame.link not in self.cut]
        return lost

    def heal(self) -> None:
        self.cut.clear()

    # ---- many inputs ----------------------------------------------------------------------------------------------

    def stabilize(self, names: Sequence[str]) -> list[StepResult]:
        """Persists and delivers among these nodes until nothing is left to do. Time does not advance."""
        steps: list[StepResult] = []
        while True:
            before = len(steps)
            steps += [self.persist(name) for name in names if name in self.under_way]
            steps += [self.deliver(f) for f in list(self.frames) if f.sender in names and f.to in names]
            if len(steps) == before:
                return steps
            if len(steps) > MAX_STEPS:
                raise NotPossibleError(f"the nodes did not settle within {MAX_STEPS} steps, although no timer fired")

    def advance(self, for_us: int) -> list[StepResult]:
        """Time advances. Timers fire when they are due, and nothing else happens."""
        return list(self._pass(for_us, None))

    def run(self, for_us: int, latency_us: int) -> list[StepResult]:
        """Time advances. Timers fire, each frame arrives after its latency, and each write is durable at once."""
        return list(self._pass(for_us, latency_us))

    def _pass(self, for_us: int, latency_us: int | None) -> Iterator[StepResult]:
        until_us = self.now_us + for_us
        for _ in range(MAX_STEPS):
            if latency_us is not None and self.under_way:
                yield self.persist(next(iter(self.under_way)))
                continue
            due = [(self._deadlines[name], 1, place) for place, name in enumerate(self.names) if name in self.nodes]
            if latency_us is not None:
                due += [(frame.sent_us + latency_us, 0, place) for place, frame in enumerate(self.frames)]
            at_us, timer, place = min(due, default=(until_us + 1, 0, 0))
            if at_us > until_us:
                self.now_us = until_us
                return
            self.now_us = max(self.now_us, at_us)
            yield self.tick(self.names[place]) if timer else self.deliver(self.frames[place])
        raise NotPossibleError(f"more than {MAX_STEPS} steps; give a shorter time")

    # ---- the step -------------------------------------------------------------------------------------------------

    def _step(self, step: StepResult, move: Callable[[], StepReport]) -> StepResult:
        name = step.node
        try:
            report = move()
        except Exception as error:
            self._down(name)
            code, said = exit_status(error)
            self._observe([NodeExited(**self._subject(name), exit_code=code, log_tail=said)])
            step.end = f"ends by itself with exit code {code}: {said}"
            return step
        self._observe(report.events)
        self._deadlines[name] = report.deadline_us
        if report.write_lsn:
            self.under_way[name] = report.write_lsn
            # One write is under way at a time, so it is the last record of the file.
            step.written = decode_records(self.nodes[name].disk.read(FILE))[0][-1]
        for to, number, message in report.sends:
            frame = Frame(name, self._incarnations[name], number, to, message, self.now_us)
            (step.lost if frame.link in self.cut else step.sent).append(frame)
        self.frames += step.sent
        step.report = report
        return step

    def _up(self, name: str) -> SteppedNode:
        if name not in self.nodes:
            raise NotPossibleError(f"{name} is down")
        return self.nodes[name]

    def _down(self, name: str) -> None:
        self.nodes.pop(name, None)
        self.under_way.pop(name, None)

    def _take(self, frame: Frame) -> None:
        # By identity: a copy is another frame, and equal.
        self.frames = [other for other in self.frames if other is not frame]

    def _observe(self, events: Iterable[Event]) -> None:
        for event in events:
            self.judge.observe(event)

    def _subject(self, name: str) -> dict[str, Any]:
        return {
            "node": HARNESS,
            "inc": 1,
            "t_us": self.now_us,
            "subject": name,
            "subject_inc": self._incarnations[name],
        }


def _disk(name: str, terms: Sequence[int], term: int) -> Disk:
    """A disk with a log of entries of these terms. An entry's command contains its term and index, so entries are equal
    exactly if both are."""
    disk = MemoryDisk()
    wal = WriteAheadLog(disk)
    wal.recover(Identity(CLUSTER, name))
    current_term = max([term, *terms])
    if current_term:
        entries = [Entry(t, encode_command(Command("put", "x", f"{t}.{index}"))) for index, t in enumerate(terms, 1)]
        wal.append([HardState(current_term, None), *(Append(i, entry) for i, entry in enumerate(entries, 1))])
        wal.sync()
    return disk
