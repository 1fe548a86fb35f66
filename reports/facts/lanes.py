"""The nodes over time: who followed, stood, led, was down or paused, and when. One lane for each node.

A node that reports events says its role and term itself. Of another the harness knows only when it ran, and when it
said that it leads. Lanes are bounded, however long the run is: short spans that do not fit are merged.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Literal, TypeAlias

import msgspec

from raft_chaos.invariants.events import (
    AnyEvent,
    LeaderObserved,
    NodeExited,
    NodeKilled,
    NodeLaunched,
    NodePaused,
    NodeResumed,
    RoleChanged,
    Started,
)

State: TypeAlias = Literal["follower", "candidate", "leader", "up", "down", "paused"]

MOST_SPANS = 300
"""The most spans of one lane."""

_SHOWN_FIRST: tuple[State, ...] = ("leader", "candidate", "down", "paused", "follower", "up")
"""The state of merged spans is the first of these that one of them has."""


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """A node in one state, from `begin_us` to `end_us`. `term` is None where it is not known. `merged` counts the spans
    that this one stands for, if it stands for several."""

    state: State
    begin_us: int
    end_us: int
    term: int | None = None
    merged: int = 1


class Lane(msgspec.Struct, frozen=True, kw_only=True):
    """One node. Its spans follow each other without gaps, except those in `paused`, which lie over them."""

    node: str
    spans: list[Span]
    paused: list[Span]


def lanes(
    nodes: Sequence[str], streams: Sequence[Sequence[AnyEvent]], harness: Sequence[AnyEvent], end_us: int
) -> list[Lane]:
    """The lanes in the order of `nodes`, up to `end_us`."""
    of_node = {stream[0].node: stream for stream in streams if stream}
    names = dict.fromkeys([*nodes, *of_node])
    return [_lane(node, of_node.get(node, ()), harness, end_us) for node in names]


def _lane(node: str, stream: Sequence[AnyEvent], harness: Sequence[AnyEvent], end_us: int) -> Lane:
    own = [event for event in harness if getattr(event, "subject", "") == node]
    spans = list(_spans(_changes(stream, own, harness, node), end_us))
    return Lane(node=node, spans=bounded(spans, MOST_SPANS), paused=bounded(list(_pauses(own, end_us)), MOST_SPANS))


class _Change(msgspec.Struct, frozen=True):
    t_us: int
    state: State
    term: int | None


def _changes(
    stream: Sequence[AnyEvent], own: Sequence[AnyEvent], harness: Sequence[AnyEvent], node: str
) -> list[_Change]:
    """The changes of a node's state, in order of their times."""
    ended = {(e.subject_inc): e.t_us for e in own if isinstance(e, NodeKilled | NodeExited)}
    changes = [_Change(t_us, "down", None) for t_us in ended.values()]
    for event in stream:
        if isinstance(event, Started):
            changes.append(_Change(event.t_us, "follower", event.term))
        elif isinstance(event, RoleChanged) and event.t_us <= ended.get(event.inc, event.t_us):
            changes.append(_Change(event.t_us, event.role, event.term))
    if not stream:
        changes += [_Change(e.t_us, "up", None) for e in own if isinstance(e, NodeLaunched)]
        changes += _observed(harness, node)
    # At one time, an end comes before the next beginning.
    return sorted(changes, key=lambda change: (change.t_us, change.state != "down"))


def _observed(harness: Sequence[AnyEvent], node: str) -> Iterator[_Change]:
    """A node leads from when it was seen to lead until another one was."""
    leads = False
    for event in sorted((e for e in harness if isinstance(e, LeaderObserved)), key=attrgetter("t_us")):
        if event.subject == node:
            yield _Change(event.t_us, "leader", event.term or None)
        elif leads:
            yield _Change(event.t_us, "up", None)
        leads = event.subject == node


def _spans(changes: Sequence[_Change], end_us: int) -> Iterator[Span]:
    """From each change to the next one; changes that change nothing that is shown are left out."""
    now: _Change | None = None
    for change in changes:
        if now is not None and (now.state, now.term) == (change.state, change.term):
            continue
        if now is not None and now.state == "down" and change.state == "up" and change.t_us == now.t_us:
            continue
        if now is not None and change.t_us > now.t_us:
            yield Span(state=now.state, begin_us=now.t_us, end_us=change.t_us, term=now.term)
        now = change
    if now is not None and end_us > now.t_us:
        yield Span(state=now.state, begin_us=now.t_us, end_us=end_us, term=now.term)


def _pauses(own: Sequence[AnyEvent], end_us: int) -> Iterator[Span]:
    since_us: int | None = None
    for event in own:
        if isinstance(event, NodePaused) and since_us is None:
            since_us = event.t_us
        elif isinstance(event, NodeResumed | NodeKilled | NodeExited) and since_us is not None:
            yield Span(state="paused", begin_us=since_us, end_us=event.t_us)
            since_us = None
    if since_us is not None and end_us > since_us:
        yield Span(state="paused", begin_us=since_us, end_us=end_us)


def bounded(spans: list[Span], most: int) -> list[Span]:
    """The spans, or fewer of them: neighbours are merged where they are shortest, until at most `most` are left."""
    shortest_us = 1
    while len(spans) > most:
        spans = _merged(spans, shortest_us)
        shortest_us *= 2
    return spans


def _merged(spans: Sequence[Span], shortest_us: int) -> list[Span]:
    """Each run of spans that are shorter than `shortest_us` becomes spans of about that length."""
    merged: list[Span] = []
    for span in spans:
        last = merged[-1] if merged else None
        if last is not None and max(_length_us(last), _length_us(span)) < shortest_us:
            merged[-1] = _joined(last, span)
        else:
            merged.append(span)
    return merged


def _joined(left: Span, right: Span) -> Span:
    shown = min(left, right, key=lambda span: _SHOWN_FIRST.index(span.state))
    return msgspec.structs.replace(
        shown, begin_us=left.begin_us, end_us=right.end_us, merged=left.merged + right.merged
    )


def _length_us(span: Span) -> int:
    return span.end_us - span.begin_us
