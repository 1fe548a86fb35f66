"""Makes a diagram of the turns that are drawn: its arrows, the past of each row, and the nodes' states.

A row's past is followed through all turns, also those that are not drawn. These happen before a row: the node's own
earlier ones, those that had sent it a message, and what the harness did to the node. The harness sees all nodes, and
HTTP is not traced, so every earlier row happened before a client's line, a phase and the end of a run.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from raft_chaos.invariants.causal_order import MessageId, message_id
from raft_chaos.invariants.events import (
    HARNESS,
    FaultHealed,
    FaultInjected,
    MessageReceived,
    MessageSent,
    PhaseStarted,
    RunEnded,
)
from raft_chaos.invariants.history import Op
from raft_chaos.invariants.trace import concerned
from raft_chaos.reports.spacetime.diagram import CLIENTS, Arrow, Diagram, Fate, Level, Row
from raft_chaos.reports.spacetime.states import States
from raft_chaos.reports.spacetime.words import headline, mark_of, phrases
from raft_chaos.reports.story.annotations import LATE_US
from raft_chaos.reports.story.happens_before import Item


@dataclass(frozen=True)
class Drawn:
    """How a turn is drawn. Without `text` it is made from the turn's events."""

    level: Level = "other"
    text: str = ""
    details: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    number: int | None = None


@dataclass(frozen=True)
class Step:
    """A turn with its events. `who` is a node, a client or the harness; `after` are earlier turns that it names."""

    who: str
    t_us: int
    items: Sequence[Item]
    after: Sequence[int] = ()
    is_client: bool = False


def draw(
    steps: Sequence[Step],
    drawn: Mapping[int, Drawn],
    nodes: Sequence[str],
    delivered: Collection[MessageId],
    *,
    numbered: bool = False,
) -> Diagram:
    """The diagram of the `drawn` ones of all turns `steps`, which are in causal order. `delivered` are all messages
    that arrive, even after the last of the steps."""
    numbers = sorted(drawn)
    rows = {number: place for place, number in enumerate(numbers)}
    messages = _Messages(steps, rows, delivered)
    past = _Past(rows, traced=bool(delivered))
    states, made, first = States(nodes), list[Row](), dict(States(nodes).taken())
    last = -1
    for number, step in enumerate(steps[: numbers[-1] + 1] if numbers else ()):
        if number == numbers[0]:
            first = {**first, **states.taken()}
        for item in step.items:
            states.observe(item)
        before = past.follow(number, step)
        if number not in rows:
            continue
        made.append(_row(step, drawn[number], number, nodes, before, number - last - 1 if made else 0, states))
        last = number
    clients = (CLIENTS,) if any(CLIENTS in row.columns for row in made) else ()
    return Diagram(
        nodes=(*nodes, *clients),
        rows=tuple(made),
        arrows=tuple(messages.arrows()),
        first=first,
        turns=numbers[-1] + 1 if numbers else 0,
        numbered=numbered,
    )


def _row(step: Step, how: Drawn, number: int, nodes: Sequence[str], before: int, skipped: int, states: States) -> Row:
    said = phrases(step.items)
    mark, term = mark_of(step.items) if step.items else ("message", 0)
    text = how.text or headline(step.items)
    return Row(
        number=number if how.number is None else how.number,
        who=step.who,
        columns=_columns(step, nodes),
        t_us=step.t_us,
        mark=mark,
        term=term,
        text=text + (f" ({'; '.join(how.notes)})" if how.notes else ""),
        details=how.details or tuple(said),
        level=how.level,
        before=before,
        skipped=skipped,
        states=states.taken(),
        unlike=states.unlike(),
    )


def _columns(step: Step, nodes: Sequence[str]) -> tuple[str, ...]:
    """The columns that a row concerns: all nodes for an event of the harness that names none."""
    if step.is_client:
        return (CLIENTS,)
    if step.who != HARNESS:
        return (step.who,)
    named = [
        name
        for item in step.items
        for name in (item.targets if isinstance(item, FaultInjected) else concerned(item))
        if name in nodes
    ]
    return tuple(named) or tuple(nodes)


@dataclass
class _Past:
    """The rows in the past of each reporter, as bit masks, while the turns go by."""

    rows: Mapping[int, int]
    traced: bool
    everything: int = 0
    known: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    sent: dict[MessageId, int] = field(default_factory=dict)
    after: dict[int, int] = field(default_factory=dict)

    def follow(self, number: int, step: Step) -> int:
        own = 1 << self.rows[number] if number in self.rows else 0
        if self._sees_all(step):
            mask = self.everything | own
        else:
            mask = self.known[step.who] | own if step.who != HARNESS else own
            for item in step.items:
                if isinstance(item, MessageReceived):
                    mask |= self.sent.get(message_id(item), 0)
                elif isinstance(item, MessageSent):
                    self.sent[message_id(item)] = mask
            for earlier in step.after:
                mask |= self.after.get(earlier, 0)
        for name in self._told(step):
            mask |= self.known[name]
        for name in (step.who, *self._told(step)):
            self.known[name] |= mask
        self.after[number] = mask
        self.everything |= mask
        return mask

    def _sees_all(self, step: Step) -> bool:
        # A step of an execution names what it follows; a line of a history does not.
        seeing = isinstance(step.items[0], Op | PhaseStarted | RunEnded) if step.items else False
        return not self.traced or (seeing and not step.after)

    def _told(self, step: Step) -> Iterator[str]:
        """The nodes that the harness acts on."""
        if step.who == HARNESS:
            for item in step.items:
                if not isinstance(item, FaultHealed):
                    yield from (name for name in concerned(item) if name != HARNESS)


class _Messages:
    """The messages that leave or reach a drawn turn."""

    def __init__(self, steps: Sequence[Step], rows: Mapping[int, int], delivered: Collection[MessageId]) -> None:
        self._steps, self._rows, self._delivered = steps, rows, delivered
        self._sent: dict[MessageId, tuple[int, MessageSent]] = {}
        last = max(rows, default=-1)
        for number, step in enumerate(steps[: last + 1]):
            for item in step.items:
                if isinstance(item, MessageSent):
                    self._sent[message_id(item)] = number, item

    def arrows(self) -> Iterator[Arrow]:
        reached: set[MessageId] = set()  # asked for membership only
        for number, row in self._rows.items():
            for item in self._steps[number].items:
                if isinstance(item, MessageReceived):
                    name = message_id(item)
                    yield self._arrival(name, item, row, again=name in reached)
                    reached.add(name)
        for number, row in self._rows.items():
            for item in self._steps[number].items:
                if isinstance(item, MessageSent) and (name := message_id(item)) not in reached:
                    fate: Fate = "later" if name in self._delivered else "lost"
                    yield Arrow(sender=item.node, receiver=item.to, leaves=row, arrives=None, type=item.type, fate=fate)

    def _arrival(self, name: MessageId, item: MessageReceived, row: int, *, again: bool) -> Arrow:
        left, sent = self._sent.get(name, (None, None))
        took_us = item.t_us - sent.t_us if sent is not None else 0
        return Arrow(
            sender=item.sender,
            receiver=item.node,
            leaves=None if left is None else self._rows.get(left),
            arrives=row,
            type=item.type,
            fate="again" if again else "late" if took_us > LATE_US else "arrived",
            took_us=took_us,
        )
