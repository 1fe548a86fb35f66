"""The diagram of an execution, a row for each step.

At most `MOST_ROWS` steps are drawn (`PRINTED_ROWS` on paper): the last ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from raft_chaos.invariants.causal_order import message_id
from raft_chaos.invariants.events import MessageReceived, MessageSent, NodeKilled, NodeLaunched
from raft_chaos.invariants.verdict import Violation
from raft_chaos.reports.spacetime.diagram import Diagram
from raft_chaos.reports.spacetime.drawing import Drawn, Step, draw
from raft_chaos.reports.spacetime.words import headline
from raft_chaos.reports.story.happens_before import Item
from raft_chaos.reports.story.story import witness_events
from raft_chaos.reports.text import visible

MOST_ROWS, PRINTED_ROWS = 160, 60


class DoneStep(msgspec.Struct, frozen=True, kw_only=True):
    """A step of an execution as it was done. `lines` say what was done, the first what came in; `events` are what the
    step added to the trace. `after` are earlier steps that it depends on, besides its messages and its node."""

    number: int
    who: str
    is_client: bool
    at_us: int
    lines: Sequence[str]
    events: Sequence[Item]
    after: Sequence[int]


def diagram_of_steps(
    done: Sequence[DoneStep], nodes: Sequence[str], violation: Violation | None, most: int = MOST_ROWS
) -> Diagram:
    """The diagram of these steps. The witness of the violation stands out, if there is one; steps after its last event
    are not drawn."""
    place = {step.number: at for at, step in enumerate(done)}
    steps = [
        Step(
            step.who,
            step.at_us,
            step.events,
            [place[number] for number in step.after if number in place],
            is_client=step.is_client,
        )
        for step in done
    ]
    marked = _witness(done, violation)
    last = max(marked, default=len(done) - 1)
    drawn = {
        at: Drawn(
            "witness" if at in marked else "told",
            text=_text(done[at]),
            details=tuple(visible(line) for line in done[at].lines),
            number=done[at].number,
        )
        for at in range(max(0, last + 1 - most), last + 1)
    }
    delivered = {message_id(event) for step in done for event in step.events if isinstance(event, MessageReceived)}
    return draw(steps, drawn, nodes, delivered, numbered=True)


def _text(step: DoneStep) -> str:
    """What came in, and what changed."""
    known = (MessageReceived, NodeLaunched, NodeKilled, MessageSent)  # said by the first line, or by an arrow
    changed = [event for event in step.events if not isinstance(event, known)]
    first = visible(step.lines[0]) if step.lines else ""
    said = headline(changed) if changed and not step.is_client else ""
    return f"{first}: {said}" if said else first


def _witness(done: Sequence[DoneStep], violation: Violation | None) -> set[int]:
    """The places of the steps with an event of the witness; sorted before anybody iterates them."""
    missing = witness_events(violation) if violation is not None else []
    found = set[int]()
    for at, step in enumerate(done):
        for event in step.events:
            if event in missing:
                missing.remove(event)
                found.add(at)
    return found
