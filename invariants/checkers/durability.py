"""Durability: the log that a node reported as durable is still there after a restart (Figure 2, persistent state).

At `started` the node owes the log that it reported last, without the entries whose truncation it announced. The disk
may be ahead of the events, so the node may recover more than that, never less. The recovered entries follow one by one
and are compared with what is owed. If an incarnation dies before it has reported all of them, the rest cannot be judged
in it, but is still owed: the next incarnation owes the entries that were reported again, then the rest of the old log.
Entries that a snapshot replaces are not reported again; its digest stands for them. It may also replace more than was
reported, if the node died after a leader's snapshot had become durable.

In a run in which no node started twice nobody owed anything, so there is no verdict. That lets no mistake pass: every
judgement is made at a `started` of a second or later incarnation. A restart that should have come and did not is the
matter of vacuity, as is one that no event reports.
"""

from __future__ import annotations

from collections.abc import Mapping

from raft_chaos.invariants.checkers.base import Checker, Handlers, who
from raft_chaos.invariants.checkers.node_logs import Held, ReportedLog
from raft_chaos.invariants.events import EntryAppended, Started


class Durability(Checker):
    """Judges the log. `elections` and `monotonicity` judge the rest of the persistent state, the vote and the term."""

    invariant = "durability"
    rule = "The log is on stable storage before a server answers for it, so it survives restarts (Figure 2, §5)."
    nothing_judged = "no node restarted with a log that it had reported"

    def __init__(self, logs: Mapping[str, ReportedLog]) -> None:
        super().__init__()
        self._logs = logs
        self._started: dict[str, Started] = {}
        self._owed: dict[str, ReportedLog] = {}  # only of nodes that are still reporting their recovered log
        self._has_restarts = False

    @property
    def applies(self) -> bool:
        return self._has_restarts

    def handlers(self) -> Handlers:
        return {Started: self._on_started, EntryAppended: self._on_appended}

    def _on_started(self, event: Started) -> None:
        self._has_restarts = self._has_restarts or event.inc > 1
        reported = self._logs[event.node]  # still that of the earlier incarnation
        owed = reported + self._owed.pop(event.node, [])[len(reported) :]
        if not owed:
            return
        self.judged += 1
        if event.last_index < len(owed):
            last = owed[-1]
            assert last is not None, "a log ends with what is known"
            self.violate(
                f"{who(event)} recovered {event.last_index} entries; entry {len(owed)}, reported durable in "
                f"incarnation {last.inc}, is gone",
                last,
                event,
            )
            owed = owed[: max(event.last_index, 0)]
        base = owed[event.base_index - 1] if 1 <= event.base_index <= len(owed) else None
        if base is not None and base.digest != event.base_digest:
            self._differs(event.base_index, event.base_term, base, event, event)
            return
        if len(owed) > event.base_index:
            self._started[event.node] = event
            self._owed[event.node] = owed

    def _on_appended(self, event: EntryAppended) -> None:
        owed = self._owed.get(event.node)
        if owed is None:
            return
        position = event.index - 1
        held = owed[position] if 0 <= position < len(owed) else None
        differs = held is not None and held.digest != event.digest
        if held is not None and differs:
            self._differs(event.index, event.term, held, self._started[event.node], event)
        if differs or event.index >= len(owed):
            del self._owed[event.node]  # digests are chained: all later entries differ too, or are not owed

    def _differs(self, index: int, term: int, held: Held, started: Started, event: Started | EntryAppended) -> None:
        self.violate(
            f"{who(event)} recovered another entry {index} than was reported durable in "
            f"incarnation {held.inc} (terms {term} and {held.term})",
            held,
            started,
            *([event] if event is not started else []),
        )
