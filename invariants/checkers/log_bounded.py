"""log_bounded: a node takes snapshots again and again, so its log does not grow without bound (§7).

A node takes one whenever it has applied `snapshot_every` entries since the last one. It may wait: while one is being
written, and, as a leader, while a follower needs the log. When the run has settled (`recovery`), nothing makes it wait.

Violated: an incarnation has applied more than `TIMES` * snapshot_every + `MORE` entries behind its last snapshot when
the run ends, and so keeps them all.

Why no correct node is convicted: whatever made it wait ends with the recovery, or when a silent follower is taken for
dead, and then the next entry that it applies is followed by a snapshot. The final reads are many entries. Measured in
150 seeds of the right core: less than snapshot_every. A run may settle before a silent follower is taken for dead, one
that never comes back since its disk is damaged: so a leader is not judged that was still sending its last snapshot
within that time before the end. Judged where all of it takes virtual time, and so only in runs that have settled there;
a node that ended, or that is no member any more, owes nothing.
"""

from __future__ import annotations

from raft_chaos.invariants.checkers.base import Checker, Handlers, who
from raft_chaos.invariants.checkers.messages import SNAPSHOT, when_sent
from raft_chaos.invariants.events import (
    EntryApplied,
    MessageSent,
    PhaseStarted,
    RunEnded,
    SnapshotInstalled,
    SnapshotRestored,
    SnapshotTaken,
    Started,
)
from raft_chaos.invariants.pace import Pace
from raft_chaos.invariants.verdict import Verdict

TIMES, MORE = 3, 100
KEPT_TIMEOUTS = 10
"""For so many of the longest election timeouts a leader keeps the log behind a snapshot for a silent follower."""


class LogBounded(Checker):
    """At the end each node has a snapshot of most of what it applied. Judged for our own Raft alone, where it takes
    snapshots."""

    invariant = "log_bounded"
    goes_by_time = True
    rule = "Each server takes snapshots independently, so that its log does not grow without bound (§7)."
    nothing_judged = "no run with snapshots has settled"
    only_if_judged = True

    def __init__(self, pace: Pace | None) -> None:
        super().__init__()
        self._every = pace.snapshot_every if pace is not None else 0
        self._kept_us = KEPT_TIMEOUTS * pace.election_timeout_us[1] if pace is not None else 0
        self._base: dict[str, int] = {}
        self._sent: dict[str, MessageSent] = {}  # the last part of a snapshot that a node sent
        self._applied: dict[str, EntryApplied] = {}
        self._settled: PhaseStarted | None = None
        self._ended: RunEnded | None = None

    def handlers(self) -> Handlers:
        if not self._every:
            return {}
        return {
            **when_sent(self._on_sent, SNAPSHOT),
            Started: self._on_started,
            SnapshotTaken: self._on_snapshot,
            SnapshotInstalled: self._on_snapshot,
            SnapshotRestored: self._on_snapshot,
            EntryApplied: self._on_applied,
            PhaseStarted: self._on_phase,
            RunEnded: self._on_ended,
        }

    def _on_started(self, event: Started) -> None:
        self._base[event.node] = event.base_index
        self._applied.pop(event.node, None)
        self._sent.pop(event.node, None)

    def _on_sent(self, event: MessageSent) -> None:
        self._sent[event.node] = event

    def _on_snapshot(self, event: SnapshotTaken | SnapshotInstalled | SnapshotRestored) -> None:
        self._base[event.node] = event.index

    def _on_applied(self, event: EntryApplied) -> None:
        self._applied[event.node] = event

    def _on_phase(self, event: PhaseStarted) -> None:
        if event.phase == "settled" and event.within_us:
            self._settled = event

    def _on_ended(self, event: RunEnded) -> None:
        self._ended = event

    def verdict(self) -> Verdict:
        """Judges from the start each time: the harness's events may have come before the nodes' or after them."""
        self.judged, self.violations, self.violation_count = 0, [], 0
        settled, ended = self._settled, self._ended
        if settled is not None and ended is not None:
            for node in settled.owed:
                if (last := self._applied.get(node)) is not None:
                    self._judge(last, ended)
        return super().verdict()

    def _judge(self, last: EntryApplied, ended: RunEnded) -> None:
        base, sent = self._base.get(last.node, 0), self._sent.get(last.node)
        if sent is not None and sent.prev_log_index == base and ended.t_us - sent.t_us < self._kept_us:
            return
        self.judged += 1
        most = TIMES * self._every + MORE
        if last.index - base > most:
            self.violate(
                f"{who(last)} has applied {last.index - base} entries since its last snapshot, of entry {base}; it is "
                f"to take one after {self._every}, and at most {most} are plausible",
                last,
                ended,
            )
