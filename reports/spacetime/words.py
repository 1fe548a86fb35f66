"""A turn in words: what came in, what changed, what went out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from raft_chaos.invariants.events import (
    HARNESS,
    CommitAdvanced,
    EntryAppended,
    EntryApplied,
    LogTruncated,
    MessageReceived,
    MessageSent,
    NodeExited,
    NodeKilled,
    NodeLaunched,
    NodePaused,
    NodeResumed,
    RoleChanged,
    SnapshotInstalled,
    Started,
    VoteGranted,
)
from raft_chaos.invariants.history import Op
from raft_chaos.reports.event_lines import what
from raft_chaos.reports.spacetime.diagram import Mark
from raft_chaos.reports.story.happens_before import Item
from raft_chaos.reports.text import visible


def phrases(items: Sequence[Item]) -> list[str]:
    """What happened in a turn, in its order; entries in a row, and the receivers of a message, make one phrase."""
    return [visible(phrase) for phrase in _phrases(items)]


def headline(items: Sequence[Item]) -> str:
    """The same on one line: what changed, then what came in. What went out is only named if there is nothing else."""
    came = [item for item in items if isinstance(item, MessageReceived)]
    went = [item for item in items if isinstance(item, MessageSent)]
    voted = any(isinstance(item, VoteGranted) for item in items)
    stood = any(isinstance(item, RoleChanged) and item.role == "candidate" for item in items)
    changed = [
        item
        for item in items
        if not isinstance(item, MessageReceived | MessageSent)
        and not (voted and isinstance(item, RoleChanged) and item.role == "follower")
        and not (isinstance(item, EntryApplied) and len(items) > 2)
        and not (stood and isinstance(item, VoteGranted) and item.candidate == item.node)
    ]
    said = "; ".join(phrases(changed))
    arrived = ", ".join(phrases(came))
    if said and arrived:
        return f"{said}  ← {arrived}"
    return said or "; ".join([*([arrived] if arrived else []), *phrases(went)]) or "; ".join(phrases(items))


def _phrases(items: Sequence[Item]) -> Iterator[str]:
    recovered = next((item.last_index for item in items if isinstance(item, Started)), 0)
    left = [item for item in items if not (isinstance(item, EntryAppended) and item.index <= recovered)]
    for kind, group in groupby(left, key=_alike):
        row = list(group)
        match row[0]:
            case MessageReceived() as event:
                yield f"{event.type} from {event.sender}"
            case MessageSent() as event:
                to = ", ".join(one.to for one in row if isinstance(one, MessageSent))
                yield f"sends {event.type} to {to}"
            case EntryAppended() | EntryApplied():
                span = [one for one in row if isinstance(one, EntryAppended | EntryApplied)]
                yield f"{'appended' if kind[0] is EntryAppended else 'applied'} {_span(span)}"
            case CommitAdvanced():
                last = row[-1]
                assert isinstance(last, CommitAdvanced)
                yield f"committed up to {last.index}"
            case RoleChanged() as event:
                leader = f", leader {event.leader}" if event.leader not in (None, event.node) else ""
                yield f"{event.role} in term {event.term}{leader}"
            case Started() as event:
                vote = f"vote for {event.voted_for}" if event.voted_for is not None else "no vote"
                log = f"log up to {event.last_index}" if event.last_index else "empty log"
                yield f"started in term {event.term}, {vote}, {log}"
            case Op() as op:
                yield f"{op.client}: {what(op)}"
            case event:
                yield from (what(one) for one in row)


def _alike(item: Item) -> tuple[object, ...]:
    match item:
        case MessageSent():
            return MessageSent, item.type
        case MessageReceived():
            return MessageReceived, item.sender, item.sender_inc, item.number
        case RoleChanged():
            return RoleChanged, item.role, item.term, item.leader
        case _:
            return (type(item),)


def _span(entries: Sequence[EntryAppended | EntryApplied]) -> str:
    first, last = entries[0], entries[-1]
    indexes = str(first.index) if first.index == last.index else f"{first.index} to {last.index}"
    terms = f"term {first.term}" if first.term == last.term else f"terms {first.term} to {last.term}"
    return f"{indexes} ({terms})"


_CHANGES: tuple[tuple[type, Mark], ...] = (
    (NodeKilled, "crash"),
    (NodeExited, "crash"),
    (NodeLaunched, "start"),
    (NodePaused, "pause"),
    (NodeResumed, "resume"),
    (Started, "start"),
    (SnapshotInstalled, "entry"),
    (LogTruncated, "cut"),
    (CommitAdvanced, "commit"),
    (VoteGranted, "vote"),
    (EntryAppended, "entry"),
    (EntryApplied, "commit"),
)


def mark_of(items: Sequence[Item]) -> tuple[Mark, int]:
    """What the turn mainly is, and the term of a role that it took (0: none)."""
    kinds = {type(item) for item in items}  # asked for membership only
    if Started not in kinds:
        for item in reversed(items):
            if isinstance(item, RoleChanged) and (item.role != "follower" or VoteGranted not in kinds):
                return item.role, item.term
    for kind, mark in _CHANGES:
        if kind in kinds:
            return mark, 0
    first = items[0]
    if isinstance(first, Op):
        return "client", 0
    return ("note", 0) if first.node == HARNESS else ("message", 0)
