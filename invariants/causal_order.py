"""Puts causes before their effects, for events that several processes recorded.

Times alone do not give this order: a process reads the clock a few microseconds before or after an event happens, and
the harness records a fault after its kills. So this module corrects a trace that was merged by time, with these rules:

- The lines of a node, or of a client, stay in the order in which it wrote them, one incarnation after the other.
- A message is sent before it is received.
- A fault is injected before its kills and pauses.
- A node is killed, or ends by itself, after its last line and before the next incarnation's first one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TypeAlias

from raft_chaos.invariants.events import (
    HARNESS,
    AnyEvent,
    FaultInjected,
    MessageReceived,
    MessageSent,
    NodeExited,
    NodeKilled,
    NodeLaunched,
    NodePaused,
    NodeResumed,
)
from raft_chaos.invariants.history import Op

MessageId: TypeAlias = tuple[str, int, int]


def message_id(event: MessageSent | MessageReceived) -> MessageId:
    """(sender, its incarnation, number)."""
    if isinstance(event, MessageSent):
        return event.node, event.inc, event.number
    return event.sender, event.sender_inc, event.number


def reporter(event: AnyEvent | Op) -> str:
    """The node, the harness or the client that wrote the line."""
    return event.client if isinstance(event, Op) else event.node


def causal_order(events: Sequence[AnyEvent | Op]) -> list[int]:
    """The places of the events, each event after its causes and otherwise in the given order.

    A cause that comes too late moves to just before its first effect. If files contradict themselves (two events, each
    the cause of the other), all events are kept and one of the two constraints is dropped.
    """
    causes: dict[int, list[int]] = {}
    for cause, effect in _constraints(events):
        causes.setdefault(effect, []).append(cause)
    order: list[int] = []
    begun: set[int] = set()  # asked for membership only
    for place in range(len(events)):
        path = [] if place in begun else [place]
        while path:
            begun.add(path[-1])
            missing = next((cause for cause in causes.get(path[-1], ()) if cause not in begun), None)
            if missing is None:
                order.append(path.pop())
            else:
                path.append(missing)
    return order


def _constraints(events: Sequence[AnyEvent | Op]) -> Iterator[tuple[int, int]]:
    """Pairs of places: a cause and its effect."""
    lines: defaultdict[str, list[int]] = defaultdict(list)
    first: dict[tuple[str, int], int] = {}  # of an incarnation
    last: dict[tuple[str, int], int] = {}
    sent: dict[MessageId, int] = {}
    for place, event in enumerate(events):
        lines[reporter(event)].append(place)
        if isinstance(event, Op):
            continue
        first.setdefault((event.node, event.inc), place)
        last[event.node, event.inc] = place
        if isinstance(event, MessageSent):
            sent[message_id(event)] = place
    lines[HARNESS] = _as_done(events, lines[HARNESS])
    for own in lines.values():
        yield from pairwise(own)
    for place, event in enumerate(events):
        match event:
            case MessageReceived() if message_id(event) in sent:
                yield sent[message_id(event)], place
            case NodeKilled() | NodeExited():
                incarnation, next_one = (event.subject, event.subject_inc), (event.subject, event.subject_inc + 1)
                if incarnation in last:
                    yield last[incarnation], place
                if next_one in first:
                    yield place, first[next_one]


def _as_done(events: Sequence[AnyEvent | Op], lines: Sequence[int]) -> list[int]:
    """The harness's lines in the order of its actions: each injection before the kills and pauses that are part of it.

    These were recorded before the injection, and the node was not started or resumed in between.
    """
    done: list[int] = []
    unexplained: dict[tuple[str, str], int] = {}  # the kind of fault that may have done it, and the node
    for place in lines:
        effects: list[int] = []
        match events[place]:
            case NodeKilled() as event:
                unexplained["kill", event.subject] = place
            case NodePaused() as event:
                unexplained["pause", event.subject] = place
            case NodeLaunched() | NodeResumed() as event:
                unexplained.pop(("kill", event.subject), None)
                unexplained.pop(("pause", event.subject), None)
            case FaultInjected() as event:
                keys = [(event.type, target) for target in event.targets]
                effects = [unexplained.pop(key) for key in keys if key in unexplained]
        done.insert(min(map(done.index, effects), default=len(done)), place)
    return done
