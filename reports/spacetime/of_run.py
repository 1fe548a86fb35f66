"""The diagram of a violation in a run: the turns of its story, and some around them, for contrast.

However long the run was, at most `MOST_ROWS` turns are drawn (`PRINTED_ROWS` on paper): those of the story, then those
that sent its messages, then what decided who led (starts, ends, elections), then the last ones before the violation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from raft_chaos.invariants.causal_order import MessageId, causal_order, message_id
from raft_chaos.invariants.events import (
    HARNESS,
    LogTruncated,
    MessageReceived,
    MessageSent,
    NodeExited,
    NodeKilled,
    NodePaused,
    NodeResumed,
    RoleChanged,
    Started,
    VoteGranted,
)
from raft_chaos.invariants.history import Op
from raft_chaos.invariants.rundir import RunDir
from raft_chaos.invariants.verdict import Verdict
from raft_chaos.reports.facts.around import first_violation
from raft_chaos.reports.spacetime.diagram import Diagram
from raft_chaos.reports.spacetime.drawing import Drawn, Step, draw
from raft_chaos.reports.spacetime.turns import Turn, turns
from raft_chaos.reports.story.happens_before import Item
from raft_chaos.reports.story.story import Line, Story, tell

MOST_ROWS, PRINTED_ROWS = 90, 48
LEAST_BESIDES = 12
"""The number of turns that are drawn beside the story, if it is shorter than that; otherwise as many as it has."""
MOST_ORDINARY = 6
"""The most turns that are drawn only since they are the last ones."""

DECISIVE = (NodeKilled, NodeExited, NodePaused, NodeResumed, Started)


def diagram_in(run: RunDir, verdicts: Sequence[Verdict], *, reports_events: bool) -> Diagram | None:
    """The diagram of the first violation in a saved run; None if there is none, if the nodes report no events, or if
    the witness is no list of events."""
    violation = first_violation(verdicts)
    if violation is None or not reports_events:
        return None
    items = [item.event for item in run.trace()]
    try:
        story = tell(items, violation)
    except msgspec.ValidationError:
        return None
    return diagram_of_run(items, story)


def diagram_of_run(items: Sequence[Item], story: Story, most: int = MOST_ROWS) -> Diagram | None:
    """The diagram of a story that `tell(items, violation)` told; None if the nodes report no events, or if it has
    no line: a cluster that never does anything breaks an invariant without a witness."""
    if not story.lines or not any(not isinstance(item, Op) and item.node != HARNESS for item in items):
        return None
    lines = {line.place: line for line in story.lines}
    missing = [line.event for place, line in sorted(lines.items()) if place >= len(items)]
    moved = dict(zip(sorted(place for place in lines if place >= len(items)), range(len(items), 1 << 62), strict=False))
    lines = {moved.get(place, place): line for place, line in lines.items()}
    everything = [*items, *missing]
    order = causal_order(everything)
    ordered = [everything[place] for place in order]
    told = {position: lines[place] for position, place in enumerate(order) if place in lines}
    found = turns(ordered)
    drawn = _Choice(ordered, found, told).drawn(most)
    last = max(drawn)
    delivered = {message_id(item) for item in ordered if isinstance(item, MessageReceived)}
    steps = [
        Step(
            turn.who,
            turn.first_us,
            [ordered[place] for place in turn.places],
            is_client=isinstance(ordered[turn.places[0]], Op),
        )
        for turn in found[: last + 1]
    ]
    return draw(steps, drawn, story.nodes, delivered)


class _Choice:
    """Chooses the turns that are drawn."""

    def __init__(self, items: Sequence[Item], found: Sequence[Turn], told: dict[int, Line]) -> None:
        self.items, self.turns = items, found
        self.lines: dict[int, list[Line]] = {}
        for number, turn in enumerate(found):
            if lines := [told[place] for place in turn.places if place in told]:
                self.lines[number] = lines
        self.span = range(min(self.lines), max(self.lines) + 1)

    def drawn(self, most: int) -> dict[int, Drawn]:
        chosen = {number: self._told(lines) for number, lines in self.lines.items()}
        besides = max(LEAST_BESIDES, len(chosen))
        for number in self._senders():
            if len(chosen) < most:
                chosen.setdefault(number, Drawn())
        room = min(most, len(chosen) + besides)
        for number in self._around():
            if len(chosen) >= room:
                break
            chosen.setdefault(number, Drawn())
        return chosen

    def _told(self, lines: Sequence[Line]) -> Drawn:
        # An arrow says itself that its message never arrives.
        notes = tuple(line.note for line in lines if line.note and not isinstance(line.event, MessageSent))
        return Drawn("witness" if any(line.witness for line in lines) else "told", notes=notes)

    def _senders(self) -> Iterator[int]:
        """The turns that sent a message of the story, the last ones first."""
        wanted: set[MessageId] = set()  # asked for membership only
        for lines in self.lines.values():
            wanted.update(message_id(line.event) for line in lines if isinstance(line.event, MessageReceived))
        for number in range(max(self.lines), -1, -1):
            for place in self.turns[number].places:
                item = self.items[place]
                if isinstance(item, MessageSent) and message_id(item) in wanted:
                    yield number
                    break

    def _around(self) -> Iterator[int]:
        """Other turns between the first and the last of the story, the best first and of equals the last."""
        decisive, notable, rest = list[int](), list[int](), list[int]()
        for number in reversed(self.span):
            kinds = [self.items[place] for place in self.turns[number].places]
            if any(isinstance(item, DECISIVE) or self._elects(item) for item in kinds):
                decisive.append(number)
            elif any(isinstance(item, VoteGranted | LogTruncated) for item in kinds):
                notable.append(number)
            elif not isinstance(kinds[0], Op) and kinds[0].node != HARNESS:
                rest.append(number)
        yield from decisive
        yield from notable
        yield from rest[:MOST_ORDINARY]

    @staticmethod
    def _elects(item: Item) -> bool:
        return isinstance(item, RoleChanged) and item.role != "follower"
