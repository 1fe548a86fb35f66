"""A run of another process, followed from its files while it goes on: what its controller's own live view shows.

    follower = Follower(RunDir(...), info)
    follower.read()                 takes what the files have got since the last call, and no byte twice
    follower.status()               the run now
    follower.seen                   the events and the operations that a picture of it needs

It judges, too: a verdict is in run.json only when the run has ended. The directory may be anybody's, so it follows no
symbolic link, reads regular files only, and stops at the first line that is none of a run: `trouble` then says so.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from raft_chaos.chaos.faults.crash_loop import MOST_KILLS
from raft_chaos.chaos.run.client_records import History
from raft_chaos.chaos.run.cluster_view import ClusterView
from raft_chaos.chaos.run.live.progress import NodeLine, RunStatus
from raft_chaos.chaos.run.live.tail import Tail
from raft_chaos.invariants import events, history
from raft_chaos.invariants.events import (
    MALFORMED,
    AnyEvent,
    CommitAdvanced,
    FaultHealed,
    FaultInjected,
    LeaderObserved,
    NodeExited,
    NodeKilled,
    NodeLaunched,
    NodePaused,
    NodeResumed,
    NodeSampled,
    PhaseStarted,
    RoleChanged,
    RunEnded,
    Started,
)
from raft_chaos.invariants.history import Op
from raft_chaos.invariants.judge import Judge
from raft_chaos.invariants.regular_file import open_regular
from raft_chaos.invariants.rundir import RunDir, RunInfo
from raft_chaos.invariants.verdict import Violation

BATCH_BYTES = 1 << 20
"""About as much of one file is taken at a time."""
MOST_LINE_BYTES = 16 << 20
MOST_INCARNATIONS = 10_000
MOST_OPS = 400_000
COMMITS_EVERY_US = 100_000
"""The resolution of the commit indexes that are kept for the picture."""
ENDED = "judgement"
"""The phase after the last one: the controller judges."""


@dataclass
class Seen:
    """Of what was read, that which a picture of the run needs. `forgotten`: the oldest operations, of very many."""

    streams: dict[str, list[AnyEvent]] = field(default_factory=dict)
    harness: list[AnyEvent] = field(default_factory=list)
    ops: list[Op] = field(default_factory=list)
    forgotten: int = 0
    last_us: int = 0

    def take(self, event: AnyEvent) -> None:
        """An event of a node. Elections are rare, and commits are thinned out."""
        if not isinstance(event, Started | RoleChanged | CommitAdvanced):
            return
        stream = self.streams.setdefault(event.node, [])
        before = stream[-1] if stream else None
        if (
            isinstance(event, CommitAdvanced)
            and isinstance(before, CommitAdvanced)
            and before.t_us // COMMITS_EVERY_US == event.t_us // COMMITS_EVERY_US
        ):
            stream[-1] = event
        else:
            stream.append(event)

    def take_op(self, op: Op) -> None:
        self.ops.append(op)
        if len(self.ops) > MOST_OPS:
            self.forgotten += MOST_OPS // 2
            del self.ops[: MOST_OPS // 2]


@dataclass
class _Node:
    """A node as the harness reports it, and the files of its incarnations that are open."""

    state: str = "down"
    incarnation: int = 0
    tails: list[Tail[AnyEvent]] = field(default_factory=list)


class Follower:
    """One run. Not safe for several threads at once."""

    def __init__(self, run: RunDir, info: RunInfo) -> None:
        self.run = run
        self.info = info
        self.seen = Seen()
        self.trouble = ""
        self._nodes = {node: _Node() for node in info.nodes}
        if any(node in ("", ".", "..") or "/" in node or "\0" in node for node in info.nodes):
            self.trouble = "run.json names nodes whose files would be elsewhere"
        self._view = ClusterView(info.nodes, lambda event, number, reporter: None)
        self._judge = Judge(voters=info.nodes, events_expected=info.reports_events, can=info.can, pace=info.pace)
        self._history = History(self._operation)
        self._harness_file = Tail(run.harness, events.decode, follow=False)
        self._history_file = Tail(run.history, history.decode, follow=False)
        self._phase = "start"
        self._zero_us = 0
        self._planned_us = _planned_us(run.schedule)
        self._faults: dict[str, str] = {}
        self._events = 0
        self._violations: list[Violation] = []

    # ---- reading --------------------------------------------------------------------------------------------------

    def read(self) -> bool:
        """Takes what is new, or of very much the beginning; whether it took anything."""
        if self.trouble:
            return False
        before = self._events + len(self.seen.harness) + len(self.seen.ops)
        try:
            for name, node in self._nodes.items():
                self._read_node(name, node)
            for event in self._harness_file.read(BATCH_BYTES):
                self._harness(event)
            for op in self._history_file.read(BATCH_BYTES):
                self.seen.last_us = max(self.seen.last_us, op.t_us)
                self._history.write(op)
            for tail in self._tails():
                if tail.unfinished_bytes > MOST_LINE_BYTES:
                    raise OSError(0, "a line has no end")
        except (OSError, *MALFORMED) as error:
            self.trouble = f"{self.run.path.name} cannot be followed: {getattr(error, 'strerror', None) or error}"
        self._violations += self._judge.new_violations()
        return self._events + len(self.seen.harness) + len(self.seen.ops) != before

    def _read_node(self, name: str, node: _Node) -> None:
        """Each incarnation has a file of its own; the ones before the last have no more to come."""
        folder = self.run.node(name)
        if folder.is_symlink() or folder.parent.is_symlink():
            raise OSError(0, f"{folder.name} is a symbolic link")
        while node.incarnation < MOST_INCARNATIONS:
            # One that was killed in its start left no file.
            numbers = range(node.incarnation + 1, node.incarnation + 2 + MOST_KILLS)
            files = ((number, self.run.node_events(name, number)) for number in numbers)
            there = next(((number, file) for number, file in files if os.path.lexists(file)), None)
            if there is None:
                break
            node.incarnation, following = there
            node.tails.append(Tail(following, events.decode, follow=False))
        while node.tails:
            taken = node.tails[0].read(BATCH_BYTES)
            for event in taken:
                self._event(name, event)
            if taken or len(node.tails) == 1:
                break
            node.tails.pop(0).close()

    def _tails(self) -> Iterator[Tail[AnyEvent] | Tail[Op]]:
        yield from (tail for node in self._nodes.values() for tail in node.tails)
        yield self._harness_file
        yield self._history_file

    def close(self) -> None:
        for tail in self._tails():
            tail.close()

    # ---- what was read --------------------------------------------------------------------------------------------

    def _event(self, name: str, event: AnyEvent) -> None:
        if event.node != name:
            raise OSError(0, f"an event of {event.node} in a file of {name}")
        self._events += 1
        self.seen.last_us = max(self.seen.last_us, event.t_us)
        self.seen.take(event)
        self._judge.observe(event)
        if isinstance(event, Started):
            self._view.up(name)
        self._view.observe(event)

    def _operation(self, op: Op) -> None:
        self.seen.take_op(op)
        self._judge.observe_op(op)

    def _harness(self, event: AnyEvent) -> None:
        self.seen.last_us = max(self.seen.last_us, event.t_us)
        if not isinstance(event, NodeSampled):
            self.seen.harness.append(event)
        if isinstance(event, RunEnded):
            self._phase = ENDED  # the judge need not know: the nodes' last lines may be still to come
            return
        self._judge.observe(event)
        match event:
            case PhaseStarted(phase=phase):
                self._zero_us = self._zero_us or event.t_us
                self._phase = phase
            case FaultInjected(fault=fault, detail=detail, type=kind):
                self._faults[fault] = detail or kind
            case FaultHealed(fault=fault):
                self._faults.pop(fault, None)
            case NodeLaunched() | NodeResumed():
                self._state(event, "up")
            case NodePaused():
                self._state(event, "paused")
            case NodeKilled():
                self._state(event, "down")
            case NodeExited():
                self._state(event, "exited")
            case LeaderObserved(subject=subject, term=term) if subject in self._nodes:
                for name, view in self._view.nodes.items():
                    if view.role == "leader":
                        self._view.status(name, None, view.term)
                self._view.status(subject, "leader", term)

    def _state(self, event: NodeLaunched | NodeResumed | NodePaused | NodeKilled | NodeExited, state: str) -> None:
        node = self._nodes.get(event.subject)
        if node is None or event.subject_inc < node.incarnation:
            return  # its next incarnation has a file already
        node.state, node.incarnation = state, max(node.incarnation, event.subject_inc if not node.tails else 0)
        if state in ("down", "exited"):
            self._view.gone(event.subject)
        elif state == "up":
            self._view.up(event.subject)

    # ---- the run now ----------------------------------------------------------------------------------------------

    def status(self) -> RunStatus:
        elapsed_us = self.seen.last_us - self._zero_us if self._zero_us else 0
        lines = [
            NodeLine(
                name=name,
                state=node.state,
                role=view.role or "",
                incarnation=node.incarnation,
                term=view.term,
                commit_index=view.commit_index,
                applied_index=view.applied_index,
            )
            for (name, node), view in zip(self._nodes.items(), self._view.nodes.values(), strict=True)
        ]
        return RunStatus(
            seed=self.info.seed,
            phase=self._phase,
            elapsed_s=elapsed_us / 1e6,
            left_s=max(0, self._planned_us - elapsed_us) / 1e6,
            nodes=lines,
            faults=list(self._faults.values()),
            ops={**{str(kind): n for kind, n in self._history.counts.items()}, "elsewhere": self._history.elsewhere},
            events=self._events,
            violations=list(self._violations),
        )


class _Length(msgspec.Struct):
    """The fields of a schedule's first line that say how long the run is to take."""

    safety_until_us: int = 0
    liveness_for_us: int = 0


def _planned_us(schedule: Path) -> int:
    """How long a run is to take; 0 if its schedule does not say."""
    try:
        with os.fdopen(open_regular(schedule, follow=False), "rb") as file:
            length = msgspec.json.decode(file.readline(BATCH_BYTES), type=_Length)
    except (OSError, *MALFORMED):
        return 0
    return length.safety_until_us + length.liveness_for_us
