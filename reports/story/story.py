"""A failure as a short story: the events before it that matter, one per line, with causes before their effects.

    story = tell(items, violation)     items: the whole trace, `item.event` of each item of `RunDir.trace()`
    text(story)                        its lines for a terminal
    document(story)                    the same for a script; `reports.story.mermaid` draws it

A message has one line, at its arrival, with the number of the line after which it was sent. Only a message that had not
arrived has a line at its sending. Candidates, votes and acknowledgements show the index and term of the last entry of a
node's log, since Raft decides by these.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import msgspec

from raft_chaos.invariants.causal_order import message_id
from raft_chaos.invariants.events import (
    AnyEvent,
    CommitAdvanced,
    EntryAppended,
    EntryApplied,
    Event,
    LogTruncated,
    MessageReceived,
    MessageSent,
)
from raft_chaos.invariants.history import Op
from raft_chaos.invariants.trace import OP, kind_of
from raft_chaos.invariants.verdict import Violation
from raft_chaos.reports.event_lines import event_line
from raft_chaos.reports.story.annotations import annotate
from raft_chaos.reports.story.causes import CONTEXT, HELPFUL, Chosen
from raft_chaos.reports.story.happens_before import HappensBefore, Item, happens_before
from raft_chaos.reports.story.relevance import choose
from raft_chaos.reports.text import US_PER_S, count, visible

SHORT_LINES = 20
"""Events that are only context are added up to this number of lines."""

ENOUGH_LINES = 30
"""Helpful events are added up to this number of lines, essential ones up to `MOST_LINES`."""

MOST_LINES = 60
"""The greatest length of a story, however long the run was."""

FEW_LINES = 40
"""If at most this many events happened before, the story shows all of them."""

MOST_ROWS, MOST_WITNESS_ROWS = 2, 4
"""The number of terminal rows that a line may take; the rest of a very long value is left out."""


@dataclass(frozen=True)
class Line:
    """One event of a story. `number` counts from 1; `came_from` is the line after which an arrived message was sent.

    `why` is the reason why it is shown: witness, candidate, vote, leader, entry, commit, message, restart, fault, and
    the like. `note` has its annotations. `lost`: a message that never arrived, not even later. `place` is the event's
    position in the trace that was told; beyond its end for an event of the witness that the trace does not have.
    """

    number: int
    event: Item
    why: str
    witness: bool
    came_from: int | None
    note: str
    lost: bool = False
    place: int = -1


@dataclass(frozen=True)
class Story:
    """A violation and what led to it. `nodes` are the cluster's, in its order.

    `events_before` is the number of events that happened before; `left_out` counts those without a line, by kind. `cut`
    counts those that matter and are left out only because of the limit.
    """

    violation: Violation
    lines: tuple[Line, ...]
    nodes: tuple[str, ...]
    events_before: int
    left_out: dict[str, int]
    cut: int


def tell(items: Sequence[Item], violation: Violation) -> Story:
    """The story of a violation. Events of the witness that are not in `items` come last."""
    at, missing = _find(items, witness_events(violation))
    at += range(len(items), len(items) + len(missing))
    items = [*items, *missing]
    past, where = happens_before(items, at)
    marked = sorted(where[place] for place in at)
    chosen = _chosen(past, marked)
    shown = _limited(chosen)
    told = _lines(past, shown, {place: chosen[place] for place in shown}, frozenset(marked))
    came = {n: place for place, n in where.items()}
    lines = tuple(replace(line, place=came[place]) for line, place in zip(told, shown, strict=True))
    left_out = Counter(map(kind_of, past.items))
    left_out.subtract(kind_of(line.event) for line in lines)
    # The line of an arrival also represents the sending, unless the sending has a line of its own.
    sent = {message_id(line.event) for line in lines if isinstance(line.event, MessageSent)}
    arrived = {message_id(line.event) for line in lines if isinstance(line.event, MessageReceived)}
    left_out[_SENT] -= sum(message in past.sent for message in arrived - sent)
    return Story(
        violation=violation,
        lines=lines,
        nodes=tuple(past.nodes),
        events_before=len(past.items),
        left_out={kind: number for kind, number in left_out.most_common() if number},
        cut=len(chosen) - len(shown),
    )


def witness_events(violation: Violation) -> list[Item]:
    """The events of the witness, which is plain data if the violation was read from a file. Raises
    msgspec.ValidationError for data that is no event."""
    return [_event(event) for event in violation.witness]


def _event(event: Any) -> Item:
    if isinstance(event, Event | Op):
        return cast(Item, event)
    found: Item = msgspec.convert(event, AnyEvent if isinstance(event, dict) and "kind" in event else Op)
    return found


def _find(items: Sequence[Item], witness: Sequence[Item]) -> tuple[list[int], list[Item]]:
    """The places of the witness's events, and the events that have no place. Equal events get different places."""
    times = {event.t_us for event in witness}  # asked for membership only; a read of a list has no hash
    missing, places = list(witness), []
    for place, item in enumerate(items):
        if item.t_us in times and item in missing:
            missing.remove(item)
            places.append(place)
    return places, missing


# ---- what is shown -----------------------------------------------------------------------------------------------


def _chosen(past: HappensBefore, witness: Sequence[int]) -> dict[int, Chosen]:
    """The events that may be shown: those that matter, or all of them if there are few."""
    chosen = choose(past, witness)
    everything = [place for place, item in enumerate(past.items) if not _has_another_line(past, place, item)]
    if len(everything) <= FEW_LINES:
        for place in everything:
            chosen.setdefault(place, Chosen("past", CONTEXT))
    return chosen


def _has_another_line(past: HappensBefore, place: int, item: Item) -> bool:
    """Whether another line represents the event: a message's arrival its sending, a restart the recovered entries."""
    return place in past.recovered or (isinstance(item, MessageSent) and message_id(item) in past.arrived)


