"""waiting_bounded: a leader takes no more commands than its limit while those before have no answer.

Whatever a leader takes stays in its memory until it is applied. If it cannot commit, that may be never, while clients
go on asking. So beyond a limit it refuses them at once, and they may ask elsewhere; otherwise it grows without bound.

Violated: a leader has more entries with commands of its own term in its log, that it has not applied, than commands and
reads may wait there.

Why no correct node is convicted: a leader answers a command once it has applied its entry, and not before that while it
leads. So all these entries wait for their answers, beside reads and changes of the members. An entry is reported once
it is durable, and applied after that, so the reports never show more entries than waited together. The first entry of a
term has no command, and those of members do not count. All of it is in the node's own order; no time matters.
"""

from __future__ import annotations

from dataclasses import dataclass

from raft_chaos.invariants.checkers.base import Checker, Handlers, who
from raft_chaos.invariants.events import EntryAppended, EntryApplied, RoleChanged, Started
from raft_chaos.invariants.pace import Pace


@dataclass(slots=True)
class _Leading:
    """A leadership: its entries with commands that are not applied, in order, and whether they were too many."""

    term: int
    waiting: dict[int, EntryAppended]
    is_convicted: bool = False


class WaitingBounded(Checker):
    """No more commands wait at a leader than it may take. Judged for our own Raft alone, in runs with a small limit."""

    invariant = "waiting_bounded"
    rule = "A leader that cannot commit refuses what clients ask for beyond a limit, at once."
    nothing_judged = "no leader took a command"
    only_if_judged = True

    def __init__(self, pace: Pace | None) -> None:
        super().__init__()
        self._most = pace.waiting if pace is not None else 0
        self._leading: dict[str, _Leading] = {}

    def handlers(self) -> Handlers:
        if not self._most:
            return {}
        return {
            Started: self._on_started,
            RoleChanged: self._on_role,
            EntryAppended: self._on_appended,
            EntryApplied: self._on_applied,
        }

    def _on_started(self, event: Started) -> None:
        self._leading.pop(event.node, None)

    def _on_role(self, event: RoleChanged) -> None:
        self._leading.pop(event.node, None)
        if event.role == "leader":
            self._leading[event.node] = _Leading(event.term, {})

    def _on_appended(self, event: EntryAppended) -> None:
        led = self._leading.get(event.node)
        if led is None or event.term != led.term or not event.size or event.members is not None:
            return
        self.judged += 1
        led.waiting[event.index] = event
        if len(led.waiting) > self._most and not led.is_convicted:
            led.is_convicted = True
            first = next(iter(led.waiting.values()))
            self.violate(
                f"{who(event)} took {len(led.waiting)} commands in term {led.term} that it had not applied, from entry "
                f"{first.index} on; at most {self._most} may wait",
                first,
                event,
            )

    def _on_applied(self, event: EntryApplied) -> None:
        if (led := self._leading.get(event.node)) is not None:
            led.waiting.pop(event.index, None)
