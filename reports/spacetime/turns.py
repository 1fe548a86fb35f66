"""Groups the events of a trace by turns: what one node did at once, or one event of the harness or a client.

A turn begins with the arrival of a message, a start, or a candidacy (a timer), and has all that the node reports within
the next moment. A node reports its writes once they are durable, so a turn may end a little after it began.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from raft_chaos.invariants.events import HARNESS, MessageReceived, MessageSent, NodeSampled, RoleChanged, Started
from raft_chaos.invariants.history import Op
from raft_chaos.invariants.trace import concerned
from raft_chaos.reports.story.happens_before import Item

TURN_US = 10_000
"""Events that come later than this after the first one make another turn."""

WRITE_US = 50_000
"""Messages that wait for a write belong to the turn that wrote, if they leave within this time."""


@dataclass
class Turn:
    """`places` are positions in the trace; `first_us` is the time of its first event."""

    who: str
    inc: int
    first_us: int
    places: list[int]
    sent_us: int | None = None


def turns(items: Sequence[Item]) -> list[Turn]:
    """The turns of a trace in which each cause comes before its effects, by their first events. Measurements of a
    node's resources are in none."""
    found: list[Turn] = []
    current: dict[str, Turn] = {}
    for place, item in enumerate(items):
        if isinstance(item, NodeSampled):
            continue
        if isinstance(item, Op) or item.node == HARNESS:
            found.append(Turn(item.client if isinstance(item, Op) else HARNESS, 0, item.t_us, [place]))
            for name in () if isinstance(item, Op) else concerned(item):
                current.pop(name, None)
            continue
        turn = current.get(item.node)
        if turn is None or _begins(turn, item):
            turn = current[item.node] = Turn(item.node, item.inc, item.t_us, [])
            found.append(turn)
        turn.places.append(place)
        if isinstance(item, MessageSent):
            turn.sent_us = item.t_us
    return found


def _begins(turn: Turn, item: Item) -> bool:
    """Whether the event begins the node's next turn."""
    assert not isinstance(item, Op)
    if isinstance(item, MessageReceived | Started) or (isinstance(item, RoleChanged) and item.role == "candidate"):
        return True
    if item.inc != turn.inc:
        return True
    after_us = item.t_us - turn.first_us
    if isinstance(item, MessageSent) and turn.sent_us in (None, item.t_us):
        return not 0 <= after_us <= WRITE_US
    return not 0 <= after_us <= TURN_US
