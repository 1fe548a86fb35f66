"""Replays a node up to the turn in which it reported a violation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast, get_args

from raft_chaos.chaos.replay.confirm import undamaged
from raft_chaos.chaos.replay.incarnation import Incarnation, ReplayedTurn
from raft_chaos.chaos.replay.node import recorded_incarnations
from raft_chaos.chaos.replay.result import Difference, ReplayError
from raft_chaos.invariants.events import NodeEvent, NodeExited, encode
from raft_chaos.invariants.rundir import RunDir
from raft_chaos.invariants.verdict import Violation
from raft_chaos.raft.server.parts import Parts

NODE_EVENTS: tuple[type, ...] = get_args(NodeEvent)


@dataclass(frozen=True)
class Reported:
    """A violation, and the last event of a node in its witness. `event` is None if that event is the node's exit."""

    violation: Violation
    node: str
    incarnation: int
    event: NodeEvent | None


@dataclass(frozen=True)
class Reached:
    """The turn that reported the violation. `incarnation` holds the node in its state after that turn."""

    turn: ReplayedTurn
    incarnation: Incarnation


def violations(run: RunDir) -> list[Violation]:
    """All violations in the saved events and operations, the earliest first.

    Raises DamagedError, RunDirError, ScheduleError.
    """
    found = [violation for verdict in undamaged(run) for violation in verdict.violations]
    return sorted(found, key=lambda one: max((item.t_us for item in one.witness), default=0))


def first_reported(found: list[Violation]) -> Reported | None:
    """The first violation that a node's event shows; None if only clients saw violations."""
    return next((reported for violation in found for reported in _reported(violation)), None)


def _reported(violation: Violation) -> Iterator[Reported]:
    """The nodes' events in its witness, last first."""
    for item in reversed(violation.witness):
        if isinstance(item, NodeExited):
            yield Reported(violation, item.subject, item.subject_inc, None)
        elif isinstance(item, NODE_EVENTS):
            event = cast(NodeEvent, item)
            yield Reported(violation, event.node, event.inc, event)


def replay_until(run: RunDir, reported: Reported, parts: Parts) -> Reached | Difference:
    """Replays the node up to that turn, or up to the first turn that differs from the recording. Raises ReplayError."""
    name = f"{reported.node}, incarnation {reported.incarnation}"
    recorded = {one.incarnation: one for one in recorded_incarnations(run, reported.node)}.get(reported.incarnation)
    if recorded is None:
        raise ReplayError(f"{run.node_journal(reported.node, reported.incarnation)}: missing")
    line = encode(reported.event) if reported.event is not None else None
    incarnation = Incarnation(recorded, parts)
    last: ReplayedTurn | None = None
    for turn in incarnation.turns():
        last = turn
        if line in turn.lines:
            return Reached(turn, incarnation)
    if incarnation.difference is not None:
        return incarnation.difference
    if last is None or line is not None:
        raise ReplayError(f"{name} does not report that in any turn of its journal")
    return Reached(last, incarnation)
