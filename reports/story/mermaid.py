"""A story as a Mermaid sequence diagram, for places that show Markdown (issue trackers, pull requests).

The participants are the nodes, and the clients that have a line. A message is an arrow where it arrived, or an arrow
with a cross if it never arrived. Every other event is a note over the node that it concerns. The witness has a red
background.

Mermaid has no safe quotes: a semicolon ends a statement, a hash begins an entity, words such as "end" close a block. So
participants get plain internal names, and in texts each character that has a meaning is written as its entity.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from raft_chaos.invariants.events import HARNESS, FaultInjected, MessageReceived, MessageSent
from raft_chaos.invariants.history import Op
from raft_chaos.invariants.trace import concerned
from raft_chaos.reports.event_lines import what
from raft_chaos.reports.story.story import Line, Story, title
from raft_chaos.reports.text import seconds, visible

WITNESS_GROUND = "rgb(255, 214, 214)"

NOTE_COLUMNS = 40
"""The greatest width of a note's text: Mermaid does not wrap text by itself."""

MOST_NOTE_ROWS = 4

_PLAIN = frozenset(" .,_-+=()/*'§µ²→")


def mermaid(story: Story) -> list[str]:
    """The lines of the diagram, without a fence."""
    names = _participants(story)
    rows = ["sequenceDiagram"]
    rows += [f"    participant {name} as {escape(who)}" for who, name in names.items()]
    everyone = _span(names, list(names))
    rows.append(f"    Note over {everyone}: {_note(title(story.violation), 2 * NOTE_COLUMNS)}")
    inside = False
    for line in story.lines:
        if line.witness != inside:
            rows.append(f"    rect {WITNESS_GROUND}" if line.witness else "    end")
            inside = line.witness
        rows += [f"    {'    ' if inside else ''}{row}" for row in _drawn(line, names)]
    if inside:
        rows.append("    end")
    return [*rows, f"    Note over {everyone}: {_note(f'VIOLATED {story.violation.message}', 2 * NOTE_COLUMNS)}"]


def escape(text: str) -> str:
    """The text on one line, written so that Mermaid shows it unchanged. Mermaid refuses a blank text, so a blank text
    becomes a hard space."""
    return "".join(c if c.isalnum() or c in _PLAIN else f"#{ord(c)};" for c in visible(text).strip() or "\xa0")


def _participants(story: Story) -> dict[str, str]:
    """The plain name of each node or client: nodes in the cluster's order, then clients by their first line."""
    seen: dict[str, None] = {}
    for line in story.lines:
        for name in _concerned(line):
            seen[name] = None
        if isinstance(line.event, MessageReceived):
            seen[line.event.sender] = None
        elif isinstance(line.event, MessageSent):
            seen[line.event.to] = None
    if not seen:
        seen = dict.fromkeys(story.nodes) or {HARNESS: None}
    ordered = [*(node for node in story.nodes if node in seen), *(name for name in seen if name not in story.nodes)]
    return {name: f"p{number}" for number, name in enumerate(ordered, 1)}


def _concerned(line: Line) -> list[str]:
    """The nodes or client that a line concerns; none for a fault, or if the harness names no node."""
    if isinstance(line.event, FaultInjected):
        return []
    return [name for name in concerned(line.event) if name != HARNESS]


def _over(line: Line, names: dict[str, str]) -> list[str]:
    """The participants that a note covers: for a fault its targets that are participants; all if there is none."""
    hit = line.event.targets if isinstance(line.event, FaultInjected) else _concerned(line)
    return [name for name in hit if name in names] or list(names)


def _span(names: dict[str, str], those: Sequence[str]) -> str:
    """A note over several participants covers all between the first and the last."""
    places = sorted(list(names).index(name) for name in those)
    ids = list(names.values())
    return ids[places[0]] if places[0] == places[-1] else f"{ids[places[0]]},{ids[places[-1]]}"


def _drawn(line: Line, names: dict[str, str]) -> Iterator[str]:
    event = line.event
    note = f" ({line.note})" if line.note else ""
    if isinstance(event, MessageReceived):
        yield f"{names[event.sender]}->>{names[event.node]}: {escape(f'{line.number}. {event.type}{note}')}"
    elif isinstance(event, MessageSent):
        arrow = "-x" if line.lost else "--)"
        yield f"{names[event.node]}{arrow}{names[event.to]}: {escape(f'{line.number}. {event.type}{note}')}"
    else:
        over = _span(names, _over(line, names))
        who = f"{event.client} " if isinstance(event, Op) else ""
        said = f"{line.number}. {seconds(event.t_us)} s: {who}{what(event)}{note}"
        yield f"Note over {over}: {_note(said, NOTE_COLUMNS)}"


def _note(text: str, columns: int) -> str:
    rows = textwrap.wrap(visible(text), columns, max_lines=MOST_NOTE_ROWS, placeholder=" ...", break_on_hyphens=False)
    return "<br/>".join(map(escape, rows))