def _limited(chosen: dict[int, Chosen]) -> list[int]:
    """The places that fit into a story: the most important ones, and of equally important ones the last."""
    by_rank = sorted(chosen, key=lambda place: (chosen[place].rank, -place))
    everything = any(one.why == "past" for one in chosen.values())
    filled = {HELPFUL: ENOUGH_LINES, CONTEXT: SHORT_LINES}
    for rank, lines in () if everything else filled.items():
        lower = sum(one.rank < rank for one in chosen.values())
        upto = sum(one.rank <= rank for one in chosen.values())
        if upto > lines:
            return sorted(by_rank[: min(max(lower, lines), MOST_LINES)])
    return sorted(by_rank[:MOST_LINES])


def _lines(past: HappensBefore, shown: Sequence[int], chosen: dict[int, Chosen], witness: frozenset[int]) -> list[Line]:
    about_logs = any(isinstance(past.items[place], (EntryAppended, LogTruncated, CommitAdvanced)) for place in shown)
    above: list[tuple[int, Item]] = []
    lines = []
    for number, place in enumerate(shown, 1):
        item = past.items[place]
        came_from = _came_from(past, place, item, above) if isinstance(item, MessageReceived) else None
        note = "; ".join(annotate(past, place, about_logs))
        lost = isinstance(item, MessageSent) and message_id(item) not in past.delivered
        lines.append(Line(number, item, chosen[place].why, place in witness, came_from, note, lost))
        above.append((place, item))
    return lines


def _came_from(
    past: HappensBefore, place: int, arrival: MessageReceived, above: Sequence[tuple[int, Item]]
) -> int | None:
    """The sender's last line by then, without arrivals from third nodes, which do not concern this message."""
    sent = past.sending(place)
    if sent is None:
        return None
    for number in range(len(above), 0, -1):
        at, item = above[number - 1]
        third = isinstance(item, MessageReceived) and item.sender != arrival.node
        own = not isinstance(item, Op) and (item.node, item.inc) == (arrival.sender, arrival.sender_inc)
        if at <= sent and own and not third:
            return number
    return None


# ---- its text ----------------------------------------------------------------------------------------------------


_WHAT_COLUMN = len("* 17" + "  1.204317  " + "n3#1 < n2#1  ")


def title(violation: Violation) -> str:
    """ "Election Safety: At most one server is ever elected leader in a given term (Figure 3, §5.2)." """
    return visible(f"{violation.invariant.replace('_', ' ').title()}: {violation.rule}")


def text(story: Story, width: int = 100) -> list[str]:
    """The story in rows of at most `width` columns (at least 40). `*` marks the witness."""
    width = max(width, 40)
    rows = [
        *wrapped(f"VIOLATED {story.violation.message}", "", width),
        *wrapped(title(story.violation), "", width),
        "",
    ]
    for one in story.lines:
        mark = "*" if one.witness else " "
        notes = [part for part in (f"from line {one.came_from}" if one.came_from else "", one.note) if part]
        note = f"  ({'; '.join(notes)})" if notes else ""
        row = f"{mark}{one.number:>3}{event_line(one.event)}{visible(note)}"
        rows += wrapped(row, " " * _WHAT_COLUMN, width, MOST_WITNESS_ROWS if one.witness else MOST_ROWS)
    return [*rows, "", *wrapped(left_out(story), "", width)]


def left_out(story: Story) -> str:
    """A sentence that says what is left out."""
    groups: Counter[tuple[str, str]] = Counter()
    for kind, number in story.left_out.items():
        groups[_GROUPS.get(kind, _OTHERS)] += number
    listed = ", ".join(count(groups[names], *names) for names in (*_GROUPS.values(), _OTHERS) if groups[names])
    if not listed:
        return "* the witness. Nothing that happened before is left out."
    cut = f"; {story.cut} of these would matter too" if story.cut else ""
    return f"* the witness. Left out of the {count(story.events_before, 'event')} up to it: {listed}{cut}."


_SENT = str(MessageSent.__struct_config__.tag)
_GROUPS = {
    _SENT: ("message sent", "messages sent"),
    str(MessageReceived.__struct_config__.tag): ("message received", "messages received"),
    str(EntryAppended.__struct_config__.tag): ("entry appended", "entries appended"),
    str(EntryApplied.__struct_config__.tag): ("entry applied", "entries applied"),
    str(CommitAdvanced.__struct_config__.tag): ("commit", "commits"),
    OP: ("client's line", "clients' lines"),
}
_OTHERS = ("other", "others")


def wrapped(text: str, indent: str, width: int, most_rows: int | None = None) -> list[str]:
    """The text in rows of at most `width` columns, with `indent` before all but the first."""
    indent = indent if len(indent) < width // 2 else "    "
    return textwrap.wrap(
        visible(text),
        width,
        subsequent_indent=indent,
        max_lines=most_rows,
        placeholder=" ...",
        drop_whitespace=True,
        break_on_hyphens=False,
    )


# ---- for scripts -------------------------------------------------------------------------------------------------


def document(story: Story) -> dict[str, object]:
    """The story as plain JSON data; the events have their times in microseconds, `t_us`."""
    return {
        "invariant": story.violation.invariant,
        "message": story.violation.message,
        "rule": story.violation.rule,
        "lines": [
            {
                "line": one.number,
                "t_s": one.event.t_us / US_PER_S,
                "why": one.why,
                "witness": one.witness,
                "from_line": one.came_from,
                "note": one.note,
                "text": event_line(one.event).split(maxsplit=1)[1],
                "event": one.event,
            }
            for one in story.lines
        ],
        "events_before": story.events_before,
        "left_out": story.left_out,
        "cut": story.cut,
    }
