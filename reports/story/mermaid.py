"""A story as a Mermaid sequence diagram: it can be pasted where Markdown is shown (issue trackers, pull requests).

A node, and a client that has a line, is a participant; a message is an arrow, drawn where it arrived (a cross where it
never does); all else is a note over the node that it concerns. The witness lies on red ground.

Mermaid has no quotes that hold: a semicolon ends a statement, a hash begins an entity, words such as "end" close a
block. So participants have plain names of their own, and in every text each character that could mean something is
written as its entity.
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
"""Where the text of a note is broken: Mermaid breaks none by itself."""

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
    """The text, on one line, as Mermaid shows it unchanged. A blank one, which it would refuse, is a hard space."""
    return "".join(c if c.isalnum() or c in _PLAIN else f"#{ord(c)};" for c in visible(text).strip() or "\xa0")


def _participants(story: Story) -> dict[str, str]:
    """By node or client its plain name; nodes in the cluster's order, then clients in that of their first line."""
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
    """Whose line it is; nobody's for what the harness did to many, or says of no node in particular."""
    if isinstance(line.event, FaultInjected):
        return []
    return [name for name in concerned(line.event) if name != HARNESS]


def _over(line: Line, names: dict[str, str]) -> list[str]:
    """Over whom a line is noted: a fault over its targets that have lines of their own, what is nobody's over all."""
    hit = line.event.targets if isinstance(line.event, FaultInjected) else _concerned(line)
    return [name for name in hit if name in names] or list(names)


def _span(names: dict[str, str], those: Sequence[str]) -> str:
    """A note over several participants lies over all between the first and the last."""
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
